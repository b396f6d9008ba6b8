"""Queries against brute force over decoded rows."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import DAY, NOW, ORDER, T0, Ledger, decoded, event, message
from twin.compare import time_us
from twin.errors import BadRequest, TooMany, UnknownField
from twin.fields import check_field, unit
from twin.grouping import groups
from twin.kinds import Milestone
from twin.ordering import ordered, parse_order
from twin.query import View

OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SUPPLIERS = ["ACME", "BOLT", "O'Neil", "é"]
few = st.integers(0, 3)
facts = st.lists(
    st.one_of(
        st.builds(
            lambda s, q, v: (
                "ordered",
                {**ORDER, "supplier": s, "quantity": q} | ({"value_cents": v} if v else {}),
            ),
            st.sampled_from(SUPPLIERS),
            few,
            few,
        ),
        st.builds(lambda a, o: ("position", {"lat": a - 1.5, "lon": float(o)}), few, few),
        st.builds(lambda d: ("promised", {"promised_at": T0 + d * DAY}), few),
        st.just(("departed", {})),
        st.just(("delivered", {})),
    ),
    max_size=20,
)


class Asked(View):
    """A view that is short to print."""

    def __repr__(self):
        return f"View({self.ids(self.rows())})"


@st.composite
def views(draw):
    """A view of few shipments, and a dict of what is known of each of the tenant's."""
    said = draw(facts)
    mine, other = [], []
    for number, (what, data) in enumerate(said):
        one = event(
            id=f"e{number}",
            type=f"shipment.{what}",
            subject=f"S{draw(st.integers(0, 6))}",
            time=T0 + draw(few) * DAY,
            data=data,
        )
        (other if draw(st.integers(0, 5)) == 0 else mine).append(one)
    ledger = Ledger()
    for tenant, events in (("demo", mine), ("rival", other)):
        if events:
            ledger.offer(message(*events, tenant=tenant), now=NOW + 5 * DAY)
    twins = {
        name.partition("/")[2]: {**twin, **computed(twin), "id": name.partition("/")[2]}
        for name, twin in decoded(ledger.state)["shipment"].items()
        if name.startswith("demo/")
    }
    now = NOW + 4 * DAY
    return Asked(ledger.state.snapshot(), "shipment", "demo", "east", now), twins


def computed(twin):
    told = {"region": "east"}
    if "position.as_of" in twin:
        told["age(position)"] = (NOW + 4 * DAY - twin["position.as_of"]) / 1e6
    if {"delivered_at", "promised_at"} <= twin.keys():
        delay = twin["delivered_at"] // DAY - twin["promised_at"] // DAY
        told |= {"delay_days": delay, "on_time": int(delay <= 0)}
    return told


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def moment(us):
    return quoted(str(np.datetime64(us, "us")) + "Z")


def texts_of(*values):
    return st.sampled_from(values).map(lambda value: (value, quoted(value)))


compared = st.one_of(
    st.tuples(
        st.just("supplier"), st.sampled_from([*SUPPLIERS, "NOBODY"]).map(lambda v: (v, quoted(v)))
    ),
    st.tuples(st.just("id"), texts_of("S1", "S3", "X")),
    st.tuples(st.just("region"), texts_of("east", "west")),
    st.tuples(st.sampled_from(["quantity", "value_cents"]), few.map(lambda v: (v, str(v)))),
    st.tuples(st.just("lat"), few.map(lambda v: (v - 1.5, str(v - 1.5)))),
    st.tuples(st.just("delay_days"), st.integers(-3, 3).map(lambda v: (v, str(v)))),
    st.tuples(st.just("on_time"), st.booleans().map(lambda v: (int(v), str(v).lower()))),
    st.tuples(
        st.sampled_from(["promised_at", "delivered_at"]),
        few.map(lambda d: (T0 + d * DAY, moment(T0 + d * DAY))),
    ),
    st.tuples(
        st.just("status"),
        st.sampled_from(list(Milestone)).map(lambda m: (int(m), quoted(m.name))),
    ),
    st.tuples(st.just("age(position)"), few.map(lambda d: (d * 86400, f"{d * 86400}.0"))),
)
predicates = st.lists(
    st.one_of(
        st.tuples(compared, st.sampled_from([*OPERATORS])),
        st.tuples(
            st.sampled_from(
                ["lat", "supplier", "status", "delivered_at", "on_time", "value_cents"]
            ),
            st.sampled_from(["KNOWN", "ABSENT"]),
        ),
    ),
    max_size=3,
)


def written(predicate):
    what, sign = predicate
    if sign in OPERATORS:
        field, (_, text) = what
        return f"{field} {sign} {text}"
    return f"{what} IS {sign}"


def holds(twin, predicate):
    what, sign = predicate
    if sign in OPERATORS:
        field, (value, _) = what
        return field in twin and OPERATORS[sign](twin[field], value)
    return (what in twin) == (sign == "KNOWN")


@given(views(), predicates)
def test_a_filter_finds_what_brute_force_finds(view_and_twins, predicates):
    view, twins = view_and_twins
    found = view.ids(view.rows(" AND ".join(map(written, predicates))))

    assert sorted(found) == sorted(
        n for n, t in twins.items() if all(holds(t, p) for p in predicates)
    )


@given(
    views(),
    st.sampled_from(["lat", "supplier", "quantity", "promised_at", "status", "delay_days", "id"]),
    st.booleans(),
    st.integers(1, 9),
)
def test_an_order_puts_what_is_absent_last(view_and_twins, field, falling, limit):
    view, twins = view_and_twins
    if field == "id":
        return
    by = parse_order("shipment", f"-{field}" if falling else field)
    rows, _, _ = ordered(view, view.rows(), by, limit)
    got = [twins[name].get(field) for name in view.ids(rows)]
    values = sorted((t[field] for t in twins.values() if field in t), reverse=falling)

    assert got == [*values, *[None] * len(twins)][: min(limit, len(twins))]


@given(
    views(), st.lists(st.sampled_from(["supplier", "status", "on_time", "quantity"]), max_size=3)
)
def test_groups_are_those_of_a_dict(view_and_twins, by):
    view, twins = view_and_twins
    names, which = groups(view.matching(), by)
    counted = dict(zip(names, np.bincount(which, minlength=len(names)).tolist(), strict=True))

    model = {} if by else {(): 0}
    for twin in twins.values():
        label = tuple(shown(name, twin.get(name)) for name in by)
        model[label] = model.get(label, 0) + 1
    assert counted == model


def shown(name, value):
    if value is None:
        return ""
    if name == "status":
        return Milestone(value).name
    return ("false", "true")[value] if name == "on_time" else str(value)


def test_labels_of_times_are_rfc_3339():
    ledger = Ledger()
    ledger.offer(message(event(type="shipment.promised", data={"promised_at": T0})))
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)

    assert groups(view.matching(), ["promised_at"])[0] == [("2013-08-20T12:00:00Z",)]


@pytest.fixture
def view():
    ledger = Ledger()
    ledger.offer(message(event()))
    return View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("latt > 3", "did you mean lat?"),
        ("suplier = 'x'", "did you mean supplier?"),
        ("delay_day > 3", "did you mean delay_days?"),
        ("qqqqqq = 3", "it has "),
        ("age(positon) > 3", "no group positon"),
    ],
)
def test_an_unknown_field_is_refused_with_a_hint(view, where, hint):
    with pytest.raises(UnknownField, match=hint.replace("?", r"\?")):
        view.rows(where)


@pytest.mark.parametrize(
    "where",
    [
        "supplier = 5",
        "lat = 'north'",
        "quantity > 'many'",
        "status = 'LOST'",
        "on_time = 'perhaps'",
        "promised_at > 'yesterday'",
        "id = 5",
        "region = 5",
        "lat >",
        "lat",
        "> 3",
        "lat > 3 lon > 4",
        "lat > 3 OR",
        "lat > 3 AND",
        "lat ~ 3",
        "lat > 'unclosed",
        "; DROP TABLE",
        "lat IS MAYBE",
        "lat = 1 " + "AND lat = 1 " * 64,
        "lat = 1" + " " * 17_000,
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(view, where):
    with pytest.raises((BadRequest, TooMany)):
        view.rows(where)


def test_words_of_the_language_may_be_written_small(view):
    assert view.rows("lat is known and lon IS known").tolist() == [0]


def test_quotes_are_doubled_within_a_text():
    ledger = Ledger()
    ledger.offer(message(event(type="shipment.ordered", data={**ORDER, "supplier": "O'Neil"})))
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)

    assert view.rows("supplier = 'O''Neil'").tolist() == [0]


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2013-09-01", 1_377_993_600_000_000),
        ("2013-09-01T02:00:00+02:00", 1_377_993_600_000_000),
        ("2013-09-01T00:00:00.5Z", 1_377_993_600_500_000),
        ("1969-12-31", -86_400_000_000),
    ],
)
def test_a_time_is_read_as_utc(text, us):
    assert time_us(text) == us


@pytest.mark.parametrize("text", ["", "soon", "2013-13-01", "9" * 40])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(BadRequest):
        time_us(text)


def test_fields_can_be_checked_before_they_are_asked():
    for name in ("lat", "id", "region", "on_time", "age(position)"):
        check_field("shipment", name)
    with pytest.raises(UnknownField):
        check_field("site", "on_time")
    assert (unit("shipment", "temp_c"), unit("shipment", "delay_days")) == ("degC", "d")


def test_whole_numbers_are_compared_exactly():
    ledger = Ledger()
    exact = 2**53 + 1
    data = {**ORDER, "value_cents": exact}
    ledger.offer(message(event(type="shipment.ordered", data=data)))
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)

    assert view.rows(f"value_cents = {exact}").tolist() == [0]
    assert view.rows(f"value_cents > {exact - 1}").tolist() == [0]
    assert view.rows(f"value_cents < {10**30}").tolist() == [0]
