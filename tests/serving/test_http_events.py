"""POST /v1/events: CloudEvents and plain JSON, the five outcomes, and what is no message at all."""

import base64
import json
import zlib

import pytest

from serving import http_events
from tests.serving.http_gateway import HttpGateway
from tests.serving.several import several
from twin.outcomes import Reason

TIME = "2023-11-14T22:13:00Z"
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with several(tmp_path_factory.mktemp("events") / "twin") as twin:
        yield twin


@pytest.fixture(scope="module")
def gateway(twin):
    gateway = HttpGateway(twin.folder)
    yield gateway
    gateway.close()


@pytest.fixture
def fresh(request):
    """Return what makes events with ids of this test's own."""
    name = f"{zlib.crc32(request.node.name.encode()):x}"

    def make(n=0, **more):
        event = {
            "specversion": "1.0",
            "type": "shipment.position",
            "source": f"tms-{name}",
            "id": f"e-{n}",
            "subject": f"S{name}",
            "region": "east",
            "time": TIME,
            "data": {"lat": -3.38, "lon": 29.36},
        } | more
        return {key: value for key, value in event.items() if value is not None}

    return make


def structured(gateway, event, headers=STRUCTURED):
    content = event if isinstance(event, str | bytes) else json.dumps(event)
    return gateway.ask("POST", "/v1/events", content=content, headers=headers)


def test_an_event_is_applied_and_the_same_again_is_a_duplicate_of_it(gateway, fresh):
    first = gateway.post("/v1/events", fresh())
    again = gateway.post("/v1/events", fresh())

    told = first.json()
    assert (first.status_code, told["outcome"]) == (200, "applied")
    assert told["receipt"] == f"{told['shard']}/{told['offset']}"
    assert told["epoch"] == 1
    assert again.json() == told | {"outcome": "duplicate"}
    receipt = gateway.get(f"/v1/receipts?offset={told['receipt']}").json()["receipts"][0]
    assert (receipt["id"], receipt["event_time"]) == ("e-0", TIME)


def test_what_was_offered_is_what_the_twin_says(gateway, fresh):
    event = fresh(confidence=0.5)
    gateway.post("/v1/events", event)

    told = gateway.get(f"/v1/shipments/{event['subject']}").json()

    value = told["values"]["lat"]
    assert (value["number"], value["as_of"], value["confidence"]) == (-3.38, TIME, 0.5)
    assert value["source"] == event["source"]


def test_a_parked_event_says_what_is_wrong_what_is_right_and_what_to_do(gateway, fresh):
    answer = gateway.post("/v1/events", fresh(data={"lat": 151.9, "lon": 4}))

    told = answer.json()
    assert answer.status_code == 200
    assert (told["outcome"], told["reason"]) == ("parked", "OUT_OF_RANGE")
    assert (told["field"], told["expected"], told["got"]) == ("data.lat", "<= 90", "151.9")
    assert told["remedy"] == "send the same id with the right value, or see: twin quarantine"
    parked = gateway.get("/v1/quarantine?limit=100").json()["parked"]
    assert told["receipt"] in [one["receipt"] for one in parked]


def test_a_batch_is_answered_in_its_order_whatever_became_of_each(gateway, fresh):
    events = [
        fresh(0),
        fresh(1, data={"lat": "north", "lon": 4}),
        fresh(0),
        fresh(0, data={"lat": 1.0, "lon": 4}),
        fresh(4, time="2023-11-14T22:12:00Z"),
        fresh(5, region="north"),
    ]

    answer = structured(gateway, events, BATCH)

    told = [(one["id"], one["outcome"], one.get("reason")) for one in answer.json()]
    assert told == [
        ("e-0", "applied", None),
        ("e-1", "parked", "TYPE_MISMATCH"),
        ("e-0", "duplicate", None),
        ("e-0", "rejected", "IDEMPOTENCY_CONFLICT"),
        ("e-4", "superseded", None),
        ("e-5", "rejected", "WRONG_REGION"),
    ]


@pytest.mark.parametrize(
    ("more", "reason", "field", "got"),
    [
        ({"region": None}, "REGION_MISSING", "region", ""),
        ({"region": "north"}, "WRONG_REGION", "region", "north"),
        ({"id": "no id"}, "BAD_ID", "id", "no id"),
        ({"id": 7}, "BAD_ID", "id", "7"),
        ({"subject": "../x"}, "BAD_ID", "subject", "../x"),
    ],
)
def test_a_rejected_event_says_what_is_wrong_outside_of_its_data(
    gateway, fresh, more, reason, field, got
):
    told = gateway.post("/v1/events", fresh(**more)).json()

    assert (told["outcome"], told["reason"]) == ("rejected", reason)
    assert (told["field"], told["got"]) == (field, got)
    assert told["expected"]
    assert told["remedy"]
    assert "receipt" not in told


def test_events_of_two_regions_go_to_their_shards_and_come_back_in_order(gateway, fresh):
    events = [fresh(n, region=("west", "east")[n % 2]) for n in range(6)]

    told = gateway.post("/v1/events", events).json()

    assert [one["shard"].split("/")[1] for one in told] == ["west", "east"] * 3


def test_a_structured_cloudevent_of_the_specification_keeps_our_extensions(gateway, fresh):
    event = fresh(
        subject=None,
        partitionkey="P1",
        type="shipment.position.v1",
        datacontenttype="application/json; charset=utf-8",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        comexampleothervalue=5,
        unsetextension=None,
    )

    told = structured(gateway, event).json()

    assert told["outcome"] == "applied"
    assert told["ignored"] == ["traceparent", "comexampleothervalue"]
    assert gateway.get("/v1/shipments/P1").status_code == 200


@pytest.mark.parametrize(
    ("more", "version"),
    [
        ({"type": "shipment.position.v1"}, "v1"),
        ({"dataschema": "https://example.org/schemas/shipment.position/v1"}, "v1"),
        ({"dataschema": "1"}, "v1"),
        ({"version": 1}, "v1"),
        ({"type": "shipment.position.v9"}, "v9"),
        ({"dataschema": "urn:schema:9"}, "v9"),
    ],
)
def test_a_version_is_that_of_the_type_or_of_the_schema(gateway, fresh, more, version):
    told = gateway.post("/v1/events", fresh(**more)).json()

    if version == "v1":
        assert told["outcome"] == "applied"
    else:
        assert (told["reason"], told["got"]) == ("SCHEMA_UNSUPPORTED", "shipment.position.v9")


def test_times_of_the_payload_are_text_as_well(gateway, fresh):
    event = fresh(type="shipment.promised", data={"promised_at": "2023-12-01"})

    gateway.post("/v1/events", event)

    told = gateway.get(f"/v1/shipments/{event['subject']}").json()
    assert told["values"]["promised_at"]["time"] == "2023-12-01T00:00:00Z"


def test_data_may_come_as_base64(gateway, fresh):
    packed = base64.b64encode(b'{"lat": 7.5, "lon": 1}').decode()
    event = fresh(data=None, data_base64=packed)

    assert structured(gateway, event).json()["outcome"] == "applied"
    told = gateway.get(f"/v1/shipments/{event['subject']}").json()
    assert told["values"]["lat"]["number"] == 7.5


def test_an_event_may_come_in_headers_with_its_data_as_the_body(gateway, fresh):
    event = fresh(subject="H%201", confidence="0.25")
    data = event.pop("data")
    headers = {f"ce-{name}": value for name, value in event.items()}

    plain = gateway.post("/v1/events", data, headers=headers | {"ce-subject": "H1"})
    coded = gateway.post("/v1/events", data, headers=headers | {"ce-id": "e-9"})

    assert plain.json()["outcome"] == "applied"
    assert gateway.get("/v1/shipments/H1").json()["values"]["lat"]["confidence"] == 0.25
    assert (coded.json()["outcome"], coded.json()["reason"]) == ("rejected", "BAD_ID")  # a space


def test_a_retraction_withdraws_what_was_said(gateway, fresh):
    first = fresh(0)
    gateway.post("/v1/events", first)

    told = gateway.post("/v1/events", fresh(1, retracts="e-0", data={})).json()

    assert told["outcome"] == "applied"
    twin = gateway.get(f"/v1/shipments/{first['subject']}").json()
    assert "lat" not in twin.get("values", {})


def test_an_event_without_an_id_is_known_by_its_content(gateway, fresh):
    first = gateway.post("/v1/events", fresh(id=None)).json()
    again = gateway.post("/v1/events", fresh(id=None)).json()

    assert (first["outcome"], again["outcome"]) == ("applied", "duplicate")


def test_no_events_are_answered_with_none(gateway):
    assert structured(gateway, [], BATCH).json() == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_row_27_a_number_that_is_none_parks_its_event(gateway, fresh, value):
    body = json.dumps(fresh(data={"lat": "HERE", "lon": 4})).replace('"HERE"', value)

    told = gateway.ask("POST", "/v1/events", content=body).json()

    assert (told["outcome"], told["reason"], told["field"]) == ("parked", "NOT_FINITE", "data.lat")


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("9999-01-01T00:00:00Z", "TIME_OUT_OF_RANGE"),
        ("0001-01-01T00:00:00Z", "TIME_OUT_OF_RANGE"),
        ("2023-11-17T00:00:00Z", "TIME_OUT_OF_RANGE"),
        ("yesterday", "TIME_OUT_OF_RANGE"),
        (None, "TIME_OUT_OF_RANGE"),
    ],
)
def test_row_28_a_time_out_of_range_parks_its_event(gateway, fresh, time, reason):
    told = gateway.post("/v1/events", fresh(time=time)).json()

    assert (told["outcome"], told["reason"], told["field"]) == ("parked", reason, "time")


DEEP = '{"type": "a", "data": {"lat": ' + "[" * 20 + "]" * 20 + "}}"
SOUND = {"type": "shipment.position", "source": "s", "subject": "a", "time": TIME, "data": {}}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "MALFORMED"),
        ("{", 400, "MALFORMED"),
        (b"\xff\xfe", 400, "MALFORMED"),
        ("3", 400, "MALFORMED"),
        ("[3]", 400, "MALFORMED"),
        ("{}", 400, "MALFORMED"),
        (DEEP, 400, "TOO_DEEP"),
        ("[" * 100_000, 400, "TOO_DEEP"),
        ('{"data": {"lat": 1, "lat": 2}}', 400, "DUPLICATE_FIELD"),
        ('{"data": {"lat": %s}}' % ("1" * 5000), 400, "NUMBER_TOO_LONG"),
        (json.dumps(SOUND | {"data": [1]}), 400, "MALFORMED"),
        (json.dumps(SOUND | {"data": 1.5}), 400, "MALFORMED"),
        (json.dumps(SOUND | {"confidance": 1}), 400, "MALFORMED"),
        (json.dumps(SOUND | {"data_base64": "e30="}), 400, "MALFORMED"),
        (json.dumps(SOUND | {"datacontenttype": "application/xml"}), 400, "MALFORMED"),
        (json.dumps(SOUND | {"dataschema": "v2", "version": 1}), 400, "MALFORMED"),
        (json.dumps(SOUND | {"subject": "\ud800"}), 400, "MALFORMED"),
        (b" " * (http_events.BODY_LIMIT + 1), 413, "MESSAGE_TOO_LARGE"),
        (b"[" + b"{}," * 30_000 + b"{}]", 400, "MALFORMED"),
    ],
)
def test_what_is_no_message_is_refused_with_its_code_word(gateway, body, status, code):
    answer = gateway.ask("POST", "/v1/events", content=body)

    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["detail"]


def test_more_events_than_a_request_may_have_are_refused(gateway, fresh):
    many = [SOUND | {"id": f"e-{n}"} for n in range(http_events.MOST_EVENTS + 1)]

    answer = gateway.post("/v1/events", many)

    assert (answer.status_code, answer.json()["code"]) == (400, "TOO_LARGE")


@pytest.mark.parametrize(
    "event",
    [
        {"specversion": "0.3"},
        {"specversion": None},
        {"id": None},
        {"id": ""},
        {"id": 7},
        {"source": None},
        {"type": None},
        {"Bad-Name": 1},
    ],
)
def test_a_cloudevent_without_what_every_one_must_have_is_malformed(gateway, fresh, event):
    for body, headers in ((fresh(**event), STRUCTURED), ([fresh(1), fresh(**event)], BATCH)):
        answer = structured(gateway, body, headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED")

    assert gateway.get(f"/v1/shipments/{fresh()['subject']}").status_code == 404  # none was offered


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/cloudevents+avro"])
def test_a_body_of_another_type_is_refused(gateway, fresh, kind):
    answer = structured(gateway, fresh(), {"content-type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "MEDIA_TYPE")


def test_an_event_waits_for_the_successor_of_its_writer_and_is_applied_once(gateway, twin, fresh):
    first = gateway.post("/v1/events", fresh(0)).json()
    name = first["shard"]
    kind, region, number = name.split("/")

    twin.end(name)
    twin.begin(kind, region, int(number), 2, epoch=2)
    told = gateway.post("/v1/events", [fresh(0), fresh(1, time="2023-11-14T22:13:05Z")]).json()

    assert [(one["outcome"], one["epoch"]) for one in told] == [("duplicate", 2), ("applied", 2)]
    assert told[0]["receipt"] == first["receipt"]


def test_events_that_nobody_takes_can_be_sent_again(gateway, fresh):
    lead_time = {"lead_time_days": 4}

    answer = gateway.post("/v1/events", fresh(type="supplier.lead_time", data=lead_time))

    told = answer.json()
    assert (answer.status_code, told["code"]) == (503, "REGION_UNAVAILABLE")
    assert told["retry_after"] > 0


def test_events_need_the_scope_write_and_the_token_s_tenant(gateway, fresh):
    reading = gateway.post("/v1/events", fresh(), scopes=("read",))
    foreign = gateway.post("/v1/events", fresh(tenant="other"))

    assert (reading.status_code, reading.json()["code"]) == (403, "SCOPE_MISSING")
    assert (foreign.status_code, foreign.json()["code"]) == (403, "TENANT_MISMATCH")


def test_every_reason_has_a_remedy():
    assert set(http_events.REMEDIES) == set(Reason)
