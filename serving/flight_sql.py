"""Arrow Flight SQL: the query process's answers for ADBC, pandas, polars and whoever speaks it.

A ticket and a prepared statement hold the question itself and nothing else: the server keeps
nothing between two calls, and each call proves anew who asks.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError, Message

from serving import deadline, flight_catalogue, grpc_server
from serving.access import Identity, Verifier
from serving.sql_statement import forbidden
from serving.sql_surface import SqlSurface
from serving.wire import flight_pb2 as flight
from serving.wire import flight_pb2_grpc as rpc
from serving.wire import flight_sql_pb2 as fsql
from serving.wire import twin_pb2 as pb
from twin.errors import ArrowInvalid, BadRequest, TooLarge

PIECE = 1 << 20  # bytes of a batch in one message, about
PACKAGE = "arrow.flight.protocol.sql."
CREATE, CLOSE = "CreatePreparedStatement", "ClosePreparedStatement"
AT, KNOWN_AT, REGION, LIMIT = "twin-at", "twin-known-at", "twin-region", "twin-limit"
_COMMANDS = {
    cls.DESCRIPTOR.name: cls
    for cls in (
        fsql.CommandStatementQuery,
        fsql.CommandPreparedStatementQuery,
        fsql.CommandGetCatalogs,
        fsql.CommandGetDbSchemas,
        fsql.CommandGetTables,
        fsql.CommandGetTableTypes,
        fsql.CommandGetSqlInfo,
        fsql.TicketStatementQuery,
    )
}


class Question(msgspec.Struct, array_like=True):
    """What a ticket or a prepared statement holds: a SqlRequest, and the values of its ?."""

    request: bytes
    values: list[Any] = []

    def pack(self) -> bytes:
        return msgspec.msgpack.encode(self)


class Told(NamedTuple):
    """One message of an Arrow stream."""

    header: bytes
    body: bytes


class FlightSql(rpc.FlightServiceServicer):
    def __init__(self, surface: SqlSurface, verifier: Verifier, version: str) -> None:
        self._surface = surface
        self._verifier = verifier
        self._version = version

    async def GetFlightInfo(self, request: Any, context: Any) -> Any:
        try:
            self._enter(request, context)
            command = _unpacked(request.cmd)
            schema, ticket = await self._described(command, request.cmd, context)
        except Exception as e:
            await grpc_server.abort(context, e)
            raise
        endpoint = flight.FlightEndpoint(ticket=flight.Ticket(ticket=ticket))
        return flight.FlightInfo(
            schema=schema.serialize().to_pybytes(),
            flight_descriptor=request,
            endpoint=[endpoint],
            total_records=-1,
            total_bytes=-1,
        )

    async def GetSchema(self, request: Any, context: Any) -> Any:
        try:
            self._enter(request, context)
            schema, _ = await self._described(_unpacked(request.cmd), request.cmd, context)
        except Exception as e:
            await grpc_server.abort(context, e)
            raise
        return flight.SchemaResult(schema=schema.serialize().to_pybytes())

    async def DoGet(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            who = self._enter(request, context)
            schema, batches = await self._answered(_unpacked(request.ticket), who)
            yield _data(pa.ipc.read_message(schema.serialize()))
            for batch in batches:
                step = max(1, batch.num_rows * PIECE // max(1, batch.nbytes))
                for at in range(0, batch.num_rows, step):
                    yield _data(pa.ipc.read_message(batch.slice(at, step).serialize()))
        except Exception as e:  # noqa: BLE001 - the process boundary: logged, answered
            await grpc_server.abort(context, e)

    async def DoAction(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            self._enter(request, context)
            if request.type == CREATE:
                asked = fsql.ActionCreatePreparedStatementRequest()
                _any(request.body).Unpack(asked)
                prepared = Packed()
                prepared.Pack(await self._prepared(asked.query, context))
                yield flight.Result(body=prepared.SerializeToString())
            elif request.type != CLOSE:  # there is nothing to close
                raise forbidden(f"the action {request.type} is not offered")
        except Exception as e:  # noqa: BLE001 - the process boundary: logged, answered
            await grpc_server.abort(context, e)

    async def DoPut(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """Take the values of a prepared statement's ?: its handle then holds them."""
        try:
            grpc_server.bearer(context, self._verifier, "read")
            command, values = await _bound(requests)
            question = _question(command.prepared_statement_handle)
            question.values = values
            result = fsql.DoPutPreparedStatementResult(prepared_statement_handle=question.pack())
            yield flight.PutResult(app_metadata=result.SerializeToString())
        except Exception as e:  # noqa: BLE001 - the process boundary: logged, answered
            await grpc_server.abort(context, e)

    async def ListActions(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for name in (CREATE, CLOSE):
            yield flight.ActionType(type=name)

    def _enter(self, request: Any, context: Any) -> Identity:
        """Return who asks. Raises Denied or TooLarge."""
        grpc_server.require_small(request)
        deadline.begin(context.time_remaining())
        return grpc_server.bearer(context, self._verifier, "read")

    async def _described(
        self, command: Message, raw: bytes, context: Any
    ) -> tuple[pa.Schema, bytes]:
        """Return what a command will answer, and the ticket for it."""
        if isinstance(command, fsql.CommandStatementQuery):
            question = Question(_request(command.query, context).SerializeToString())
        elif isinstance(command, fsql.CommandPreparedStatementQuery):
            question = _question(command.prepared_statement_handle)
        else:
            return flight_catalogue.answer(command, self._version).schema, raw
        asked = pb.SqlRequest.FromString(question.request)
        schema = await self._surface.schema(asked, question.values)
        ticket = Packed()
        ticket.Pack(fsql.TicketStatementQuery(statement_handle=question.pack()))
        return schema, ticket.SerializeToString()

    async def _answered(
        self, command: Message, who: Identity
    ) -> tuple[pa.Schema, list[pa.RecordBatch]]:
        if isinstance(command, fsql.CommandStatementQuery):
            raise BadRequest("this is no ticket; ask GetFlightInfo for one")
        if isinstance(command, fsql.CommandPreparedStatementQuery):
            question = _question(command.prepared_statement_handle)
        elif isinstance(command, fsql.TicketStatementQuery):
            question = _question(command.statement_handle)
        else:
            table = flight_catalogue.answer(command, self._version)
            return table.schema, table.to_batches()
        request = pb.SqlRequest.FromString(question.request)
        answer = await self._surface.answer(request, who, question.values)
        return answer.result.schema, answer.result.batches

    async def _prepared(self, text: str, context: Any) -> fsql.ActionCreatePreparedStatementResult:
        request = _request(text, context)
        count = await self._surface.parameters(request.sql)
        schema = await self._surface.schema(request, [None] * count)
        result = fsql.ActionCreatePreparedStatementResult(
            prepared_statement_handle=Question(request.SerializeToString()).pack(),
            dataset_schema=schema.serialize().to_pybytes(),
        )
        if count:
            given = pa.schema([(str(i), pa.null()) for i in range(count)])
            result.parameter_schema = given.serialize().to_pybytes()
        return result


def _request(text: str, context: Any) -> pb.SqlRequest:
    """Return a statement as a SqlRequest; headers of the call say as of when, and where."""
    said = {name: str(value) for name, value in context.invocation_metadata()}
    try:
        return pb.SqlRequest(
            sql=text,
            when=pb.When(at=int(said.get(AT, 0)), known_at=int(said.get(KNOWN_AT, 0))),
            region=said.get(REGION, ""),
            limit=int(said.get(LIMIT, 0)),
        )
    except ValueError as e:
        names = ", ".join((AT, KNOWN_AT, LIMIT))
        raise BadRequest(f"the headers {names} are whole numbers; send such") from e


def _any(raw: bytes) -> Packed:
    try:
        return Packed.FromString(raw)
    except DecodeError as e:
        raise forbidden("this is no command of Flight SQL") from e


def _unpacked(raw: bytes) -> Message:
    """Return the command that bytes hold. Raises BadRequest SQL_FORBIDDEN."""
    packed = _any(raw)
    name = packed.type_url.rpartition("/")[2]
    kind = _COMMANDS.get(name.removeprefix(PACKAGE))
    if kind is None or not name.startswith(PACKAGE):
        raise forbidden(f"the command {name.rpartition('.')[2] or '?'} is not offered")
    command = kind()
    try:
        packed.Unpack(command)
    except DecodeError as e:
        raise forbidden("this is no command of Flight SQL") from e
    return command


def _question(raw: bytes) -> Question:
    try:
        return msgspec.msgpack.decode(raw, type=Question)
    except (msgspec.DecodeError, ValueError) as e:
        raise BadRequest("the ticket or handle is not one of ours; ask for a new one") from e


def _data(message: pa.Message) -> flight.FlightData:
    body = message.body
    return flight.FlightData(
        data_header=message.metadata.to_pybytes(),
        data_body=body.to_pybytes() if body is not None else b"",
    )


async def _bound(requests: AsyncIterator[Any]) -> tuple[Any, list[Any]]:
    """Return the command that a stream of data is for, and the values of its one row."""
    command, stream, size = None, [], 0
    async for data in requests:
        if command is None:
            command = _unpacked(data.flight_descriptor.cmd)
            if not isinstance(command, fsql.CommandPreparedStatementQuery):
                raise forbidden("this changes something")
        header = data.data_header + bytes(-(len(data.data_header) + 8) % 8)
        stream += [struct.pack("<iI", -1, len(header)), header, data.data_body]
        size += len(header) + len(data.data_body)
        if size > grpc_server.REQUEST_BYTES:
            raise TooLarge(f"values have at most {grpc_server.REQUEST_BYTES} bytes; send less")
    if command is None:
        raise forbidden("this is no command of Flight SQL")
    try:
        with pa.ipc.open_stream(b"".join(stream)) as reader:
            rows = [list(row.values()) for row in reader.read_all().to_pylist()]
    except (pa.ArrowInvalid, OSError) as e:
        raise ArrowInvalid("the values are no Arrow stream; send one row of them") from e
    if len(rows) > 1:
        raise BadRequest(f"a statement takes one row of values, not {len(rows)}; send them apart")
    return command, rows[0] if rows else []
