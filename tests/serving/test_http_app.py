"""The HTTP surface against a gateway in memory: what it says, and how it refuses."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from serving import http_problem
from tests.serving.http_chain import ORIGINS, Fact
from tests.serving.http_surface import Surface
from tests.serving.http_world import recovering
from twin import errors


def test_status_has_the_names_of_the_proto_and_times_as_text(surface: Surface) -> None:
    answer = surface.ask("/v1/status")

    told = answer.json()
    assert answer.status_code == 200
    assert answer.headers["twin-mode"] == told["mode"] == "normal"
    assert told["now"] == "2013-09-01T18:00:00Z"
    assert (told["clock"], told["speed"]) == ("replay", 21600.0)
    assert [s["name"] for s in told["shards"]][:2] == ["shipment/east/0", "shipment/west/0"]
    assert told["shards"][0]["outcomes"]["APPLIED"] == told["shards"][0]["offset"]
    assert told["shards"][0]["newest_as_of"].endswith("Z")


def test_digests_are_computed_only_when_asked_for(surface: Surface) -> None:
    plain, asked = surface.ask("/v1/status"), surface.ask("/v1/status?digests=true")

    assert plain.json()["shards"][0]["truth_digest"] == ""
    assert asked.json()["shards"][0]["truth_digest"] == "9f2c41"


def test_every_value_of_a_shipment_says_when_where_from_and_how_sure(surface: Surface) -> None:
    answer = surface.ask("/v1/shipments/78000")

    told = answer.json()
    assert told["id"] == "78000"
    for value in told["values"].values():
        assert {"as_of", "age_ms", "confidence", "source", "state", "unit"} <= set(value)
    assert told["values"]["status"]["text"] in {"ORDERED", "DEPARTED"}
    assert re.fullmatch(r"2013-\d\d-\d\dT12:00:00Z", told["values"]["promised_at"]["time"])
    assert isinstance(told["values"]["quantity"]["integer"], int)
    assert told["now"] == "2013-09-01T12:00:00Z"


@pytest.mark.parametrize(
    ("path", "kind"),
    [("sites/za-central", "site"), ("stock/za-central:zidovudine", "stock")],
)
def test_other_kinds_have_their_own_address(surface: Surface, path: str, kind: str) -> None:
    answer = surface.ask(f"/v1/{path}")

    assert answer.json()["key"].startswith(f"demo/{kind}/east/")


def test_a_search_says_how_many_it_shows_of_how_many(surface: Surface) -> None:
    asked = {"where": "status = 'ORDERED'", "fields": "site, status", "limit": 5}

    told = surface.ask("/v1/search", params=asked).json()

    assert (told["shown"], told["limit"]) == (5, 5)
    assert told["total"] > 300
    assert len(told["twins"]) == 5
    assert set(told["twins"][0]["values"]) == {"site", "status"}


def test_an_aggregate_names_its_groups_and_measures(surface: Surface) -> None:
    told = surface.ask("/v1/aggregate?by=status&measures=count,avg(temp_c)").json()

    counted = {group["by"][0]: group["measures"][0] for group in told["groups"]}
    assert counted["DELIVERED"] == 700
    assert sum(counted.values()) == 1254
    assert told["measures"] == ["count", "avg(temp_c)"]


def test_a_measure_of_nothing_is_null_and_not_a_number(surface: Surface) -> None:
    told = surface.ask("/v1/aggregate?by=status&measures=avg(temp_c)").json()

    delivered = next(g for g in told["groups"] if g["by"] == ["DELIVERED"])
    assert delivered["measures"] == [None]


def test_receipts_follow_events_by_source_and_ids(surface: Surface) -> None:
    told = surface.ask("/v1/receipts?source=my-tms&id=e-1&id=e-2").json()

    assert [r["id"] for r in told["receipts"]] == ["e-1", "e-2"]
    assert told["receipts"][0]["receipt"] == "shipment/east/0/41"


def test_the_quarantine_lists_parked_events_with_their_reason(surface: Surface) -> None:
    told = surface.ask("/v1/quarantine").json()

    assert told["parked"][0]["reason"] == "OUT_OF_RANGE"
    assert (told["shown"], told["total"]) == (1, 1)


def test_a_degraded_answer_says_so_in_header_and_body(surface: Surface) -> None:
    surface.world.away = {"shipment/east/1"}

    answer = surface.ask("/v1/search")

    assert answer.headers["twin-mode"] == answer.json()["mode"] == "degraded"
    assert answer.json()["missing"] == ["shipment/east/1"]


def test_health_needs_no_token(surface: Surface) -> None:
    answer = surface.open("/healthz")

    assert answer.json() == {"status": "ok", "version": "9.9"}


FAULTS = [
    (errors.UnknownKey("no such"), 404, "ENTITY_NOT_FOUND"),
    (errors.AmbiguousKey("two"), 409, "ENTITY_AMBIGUOUS"),
    (errors.UnknownField("no field"), 400, "FIELD_UNKNOWN"),
    (errors.Malformed("bytes"), 400, "MALFORMED"),
    (errors.TooLarge("big"), 413, "MESSAGE_TOO_LARGE"),
    (errors.BadRequest("where", "WHERE_INVALID"), 400, "WHERE_INVALID"),
    (errors.BadRequest("other region", "WRONG_REGION"), 421, "WRONG_REGION"),
    (errors.Denied("tenant", "TENANT_MISMATCH"), 403, "TENANT_MISMATCH"),
    (errors.Overloaded("queue", 0.2), 429, "OVERLOADED"),
    (errors.Recovering("replaying", 1.5), 503, "SHARD_RECOVERING"),
    (errors.Unavailable("away", 0.5), 503, "SHARD_UNAVAILABLE"),
    (errors.Fenced("newer", 0.1), 409, "FENCED"),
    (errors.NotOwner("another", 0.1), 421, "NOT_OWNER"),
    (errors.Stale("old", 2.0), 503, "TOO_OLD"),
    (errors.DiskFull("full", 30.0), 503, "DISK_FULL"),
    (errors.JournalFailed("write of /secret failed"), 500, "JOURNAL_FAILED"),
    (errors.JournalCorrupt("crc in /secret"), 500, "JOURNAL_CORRUPT"),
    (TimeoutError("secret"), 504, "DEADLINE_EXCEEDED"),
    (RuntimeError("secret"), 500, "INTERNAL"),
]


@pytest.mark.parametrize(("fault", "status", "code"), FAULTS, ids=[f[2] for f in FAULTS])
def test_every_error_is_a_problem_with_its_code_word(
    surface: Surface, fault: Exception, status: int, code: str
) -> None:
    surface.world.fault = fault

    answer = surface.ask("/v1/status")

    told = answer.json()
    assert answer.status_code == told["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["code"] == code
    assert {"type", "title", "detail"} <= set(told)
    assert re.fullmatch(r"[0-9a-f]{32}", told["trace_id"])
    assert "secret" not in answer.text
    assert ("retry_after" in told) is ("retry-after" in answer.headers)


def test_a_retryable_problem_says_when_to_come_back(surface: Surface) -> None:
    surface.world.fault = recovering()

    answer = surface.ask("/v1/status")

    assert answer.json()["retry_after"] == 1.5
    assert answer.headers["retry-after"] == "2"


def test_a_problem_keeps_the_trace_of_its_caller(surface: Surface) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}

    answer = surface.ask("/v1/shipments/NOPE", headers=parent)

    assert answer.json()["trace_id"] == trace


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/shipments/NOPE", 404, "ENTITY_NOT_FOUND"),
        ("/v1/shipments/..%2e", 400, "BAD_ID"),
        ("/v1/wagons/1", 404, "NOT_FOUND"),
        ("/v1/nothing", 404, "NOT_FOUND"),
        ("/v1/shipments/78000?max_age_s=1", 503, "TOO_OLD"),
        ("/v1/shipments/78000?max_age_s=nan", 400, "INVALID_ARGUMENT"),
        ("/v1/shipments/78000?min_confidence=2", 400, "INVALID_ARGUMENT"),
        ("/v1/search?fields=nonsense", 400, "FIELD_UNKNOWN"),
        ("/v1/search?limit=0", 400, "INVALID_ARGUMENT"),
        ("/v1/search?limit=10001", 400, "INVALID_ARGUMENT"),
        ("/v1/receipts?source=x", 400, "INVALID_ARGUMENT"),
        ("/static/nothing.js", 404, "NOT_FOUND"),
        ("/static/..%2f..%2fpyproject.toml", 404, "NOT_FOUND"),
        ("/reports/nothing.html", 404, "NOT_FOUND"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    surface: Surface, path: str, status: int, code: str
) -> None:
    answer = surface.ask(path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


def test_an_id_in_two_regions_is_ambiguous_until_the_region_is_named(surface: Surface) -> None:
    origin = next(iter(ORIGINS))
    surface.world.put("site", "east", origin, {"name": Fact("twice", 1_000_000, "test")})

    bare = surface.ask(f"/v1/sites/{origin}")
    named = surface.ask(f"/v1/sites/{origin}?region=east")

    assert (bare.status_code, bare.json()["code"]) == (409, "ENTITY_AMBIGUOUS")
    assert named.json()["region"] == "east"


def test_another_method_is_refused_with_what_is_allowed(surface: Surface) -> None:
    answer = surface.ask("/v1/status", method="DELETE")

    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET"


def test_more_requests_at_once_than_there_is_room_for_are_told_to_come_back() -> None:
    async def all_of_them() -> list[int]:
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            entered.set()
            await go_on.wait()
            await Response("done")(scope, receive, send)

        transport = httpx.ASGITransport(http_problem.Guard(slow, most=1))
        async with httpx.AsyncClient(transport=transport, base_url="http://twin") as client:
            first = asyncio.ensure_future(client.get("/"))
            await entered.wait()
            refused = await client.get("/")
            assert refused.json()["code"] == "OVERLOADED"
            assert refused.headers["retry-after"] == "1"
            go_on.set()
            return [
                (await first).status_code,
                refused.status_code,
                (await client.get("/")).status_code,
            ]

    assert asyncio.run(all_of_them()) == [200, 429, 200]
