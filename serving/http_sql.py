"""SQL and whole tables over HTTP: POST /v1/sql, GET /v1/tables/NAME, in the form that is asked for.

An answer is complete before its first byte is sent, so its status never says what did not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from serving import deadline, http_asked, http_schema, http_session, http_table
from serving.access import Identity
from serving.http_answer import MODE
from serving.http_body import read_object
from serving.http_json import rfc3339
from serving.http_ports import TokenPort
from serving.http_table import ARROW, JSON, LONGEST_JSON, MEDIA
from serving.sql_tables import TABLES
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest

BODY_LIMIT = 1 << 20
WRITING = 2  # answers turned into another form at once: each takes up to 256 MiB meanwhile
Sql = Callable[[pb.SqlRequest, Identity], AsyncIterator[pb.SqlReply]]
_SQL = http_asked.names(pb.SqlRequest)
_SEARCH = http_asked.names(pb.SearchRequest)
_OF_TABLE = {n: _SQL[n] for n in ("limit", "region", "as_of", "known_at")} | {
    n: _SEARCH[n] for n in ("fields", "where", "order")
}


def router(tokens: TokenPort, sql: Sql) -> APIRouter:
    """Return the addresses that answer in tables."""
    found, door = APIRouter(), Door(tokens, sql)
    found.add_api_route(
        "/v1/sql", door.statement, methods=["POST"], response_class=Response,
        **http_schema.operation(
            "post_sql", "Read-only SQL over the tables", body=(*_SQL, "format"), fields=_SQL,
            media=_media(), schema=_schema(),
        ),
    )  # fmt: skip
    found.add_api_route(
        "/v1/tables/{name}", door.table, methods=["GET"], response_class=Response,
        **http_schema.operation(
            "get_tables_name", "A table, or some of it: NAME, or NAME.csv, NAME.parquet, ...",
            path=("name",), query=(*_OF_TABLE, "format"), fields=_OF_TABLE, media=_media(),
            schema=_schema(),
        ),
    )  # fmt: skip
    return found


class Door:
    """Answers in tables for one gateway's callers."""

    def __init__(self, tokens: TokenPort, sql: Sql) -> None:
        self._tokens = tokens
        self._sql = sql
        self._writing = asyncio.Semaphore(WRITING)

    async def statement(self, request: Request) -> Response:
        """Answer `sql`, as of when and in the format that the body or Accept says."""
        who = http_session.enter(self._tokens, request)
        said = await read_object(request, BODY_LIMIT)
        wanted = http_table.form(_text(said.pop("format", "")), _accept(request))
        asked = http_asked.message(pb.SqlRequest, _SQL, said)
        if not asked.sql:
            raise BadRequest('the question has no sql; send {"sql": "SHOW TABLES"}')
        return await self._answer(asked, wanted, who, "answer")

    async def table(self, request: Request) -> Response:
        """Answer with a table, or the fields and rows of it that are asked for."""
        who = http_session.enter(self._tokens, request)
        name, _, ending = request.path_params["name"].partition(".")
        if name not in TABLES:
            raise BadRequest(
                f"there is no table {name[:40]!r}; there are {', '.join(TABLES)}", "NOT_FOUND"
            )
        pairs = request.query_params.multi_items()
        formats = [value for key, value in pairs if key == "format"]
        wanted = http_table.form(ending or "".join(formats[:1]), _accept(request))
        said = http_asked.of_query(_OF_TABLE, [pair for pair in pairs if pair[0] != "format"])
        asked = http_asked.message(
            pb.SqlRequest, _SQL, {n: v for n, v in said.items() if n in _SQL}
        )
        asked.sql = _select(name, said)
        return await self._answer(asked, wanted, who, name)

    async def _answer(
        self, asked: pb.SqlRequest, wanted: str, who: Identity, name: str
    ) -> Response:
        if wanted == JSON:
            if asked.limit > LONGEST_JSON:
                raise BadRequest(
                    f"JSON has at most {LONGEST_JSON} rows; ask for Arrow, Parquet or CSV"
                )
            asked.limit = asked.limit or LONGEST_JSON
        deadline.begin(None)
        replies = self._sql(asked, who)
        first = await anext(replies)
        if wanted == ARROW:
            headers = {"cache-control": "no-store", "content-disposition": _named(name, wanted)}
            return StreamingResponse(
                _streamed(first, replies), headers=headers, media_type=MEDIA[ARROW]
            )
        async with self._writing:
            raws, last = [first.arrow], first
            async for last in replies:
                raws.append(last.arrow)
            told = _told(last)
            body = await asyncio.to_thread(_written, wanted, b"".join(raws), told)
        headers = {"cache-control": "no-store", MODE: told["mode"]}
        headers |= {
            "twin-now": told["now"],
            "twin-rows": str(last.rows),
            "twin-truncated": str(last.truncated).lower(),
            "twin-offsets": msgspec.json.encode(told["offsets"]).decode(),
        }
        if wanted != JSON:
            headers["content-disposition"] = _named(name, wanted)
        return Response(body, 200, headers, media_type=MEDIA[wanted])


async def _streamed(
    first: pb.SqlReply, replies: AsyncIterator[pb.SqlReply]
) -> AsyncIterator[bytes]:
    yield first.arrow
    async for reply in replies:
        yield reply.arrow


def _written(wanted: str, raw: bytes, told: Mapping[str, Any]) -> bytes:
    with pa.ipc.open_stream(raw) as reader:
        return http_table.write(wanted, reader.read_all(), dict(told))


def _told(reply: pb.SqlReply) -> dict[str, Any]:
    return {
        "shown": reply.rows,
        "truncated": reply.truncated,
        "mode": pb.Mode.Name(reply.mode).lower(),
        "now": rfc3339(reply.now),
        "offsets": dict(reply.offsets),
        "missing": list(reply.missing),
    }


def _select(name: str, said: Mapping[str, Any]) -> str:
    """Return the statement that parameters mean; what they say is checked as any other is."""
    fields = said.get("fields", [])
    shown = ", ".join('"' + field.replace('"', '""') + '"' for field in fields) or "*"
    text = f"SELECT {shown} FROM {name}"
    if where := said.get("where", ""):
        text += f"\nWHERE (\n{where}\n)"
    if order := said.get("order", ""):
        parts = [part.strip() for part in order.split(",") if part.strip()]
        text += "\nORDER BY " + ", ".join(
            f'"{part.removeprefix("-")}"{" DESC" if part.startswith("-") else ""} NULLS LAST'
            for part in (part.replace('"', '""') for part in parts)
        )
    return text


def _named(name: str, wanted: str) -> str:
    return f'attachment; filename="{name}.{wanted}"'


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest("format is a text; send it in quotes")
    return value


def _media() -> list[str]:
    return [kind.partition(";")[0] for kind in MEDIA.values()]


def _schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "object"}},
            "rows": {"type": "array", "items": {"type": "object"}},
            "shown": {"type": "integer"},
            "truncated": {"type": "boolean"},
            "mode": {"enum": ["normal", "degraded"]},
            "now": http_schema.TIME,
            "offsets": {"type": "object", "additionalProperties": {"type": "integer"}},
            "missing": {"type": "array", "items": {"type": "string"}},
        },
    }
