"""Aggregates of several shards against plain Python over dicts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import measures
from serving.wire import twin_pb2 as pb
from tests.serving.chain import aggregate, chain, shipments
from tests.serving.several import NOW
from tests.twin.filter_oracle import Asked, conditions, lives
from tests.twin.histories import DAY
from twin.errors import BadRequest, TooMany, UnknownField
from twin.kinds import Milestone

FIELDS = ("supplier", "status", "on_time", "quantity", "lat", "promised_at", "region", "id")
OF = ("quantity", "lat", "value_cents", "delay_days", "on_time", "promised_at", "quantity * 2")
asked_measures = st.lists(
    st.one_of(
        st.just("count"),
        st.builds(
            lambda how, of: f"{how}({of})",
            st.sampled_from(["sum", "avg", "min", "max", "known", "count"]),
            st.sampled_from(OF),
        ),
        st.sampled_from(["supplier", "site", "quantity", "id", "promised_at"]).map(
            lambda of: f"count(distinct {of})"
        ),
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


def value(twin, name):
    if name == "quantity * 2":
        return None if "quantity" not in twin else 2 * twin["quantity"]
    return twin.get(name)


def label(twin, name):
    held = twin.get(name)
    if held is None:
        return ""
    if name == "status":
        return Milestone(held).name
    if name == "on_time":
        return "true" if held else "false"
    if name == "promised_at":
        return f"2013-08-{20 + (held - (NOW13 - 5 * DAY)) // DAY:02d}T12:00:00Z"
    return f"{held:g}" if isinstance(held, float) else str(held)


NOW13 = 1_377_000_000_000_000 + 5 * DAY


def measured(measure, twins):
    if measure == "count":
        return float(len(twins))
    how, _, of = measure.removesuffix(")").partition("(")
    if of.startswith("distinct "):
        name = of.removeprefix("distinct ")
        return float(len({value(twin, name) for twin in twins} - {None}))
    held = [float(x) for twin in twins if (x := value(twin, of)) is not None]
    if how in {"known", "count"}:
        return float(len(held))
    if not held:
        return math.nan
    if how == "avg":
        return sum(held) / len(held)
    return {"sum": sum, "min": min, "max": max}[how](held)


@given(
    st.lists(lives(), min_size=2, max_size=2),
    conditions,
    st.lists(st.sampled_from(FIELDS), max_size=3, unique=True),
    asked_measures,
)
def test_groups_of_all_shards_are_those_of_a_dict(drawn, condition, by, wanted):
    where, holds = condition
    if "region" in where:
        return  # the oracle's twins are all of the east
    request = pb.AggregateRequest(kind="shipment", where=where, by=by, measures=wanted)
    answers, model = [], {} if by else {(): []}
    for region, (view, twins) in zip(("east", "west"), drawn, strict=True):
        view = Asked(*view._replace(region=region))
        each = measures.asked(request)
        answers.append(measures.compute(view.matching(where), each))
        for twin in twins.values():
            twin = {**twin, "region": region}
            if holds(twin) is True:
                model.setdefault(tuple(label(twin, name) for name in by), []).append(twin)

    groups, total = measures.merge(request, answers, measures.MOST_GROUPS)
    assert [tuple(group.by) for group in groups] == sorted(model)
    assert total == len(model)
    for group in groups:
        expected = [measured(measure, model[tuple(group.by)]) for measure in wanted]
        assert list(group.measures) == pytest.approx(expected, nan_ok=True)


# over gRPC


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with chain(tmp_path_factory.mktemp("sums") / "t") as world:
        yield world.client()


TWINS = shipments()


def counted(name):
    counts = {}
    for one in TWINS.values():
        key = str(one.get(name, ""))
        counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.parametrize("name", ["supplier", "quantity", "product", "region"])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_largest_groups_are_the_largest_of_all_shards(client, name, limit):
    found = aggregate(client, by=[name], order="-count", limit=limit)
    wanted = sorted(counted(name).items(), key=lambda pair: (-pair[1], pair[0]))

    assert [(g.by[0], int(g.measures[0])) for g in found.groups] == wanted[:limit]
    assert (found.shown, found.total) == (min(limit, len(wanted)), len(wanted))


def test_groups_are_in_the_order_of_what_they_are_by(client):
    rising = [
        g.by[0] for g in aggregate(client, by=["quantity"], order="quantity", limit=50).groups
    ]
    falling = [
        g.by[0] for g in aggregate(client, by=["quantity"], order="-quantity", limit=50).groups
    ]
    steps = [g.by[0] for g in aggregate(client, by=["status"], order="status").groups]

    assert rising == [*sorted((q for q in counted("quantity") if q), key=int), ""]
    assert falling == [*rising[-2::-1], ""]
    assert steps == ["ORDERED", "DELIVERED", ""]


def test_relations_geography_and_time_are_grouped_as_they_are_searched(client):
    where = "site.country = 'VN' AND supplier.status <> 'ended'"
    (found,) = aggregate(client, where=where, measures=["count", "sum(quantity)"]).groups
    mine = [
        one
        for one in TWINS.values()
        if one.get("site") == "W0" and one.get("supplier") in {"P0", "P1", "P2"}
    ]
    days = aggregate(client, by=["date_trunc('day', promised_at)"], where="promised_at IS KNOWN")

    assert list(found.measures) == [len(mine), sum(one["quantity"] for one in mine)]
    assert [g.measures[0] for g in days.groups] == [
        sum(one.get("promised_at", 0) // DAY == day for one in TWINS.values())
        for day in sorted(
            {one["promised_at"] // DAY for one in TWINS.values() if "promised_at" in one}
        )
    ]


def test_the_oldest_value_that_was_counted_is_told(client):
    assert aggregate(client, measures=["avg(lat)"]).oldest_as_of == NOW - 3 * DAY
    assert aggregate(client, measures=["sum(quantity)"]).oldest_as_of == NOW - 1_000_000_000
    assert aggregate(client, measures=["max(age(position))"]).oldest_as_of == NOW - 3 * DAY
    assert aggregate(client, where="lat < -5", measures=["avg(lat)"]).oldest_as_of == 0
    assert sorted(aggregate(client).offsets) == [
        f"shipment/{region}/{number}" for region in ("east", "west") for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"by": ["suplier"]}, UnknownField, "did you mean supplier"),
        ({"measures": ["sum(quantty)"]}, UnknownField, "did you mean quantity"),
        ({"measures": ["sum(supplier)"]}, BadRequest, "only known"),
        ({"measures": ["max(status)"]}, BadRequest, "status is a milestone"),
        ({"measures": ["median(lat)"]}, BadRequest, "is no measure"),
        ({"measures": ["count('x')"]}, BadRequest, "no field to count"),
        ({"measures": ["known('2013-09-01')"]}, BadRequest, "no field to count"),
        ({"measures": ["count(distinct '')"]}, BadRequest, "no field to count"),
        ({"order": "lat"}, BadRequest, "order by one of count"),
        ({"by": ["5"]}, BadRequest, "no field to group by"),
        ({"by": ["lat"] * 65}, TooMany, "at most 64"),
        ({"limit": -1}, BadRequest, "limit is 1 or more"),
        ({"where": "lat >"}, BadRequest, "cannot read the filter"),
        ({"by": ["date_trunc('decade', promised_at)"]}, BadRequest, "hour, day, week, month, year"),
    ],
)
def test_an_aggregate_that_makes_no_sense_is_refused(client, asked, error, says):
    with pytest.raises(error, match=says):
        aggregate(client, **asked)


@pytest.mark.parametrize("kind", ["shipment", "site", "supplier", "stock"])
def test_what_nothing_matches_counts_as_none(client, kind):
    (found,) = aggregate(client, kind=kind, where="id = 'nobody'", measures=["count"]).groups

    assert list(found.measures) == [0]
    assert not aggregate(client, kind=kind, where="id = 'nobody'", by=["region"]).groups
