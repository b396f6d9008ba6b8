"""Freshness as a contract: what is too old or too unsure is refused, withheld or labelled."""

import pytest

from serving import arrow
from serving.client import Event
from serving.wire import twin_pb2 as pb
from tests.serving.chain import chain, ids, search
from tests.serving.several import NOW
from twin.errors import BadRequest, Stale, UnknownField


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with chain(tmp_path_factory.mktemp("fresh") / "t") as world:
        yield world.client()


def test_values_that_are_too_old_are_refused_withheld_or_labelled(client):
    asked = {"where": "id IN ('S01', 'S02')", "order": "id", "fields": ["lat", "quantity"]}
    with pytest.raises(Stale, match="lat of S01 is 259200 s old") as refused:
        search(client, **asked, max_age_s=3600)
    without = search(client, **asked, max_age_s=3600, fallback=pb.WITHHOLD)
    labelled = search(client, **asked, max_age_s=3600, fallback=pb.LABEL)

    assert refused.value.code == "TOO_OLD"
    assert [sorted(twin.values) for twin in without.twins] == [["quantity"], ["lat", "quantity"]]
    assert (list(without.withheld), without.mode) == (["lat"], pb.NORMAL)
    assert [twin.values["lat"].state for twin in labelled.twins] == ["stale", "live"]
    assert (list(labelled.withheld), labelled.mode) == ([], pb.DEGRADED)


def test_values_that_are_not_sure_enough_are_refused_withheld_or_labelled(client):
    asked = {"where": "id IN ('S01', 'S02')", "order": "id", "fields": ["quantity"]}
    with pytest.raises(BadRequest, match=r"quantity of S01 is sure to 0\.5 only") as refused:
        search(client, **asked, min_confidence=0.9)
    without = search(client, **asked, min_confidence=0.9, fallback=pb.WITHHOLD)
    labelled = search(client, **asked, min_confidence=0.9, fallback=pb.LABEL)

    assert refused.value.code == "TOO_UNSURE"
    assert [list(twin.values) for twin in without.twins] == [[], ["quantity"]]
    assert [twin.values["quantity"].state for twin in labelled.twins] == ["unsure", "live"]
    assert (list(without.withheld), labelled.mode) == (["quantity"], pb.DEGRADED)


def test_what_is_just_as_sure_as_demanded_is_sure_enough_on_every_surface(client):
    said = Event("shipment.position", "test/c", "S90", NOW, {"lat": 1.0, "lon": 1.0}, "c1", "east")
    client.ingest([said._replace(confidence=0.9)])
    request = pb.GetRequest(kind="shipment", id="S90", fields=["lat"], min_confidence=0.9)
    got = client.ask("Get", request).twin.values["lat"].confidence
    asked = {"fields": ["lat"], "min_confidence": 0.9}
    (twin,) = search(client, **asked, where="confidence(position) = 0.9").twins
    by = client.aggregate("shipment", "id = 'S90'", ["confidence(position)"])
    table = client.shipments("id = 'S90'", ["lat"], min_confidence=0.9)
    columns = client.columns("shipment", ["lat"], "id = 'S90'").columns

    assert (got, twin.id, twin.values["lat"].confidence) == (0.9, "S90", 0.9)
    assert by.rows == [{"confidence(position)": "0.9", "count": 1.0}]
    assert table["position_confidence"].to_pylist() == [0.9]
    assert columns["position_confidence"].tolist() == [0.9]


def test_only_the_fields_that_are_asked_for_have_to_be_fresh(client):
    found = search(client, where="id = 'S01'", fields=["quantity"], max_age_s=3600)

    assert (ids(found), found.mode) == (["S01"], pb.NORMAL)


def test_what_is_withheld_is_not_in_columns(client):
    asked = {"where": "id IN ('S01', 'S02')", "fields": ["lat"], "format": pb.ARROW}
    found = search(client, **asked, max_age_s=3600, fallback=pb.WITHHOLD)
    told = {}
    for part in found.columns:
        columns = arrow.decode(part.arrow)
        told |= {str(id): columns for id in columns["id"]}

    assert list(found.withheld) == ["lat"]
    assert told["S02"]["lat"][list(told["S02"]["id"]).index("S02")] == 2.0
    missing = told["S01"].get("lat")
    at = list(told["S01"]["id"]).index("S01")
    assert missing is None or missing[at] != missing[at]


def test_a_twin_is_given_as_its_fields_and_its_freshness_are_asked(client):
    def get(**asks):
        return client.ask("Get", pb.GetRequest(kind="shipment", id="S01", **asks))

    old = {"max_age_s": 3600, "fields": ["lat", "quantity"]}
    with pytest.raises(Stale):
        get(**old)
    without, labelled = get(**old, fallback=pb.WITHHOLD), get(**old, fallback=pb.LABEL)
    unsure = get(fields=["quantity"], min_confidence=0.9)

    assert (sorted(without.twin.values), list(without.withheld)) == (["quantity"], ["lat"])
    assert (labelled.twin.values["lat"].state, labelled.mode) == ("stale", pb.DEGRADED)
    assert (list(unsure.twin.values), list(unsure.withheld)) == ([], ["quantity"])
    assert list(get(fields=["quantity"], max_age_s=3600).twin.values) == ["quantity"]
    with pytest.raises(UnknownField, match="did you mean lat"):
        get(fields=["latt"])


def test_a_virtual_field_of_a_twin_comes_alone(client):
    request = pb.GetRequest(kind="shipment", id="S08", fields=["on_time", "delay_days"])
    values = client.ask("Get", request).twin.values

    assert (sorted(values), values["delay_days"].number) == (["delay_days", "on_time"], -4.0)
    assert values["on_time"].flag is True


@pytest.mark.parametrize("demand", [{"max_age_s": -1}, {"min_confidence": 2}, {"limit": -1}])
def test_a_demand_that_makes_no_sense_is_refused(client, demand):
    with pytest.raises(BadRequest):
        search(client, **demand)
