"""The commands about the past, against a shard and a gateway: what they print, and how they end."""

import json

import pytest

from cluster import one
from cluster.cli import run
from serving.client import Event, connect
from tests.small_twin import small_twin
from twin.errors import UnknownField, UnknownKey

NOW = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("past") / "twin"
    with small_twin(home, NOW) as folder:
        with connect(folder, name="test") as client:
            for number, (days, lat) in enumerate([(9, 1.0), (7, 3.0), (8, 2.0)]):
                time = NOW - days * DAY + (7 if days == 8 else 0)  # a time below the second
                facts = {"lat": lat, "lon": 0.0}
                said = Event(
                    "shipment.position", "tms", "S1", time, facts, f"g{number}", region="east"
                )
                client.ingest([said])
        yield folder


@pytest.fixture
def twin(folder, capsys):
    def twin(*words):
        status = run([*words, "--folder", str(folder)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return twin


def test_history_prints_what_each_event_stated_and_did(twin):
    status, told = twin("history", "S1")

    assert status == 0
    assert "lat 3 deg, lon 0 deg" in told
    assert "SUPERSEDED" in told
    assert "shown 3 of 3" in told


def test_history_goes_on_with_its_cursor(twin):
    first = json.loads(twin("history", "S1", "--limit", "2", "--json")[1])
    rest = json.loads(twin("history", "S1", "--cursor", first["cursor"], "--json")[1])

    assert [one["id"] for one in first["entries"] + rest["entries"]] == ["g2", "g1", "g0"]


def test_get_shows_a_twin_as_of_an_earlier_moment(twin):
    told = json.loads(twin("get", "S1", "--as-of", "2023-11-06T23:00:00Z", "--json")[1])

    assert told["values"]["lat"]["value"] == 2.0
    assert told["values"]["lat"]["as_of"] == "2023-11-06T22:13:20.000007Z"


def test_get_says_what_it_left_out_and_what_it_gave_all_the_same(twin):
    old = ["get", "S1", "--max-age", "60"]
    withheld = json.loads(twin(*old, "--fallback", "withhold", "--json")[1])
    status, told = twin(*old, "--fallback", "label")

    assert (withheld["values"], withheld["withheld"]) == ({}, ["lat", "lon"])
    assert "withheld as too old or unsure: lat, lon" in twin(*old, "--fallback", "withhold")[1]
    assert (status, told.splitlines()[-1]) == (3, "  mode degraded")


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("max(as_of(position))", "2023-11-07T22:13:20Z"),
        ("avg(age(position))", "7 d"),
        ("avg(as_of(position) - now())", "-604800"),
        ("sum(lat)", "3"),
        ("min(promised_at)", "-"),
    ],
)
def test_a_measure_is_shown_as_what_it_is_of(twin, measure, said):
    assert twin("aggregate", "shipment", "--measures", measure)[1].split("\n")[1].strip() == said


def test_an_aggregate_says_whether_it_is_of_now_or_of_an_earlier_moment(twin):
    summed = ["aggregate", "shipment", "--measures", "sum(lat)"]
    now = twin(*summed)[1]
    then = twin(*summed, "--as-of", "2023-11-07T23:00:00Z")[1]

    assert "source: the live shipment twins" in now
    assert "source: the shipment twins of that moment" in then


def test_diff_prints_before_and_after(twin):
    moments = ["--before", "2023-11-05T23:00:00Z", "--after", "2023-11-08T23:00:00Z"]
    status, told = twin("diff", "S1", *moments)

    assert status == 0
    assert "1 deg  3 deg" in told
    assert "shown 1 of 1 twin differs" in told
    where = json.loads(twin("diff", "--where", "lat > 2", *moments[:2], "--json")[1])
    assert where["differences"][0]["before"]["lat"]["number"] == 1.0


def test_explain_prints_what_decided_and_what_lost(twin):
    status, told = twin("explain", "S1", "lat")

    assert status == 0
    assert "decided by shipment/east/0/1: shipment.position.v1" in told
    assert "it is older: " in told
    assert "shown 2 of 2 that lost" in told


def test_when_says_since_when_a_condition_holds(twin):
    assert "2023-11-06T22:13:20Z" in twin("when", "S1", "lat = 2", "--in-the-world")[1]
    assert "never" in twin("when", "S1", "lat = 8")[1]


def test_preview_prints_what_a_retraction_would_change(twin):
    status, told = twin("preview", "shipment/east/0/1")

    assert status == 0
    assert "3 deg  2 deg" in told


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("history", "nobody", "--kind", "shipment"), 1, "ENTITY_NOT_FOUND"),
        (("explain", "S1", "latt"), 1, "did you mean lat"),
        (("get", "S1", "--fields", "latt"), 1, "did you mean lat"),
        (("diff", "S1"), 2, "say which moments"),
        (("diff",), 2, "name one twin"),
        (("get", "S1", "--as-of", "2099-01-01"), 1, "AS_OF_FUTURE"),
        (("get", "S1", "--known-at", "2001-01-01"), 1, "AS_OF_TOO_EARLY"),
        (("get", "S1", "--as-of", "yesterday"), 2, "is no time"),
    ],
)
def test_what_cannot_be_asked_ends_with_its_word(twin, words, status, said):
    ended, told = twin(*words)

    assert ended == status
    assert said in told


def test_an_id_without_a_kind_is_of_the_first_kind_that_knows_it_and_has_the_field():
    lacks = {"site": UnknownField("site has no field lat"), "stock": None}

    def ask(kind, id, region):
        if (error := lacks.get(kind, UnknownKey(f"no {kind} is called {id}"))) is not None:
            raise error
        return f"{kind}/{region}/{id}"

    assert one.named("X", None, "east").ask(ask) == "stock/east/X"
    lacks["stock"] = UnknownKey("no stock")
    with pytest.raises(UnknownField, match="site has no field lat"):
        one.named("X", None, "east").ask(ask)
    lacks.clear()
    with pytest.raises(UnknownKey, match=r"no shipment or site or .* is called X in east"):
        one.named("X", None, "east").ask(ask)
    with pytest.raises(UnknownKey, match=r"^no site is called X"):
        one.named("X", "site", "").ask(ask)
