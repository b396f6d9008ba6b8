"""Orders: one total order of the twins of several shards, gone on with from any place in it."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.filter_oracle import SUPPLIERS, Asked, lives
from tests.twin.histories import NOW, ORDER, T0, Ledger, event, message
from twin.errors import BadRequest, UnknownField
from twin.ordering import ordered, parse_order, split
from twin.query import View

NAMES = (
    "supplier",
    "quantity",
    "lat",
    "status",
    "promised_at",
    "delay_days",
    "age(position)",
    "value_cents",
    "source(order)",
    "quantity - lat",
    "id",
)
keys = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=3)


@st.composite
def shards(draw):
    """Views of two shards of two regions, and what is known of each twin by (id, region)."""
    views, known = [], {}
    for region in ("east", "west"):
        view, twins = draw(lives())
        views.append(Asked(*view._replace(region=region)))
        known |= {(id, region): twin for id, twin in twins.items()}
    return views, known


def value(twin, name):
    if name == "quantity - lat":
        known = {"quantity", "lat"} <= twin.keys()
        return twin["quantity"] - twin["lat"] if known else None
    return twin.get(name)


def before(keys, known, one, other):
    """Return -1, 0 or 1: by each key, what is absent last; then by id, then by region."""
    for name, down in keys:
        if name == "id":  # what follows it does not count: ids of two regions may be the same
            falls = down and one[0] != other[0]
            return ((one > other) - (one < other)) * (-1 if falls else 1)
        a, b = value(known[one], name), value(known[other], name)
        if a is None or b is None:
            if (a is None) != (b is None):
                return 1 if a is None else -1
        elif a != b:
            return (1 if a > b else -1) * (-1 if down else 1)
    return (one > other) - (one < other)


def page(views, by, limit, place):
    """Return a page over all views: (place, (id, region)) in order."""
    found = []
    for view in views:
        rows, places, _ = ordered(view, view.rows(), by, limit, place)
        found += zip(places, [(id, view.region) for id in view.ids(rows)], strict=True)
    return sorted(found)[:limit]


@given(shards(), keys, st.integers(1, 5))
def test_pages_of_all_shards_are_the_whole_order_and_each_twin_is_in_it_once(drawn, keys, limit):
    views, known = drawn
    by = parse_order("shipment", ",".join(f"{'-' * down}{name}" for name, down in keys))
    place, told = b"", []
    while found := page(views, by, limit, place):
        told += [twin for _, twin in found]
        place = found[-1][0]

    assert told == sorted(known, key=functools.cmp_to_key(functools.partial(before, keys, known)))


@given(shards(), st.booleans())
def test_an_order_by_id_falls_as_it_rises(drawn, down):
    views, known = drawn
    by = parse_order("shipment", "id desc, supplier" if down else "id")

    for view in views:
        rows, _, count = ordered(view, view.rows(), by, 100)
        ids = sorted((id for id, region in known if region == view.region), reverse=down)
        assert (view.ids(rows), count) == (ids, len(ids))


@given(st.lists(st.sampled_from([*SUPPLIERS, "z" * 40, "A\0B", "A"]), max_size=6), st.booleans())
def test_texts_are_in_the_order_of_their_code_points_whatever_shard_has_them(words, down):
    views = []
    for region, mine in (("east", words[::2]), ("west", words[1::2])):
        ledger = Ledger()
        facts = [
            event(
                id=f"{region}{n}",
                subject=f"S{n}",
                type="shipment.ordered",
                data={**ORDER, "supplier": word},
            )
            for n, word in enumerate(mine)
        ]
        if facts:
            ledger.offer(message(*facts))
        views.append(Asked(ledger.state.snapshot(), "shipment", "demo", region, NOW))
    by = parse_order("shipment", "-supplier" if down else "supplier")
    place, told = b"", []
    while found := page(views, by, 1, place):
        ((place, (id, region)),) = found
        told.append(words[::2][int(id[1:])] if region == "east" else words[1::2][int(id[1:])])

    assert told == sorted(words, reverse=down)


def test_many_that_are_alike_are_put_in_order_by_id():
    names = [f"SHIP-2013-{n * 7919 % 1000:05d}" for n in range(1000)]
    ledger = Ledger()
    ledger.offer(message(*(event(id=name, subject=name) for name in names)))
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)
    by = parse_order("shipment", "lat")

    rows, places, count = ordered(view, view.rows(), by, 10)
    assert (view.ids(rows), count) == (sorted(names)[:10], 1000)
    after, _, left = ordered(view, view.rows(), by, 10, places[-1])
    assert (view.ids(after), left) == (sorted(names)[10:20], 990)


def test_an_order_by_age_goes_on_where_it_was_though_all_have_grown_older():
    ledger = Ledger()
    ledger.offer(message(*(event(id=f"e{n}", subject=f"S{n}", time=T0 - n) for n in range(5))))
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)
    by = parse_order("shipment", "-age(position)")

    first, places, _ = ordered(view, view.rows(), by, 2)
    later = view._replace(now_us=NOW + 10**6)
    rest, _, _ = ordered(later, later.rows(), by, 9, places[-1])
    assert [*view.ids(first), *view.ids(rest)] == ["S4", "S3", "S2", "S1", "S0"]


@pytest.fixture
def view():
    ledger = Ledger()
    ledger.offer(message(event(type="shipment.promised", data={"promised_at": T0})))
    return View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)


@pytest.mark.parametrize("place", [b"\2", b"\0", b"\0" * 9, b"\1", b"\1S1", b"\1" + b"x" * 600])
def test_a_place_of_another_order_is_refused(view, place):
    with pytest.raises(BadRequest) as refused:
        ordered(view, view.rows(), parse_order("shipment", "promised_at"), 5, place)

    assert refused.value.code == "CURSOR_INVALID"


@pytest.mark.parametrize("place", [b"\0abc", b"\0\xff", b"\0a\0"])
def test_a_place_of_a_text_that_never_ends_is_refused(view, place):
    with pytest.raises(BadRequest) as refused:
        ordered(view, view.rows(), parse_order("shipment", "supplier"), 5, place)

    assert refused.value.code == "CURSOR_INVALID"


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("latt", "did you mean lat"),
        ("5", "no field to order by"),
        ("lat,," * 9, "8 fields at most"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order, says):
    with pytest.raises((BadRequest, UnknownField), match=says):
        parse_order("shipment", order)


def test_commas_within_parentheses_part_nothing():
    assert split("-date_trunc('day', promised_at), lat") == [
        "-date_trunc('day', promised_at)",
        " lat",
    ]


def test_no_twins_are_in_order(view):
    rows, places, count = ordered(view, np.zeros(0, np.int64), parse_order("shipment", "lat"), 5)

    assert (rows.size, places, count) == (0, [], 0)
