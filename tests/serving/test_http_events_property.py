"""Properties of POST /v1/events: the outcomes of gRPC, whatever the form; and never a fault."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.client import Event
from tests.serving.http_gateway import HttpGateway
from tests.serving.several import NOW, several

FORMS = {
    "plain": {"content-type": "application/json"},
    "batch": {"content-type": "application/cloudevents-batch+json"},
}
AT = "2023-11-14T22:13:20.{:06d}Z"  # NOW and some microseconds
_runs = itertools.count()


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with several(tmp_path_factory.mktemp("property") / "twin") as twin:
        yield twin


@pytest.fixture(scope="module")
def client(twin):
    with twin.client() as client:
        yield client


@pytest.fixture(scope="module")
def gateway(twin):
    gateway = HttpGateway(twin.folder)
    yield gateway
    gateway.close()


value = st.one_of(
    st.floats(-100, 100, width=32),
    st.sampled_from([1e9, float("nan"), float("inf"), None, "north", True, 2**70, [1], {"a": 1}]),
)
event = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c", "no id"]),
        "subject": st.sampled_from(["S1", "S2", "../S"]),
        "region": st.sampled_from(["east", "west", "north", ""]),
        "time": st.integers(0, 5),
        "data": st.dictionaries(st.sampled_from(["lat", "lon", "odd"]), value, max_size=3),
        "confidence": st.sampled_from([1.0, 0.5, 7.0]),
    }
)


@settings(max_examples=40)
@given(st.lists(event, min_size=1, max_size=6))
def test_events_come_to_the_same_outcomes_by_every_form(client, gateway, events):
    run = next(_runs)
    grpc = [
        Event(
            "shipment.position", f"grpc/{run}", f"g{run}-{e['subject']}", NOW + e["time"],
            {n: _sent(v) for n, v in e["data"].items()}, e["id"], e["region"],
            confidence=e["confidence"],
        )
        for e in events
    ]  # fmt: skip
    expected = [(r.outcome.lower(), r.reason) for r in client.ingest(grpc)]

    for form, headers in FORMS.items():
        said = [
            {
                "specversion": "1.0",
                "type": "shipment.position",
                "source": f"{form}/{run}",
                "subject": f"{form[0]}{run}-{e['subject']}",
                "time": AT.format(e["time"]),
            }
            | {name: e[name] for name in ("id", "region", "data", "confidence")}
            for e in events
        ]
        answer = gateway.ask("POST", "/v1/events", content=json.dumps(said), headers=headers)
        told = [(one["outcome"], one.get("reason", "")) for one in answer.json()]
        assert told == expected


def _sent(given):
    """Return what a row can hold of a whole number that has too many bits."""
    return float(given) if given == 2**70 and not isinstance(given, bool) else given


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "source", "id", "subject", "time", "data", "region", "x"]),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
KINDS = (*(form["content-type"] for form in FORMS.values()), "application/cloudevents+json")


@given(anything, st.sampled_from(KINDS))
def test_whatever_is_sent_is_answered_with_outcomes_or_a_problem(gateway, body, kind):
    answer = gateway.ask(
        "POST", "/v1/events", content=json.dumps(body), headers={"content-type": kind}
    )

    if answer.status_code == 200:
        told = answer.json()
        assert all("outcome" in one for one in (told if isinstance(told, list) else [told]))
    else:
        assert answer.status_code in {400, 403}
        assert answer.json()["code"] != "INTERNAL"


@given(st.binary(max_size=40), st.sampled_from(KINDS))
def test_bytes_that_are_no_json_are_malformed(gateway, raw, kind):
    answer = gateway.ask("POST", "/v1/events", content=raw, headers={"content-type": kind})

    assert answer.status_code in {200, 400}
