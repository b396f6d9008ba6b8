"""Changes over HTTP: a browser's event stream, that goes on behind the id of its last event."""

import asyncio
import json
import threading
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from starlette.requests import Request

from serving import gateway
from serving.access import Doors, Identity, mint
from serving.client import Event
from serving.gateway_surface import GatewaySurface
from serving.http_watch import Watches, event
from serving.wire import twin_pb2 as pb
from tests.serving.several import NOW, clock, several
from twin.errors import SlowConsumer, TwinError

WARM = {"where": "temp_c > 8", "fields": "temp_c"}


def reading(subject, temp_c, number=0):
    facts = {"temp_c": temp_c}
    id = f"{subject}:{number}"
    return Event("shipment.condition", "sensor", subject, NOW - 1000 + number, facts, id, "east")


class Served:
    """A gateway's HTTP over a real socket."""

    def __init__(self, folder):
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(20)

    async def _run(self):
        surface = GatewaySurface(self.folder, "east", clock, pb.StatusReply)
        self.app = gateway.application(surface, Doors(self.folder, "east"), self.folder)
        config = uvicorn.Config(
            self.app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=5
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.ensure_future(self._server._serve())
        while not self._server.started:
            await asyncio.sleep(0)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()
        await self.app.state.watches.close()
        self._server.should_exit = True
        await serving
        await surface.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        self._loop.close()

    @contextmanager
    def open(self, tenant="demo", last="", **asks):
        """Yield the answer to a subscription, unread."""
        token = mint(self.folder / "key", name="test", scopes=["read"], tenant=tenant)
        headers = {"authorization": f"Bearer {token}"} | ({"last-event-id": last} if last else {})
        url = f"http://127.0.0.1:{self.port}/v1/subscribe"
        with httpx.stream("GET", url, params=asks, headers=headers, timeout=20) as answer:
            yield answer


def events(answer):
    """Yield (id, name, data) of each event."""
    id = name = ""
    for line in answer.iter_lines():
        head, _, rest = line.partition(": ")
        if head == "id":
            id = rest
        elif head == "event":
            name = rest
        elif head == "data":
            yield id, name, json.loads(rest)
            id = ""


def until_synced(stream):
    told = []
    for id, _, data in stream:
        told += data["changes"]
        if data["synced"]:
            return id, told
    raise AssertionError("the stream ended before it was synced")


def next_changes(stream):
    return next((id, data["changes"]) for id, name, data in stream if name == "changes")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with several(tmp_path_factory.mktemp("watch") / "twin", shards=1, kinds=()) as twin:
        served = Served(twin.folder)
        twin.http = served
        try:
            yield twin
        finally:
            served.close()


def test_an_event_stream_has_who_matches_then_each_change_with_the_id_to_go_on_with(twin):
    with twin.client() as client:
        client.ingest([reading("a", 9.0), reading("b", 3.0)])
        with twin.http.open(**WARM) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            stream = events(answer)
            id, first = until_synced(stream)
            client.ingest([reading("b", 10.0, 1)])
            behind, changes = next_changes(stream)
        client.ingest([reading("a", 2.0, 2)])
        with twin.http.open(last=behind, **WARM) as answer:
            _, missed = next_changes(events(answer))

    assert [(one["change"], one["twin"]["id"]) for one in first] == [("entered", "a")]
    assert first[0]["twin"]["values"]["temp_c"]["number"] == 9.0
    assert id
    assert behind
    assert [(one["change"], one["twin"]["id"]) for one in changes] == [("entered", "b")]
    assert [(one["change"], one["twin"]["id"]) for one in missed] == [("left", "a")]


@pytest.mark.parametrize(
    ("asks", "status", "code"),
    [
        ({"where": "temp > 8"}, 400, "FIELD_UNKNOWN"),
        ({"where": "age(condition) > interval '1 hour'"}, 400, "FILTER_TIMED"),
        ({"fields": "stale"}, 400, "FILTER_TIMED"),
        ({"kind": "wagon"}, 400, "INVALID_ARGUMENT"),
        ({"cursor": "abc"}, 400, "CURSOR_INVALID"),
        ({"only_changes": "perhaps"}, 400, "INVALID_ARGUMENT"),
        ({"from": "shipment/east/0/5"}, 400, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_wrong_with_the_question_is_a_problem_and_no_stream(twin, asks, status, code):
    with twin.http.open(**asks) as answer:
        told = json.loads(answer.read())

    assert (answer.status_code, told["code"]) == (status, code)


def test_an_id_is_good_for_its_own_question_and_tenant_only(twin):
    with twin.http.open(only_changes="true", **WARM) as answer:
        id, _ = until_synced(events(answer))

    with twin.http.open(last=id, where="temp_c > 7") as other:
        told = json.loads(other.read())
    with twin.http.open(last=id, tenant="acme", **WARM) as foreign:
        refused = json.loads(foreign.read())

    assert told["code"] == refused["code"] == "CURSOR_INVALID"


def test_without_a_token_there_is_no_stream(twin):
    answer = httpx.get(f"http://127.0.0.1:{twin.http.port}/v1/subscribe")

    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_MISSING")


def test_the_document_of_addresses_names_it(twin):
    token = mint(twin.folder / "key", name="test", scopes=["read"])
    url = f"http://127.0.0.1:{twin.http.port}/v1/openapi.json"
    found = httpx.get(url, headers={"authorization": f"Bearer {token}"}).json()

    asked = found["paths"]["/v1/subscribe"]["get"]["parameters"]
    names = {one["name"] for one in asked}
    assert names == {"kind", "where", "fields", "region", "cursor", "only_changes"}
    assert all(one["description"] for one in asked)


def test_parts_of_one_commit_have_no_id_but_the_last():
    part = pb.SubscribeReply(changes=[pb.Change(change="left")], cursor="c0", more=True)
    last = pb.SubscribeReply(changes=[pb.Change(change="left")], cursor="c1")

    assert event(part).startswith(b"event: changes\n")
    assert event(last).startswith(b"id: c1\nevent: changes\n")


class _Tokens:
    def verify(self, token):
        return Identity("test", "demo", "east", frozenset({"read"}), 0)


def _request():
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/subscribe",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer x"), (b"host", b"h")],
        "server": ("h", 80),
        "scheme": "http",
    }
    return Request(scope)


def test_a_stream_beyond_the_bound_is_told_to_come_back_and_closing_ends_those_that_are_open():
    async def quiet(request, who):
        yield pb.SubscribeReply(synced=True, cursor="c")
        await asyncio.Event().wait()

    async def told():
        watches = Watches(_Tokens(), quiet, most=1)
        answer = await watches.answer(_request())
        with pytest.raises(TwinError) as refused:
            await watches.answer(_request())
        pieces = aiter(answer.body_iterator)
        first = await anext(pieces)
        await watches.close()
        rest = [piece async for piece in pieces]
        with pytest.raises(TwinError) as late:  # whoever comes back at once finds none that begins
            await watches.answer(_request())
        return first, rest, refused.value.code, late.value.code

    first, rest, code, late = asyncio.run(told())

    assert b"id: c\nevent: bookmark\n" in first
    assert (rest, code, late) == ([], "OVERLOADED", "SHARD_UNAVAILABLE")


def test_a_reader_who_takes_nothing_keeps_no_other_out():
    async def quiet(request, who):
        yield pb.SubscribeReply(synced=True, cursor="c")
        await asyncio.Event().wait()

    async def told():
        watches = Watches(_Tokens(), quiet, most=1, stuck_s=0.0)
        stuck = await watches.answer(_request())
        while not watches._stuck:
            await asyncio.sleep(0)
        brisk = await watches.answer(_request())
        firsts = [await anext(aiter(one.body_iterator)) for one in (stuck, brisk)]
        await watches.close()
        return firsts

    assert all(b"id: c\nevent: bookmark\n" in first for first in asyncio.run(told()))


def test_what_ends_a_stream_that_has_begun_is_its_last_event():
    async def breaks(request, who):
        yield pb.SubscribeReply(synced=True, cursor="c")
        raise SlowConsumer("too slow; go on", 0.2)

    async def told():
        answer = await Watches(_Tokens(), breaks).answer(_request())
        return [piece async for piece in answer.body_iterator]

    last = asyncio.run(told())[-1]

    assert last.startswith(b"event: end\n")
    assert json.loads(last.split(b"data: ")[1])["code"] == "SLOW_CONSUMER"
