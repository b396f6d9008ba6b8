"""The five outcomes, each with its reason; and what of a message is refused whole."""

import numpy as np
import pytest

from tests.twin.histories import (
    DAY,
    NOW,
    ORDER,
    SITES,
    T0,
    Ledger,
    arrived,
    arrow_message,
    decoded,
    event,
    message,
    order,
    position,
    words,
)
from twin.admission import Rule, place
from twin.texts import texts

NAN, INF = float("nan"), float("inf")
FORMS = pytest.mark.parametrize("form", [message, arrow_message], ids=["rows", "arrow"])


def lacking(name):
    return event(type="shipment.ordered", data={k: v for k, v in ORDER.items() if k != name})


BAD = [
    (position(lat=NAN), "PARKED NOT_FINITE"),
    (position(lon=INF), "PARKED NOT_FINITE"),
    (position(lon=-INF), "PARKED NOT_FINITE"),
    (event(type="shipment.condition", data={"temp_c": NAN}), "PARKED NOT_FINITE"),
    (order(quantity=NAN), "PARKED NOT_FINITE"),
    (order(quantity=INF), "PARKED NOT_FINITE"),
    (order(ordered_at=-INF), "PARKED NOT_FINITE"),
    (position(lat=90.5), "PARKED OUT_OF_RANGE"),
    (position(lon=-180.001), "PARKED OUT_OF_RANGE"),
    (order(quantity=-1), "PARKED OUT_OF_RANGE"),
    (order(ordered_at=0), "PARKED OUT_OF_RANGE"),
    (order(ordered_at=253_370_764_800_000_000), "PARKED OUT_OF_RANGE"),  # year 9999
    (event(time=253_370_764_800_000_000), "PARKED TIME_OUT_OF_RANGE"),
    (event(time=-1), "PARKED TIME_OUT_OF_RANGE"),
    (event(time=-(2**62)), "PARKED TIME_OUT_OF_RANGE"),
    (event(time=None), "PARKED TIME_OUT_OF_RANGE"),
    (event(time=NOW + DAY + 1), "PARKED TIME_OUT_OF_RANGE"),
    (event(version=2), "PARKED SCHEMA_UNSUPPORTED"),
    (event(version=-7), "PARKED SCHEMA_UNSUPPORTED"),
    (event(type="shipment.smelled", data={}), "PARKED SCHEMA_UNSUPPORTED"),
    (event(type=""), "PARKED SCHEMA_UNSUPPORTED"),
    (event(data={"lat": 1.0}), "PARKED FIELD_MISSING"),
    (event(data={"lat": 1.0, "lon": None}), "PARKED FIELD_MISSING"),
    (lacking("supplier"), "PARKED FIELD_MISSING"),
    (lacking("quantity"), "PARKED FIELD_MISSING"),
    (order(supplier=""), "PARKED FIELD_MISSING"),
    (position(altitude=3.0), "PARKED FIELD_UNKNOWN"),
    (position(quantity=3), "PARKED FIELD_UNKNOWN"),  # another contract's field
    (event(confidence=1.5), "PARKED OUT_OF_RANGE"),
    (event(confidence=-0.1), "PARKED OUT_OF_RANGE"),
    (event(confidence=NAN), "PARKED OUT_OF_RANGE"),
    (event(confidence=1e300), "PARKED OUT_OF_RANGE"),
    (event(region=""), "REJECTED REGION_MISSING"),
    (event(region=None), "REJECTED REGION_MISSING"),
    (event(region="west"), "REJECTED WRONG_REGION"),
    (event(type="site.registered"), "REJECTED NOT_OWNER"),
    (event(corrects="../x"), "REJECTED BAD_ID"),
    (event(source=""), "REJECTED BAD_ID"),
    (event(source="a b"), "REJECTED BAD_ID"),
    (event(source="x" * 129), "REJECTED BAD_ID"),
]
NAMES = [
    "../etc/passwd",
    "a/b",
    "nul\x00",
    "line\nbreak",
    "\u202eevil",
    "x" * 10_240,
    "x" * 129,
    " ",
    "lorry\U0001f69a",
    "-rf",
    ".hidden",
    "_x",
    "a'b",
    "é",
]


@FORMS
@pytest.mark.parametrize(
    ("bad", "word"), BAD, ids=[f"{i}-{word}" for i, (_, word) in enumerate(BAD)]
)
def test_a_bad_event_has_its_reason_and_fails_no_neighbour(form, bad, word):
    ledger = Ledger()
    told = ledger.offer(form(event(id="n1"), {**bad, "id": "bad"}, event(id="n2", subject="S2")))

    assert words(told)[1] == word
    assert [word for word, *_ in told[::2]] == ["APPLIED", "APPLIED"]
    assert (told[1][2] == -1) == word.startswith("REJECTED")


@FORMS
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["id", "subject"])
def test_a_name_that_is_no_name_is_rejected(form, field, name):
    told = Ledger().offer(form(event(id="n1"), event(**{field: name}), event(id="n2")))

    assert words(told)[1] == "REJECTED BAD_ID"
    assert told[0][0] == "APPLIED"
    assert told[2][0] == "SUPERSEDED" or told[2][0] == "APPLIED"


@FORMS
@pytest.mark.parametrize("name", ["a", "7", "A.b_c:d-e", "x" * 128])
def test_a_name_of_letters_digits_and_four_signs_is_good(form, name):
    assert words(Ledger().offer(form(event(id=name, subject=name)))) == ["APPLIED"]


@FORMS
def test_a_missing_subject_is_rejected_and_a_missing_id_is_not(form):
    told = Ledger().offer(form(event(subject=""), event(id=""), event(id=""), position(lat=3.0)))

    assert words(told)[:3] == ["REJECTED BAD_ID", "APPLIED", "DUPLICATE"]


@pytest.mark.parametrize("wrong", [5, 1.5, True, [1], {"a": 1}, b"e1"])
@pytest.mark.parametrize("field", ["id", "subject", "source"])
def test_a_name_of_another_type_is_no_name(field, wrong):
    told = Ledger().offer(message(event(id="n1", subject="S2"), event(**{field: wrong})))

    assert words(told) == ["APPLIED", "REJECTED BAD_ID"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", "5"),
        ("quantity", 1.5),
        ("quantity", True),
        ("quantity", 2**63),
        ("quantity", [5]),
        ("supplier", 5),
        ("supplier", b"x"),
        ("ordered_at", "2013-09-01"),
        ("ordered_at", {"t": 1}),
    ],
)
def test_a_value_of_another_type_is_parked(field, value):
    told = Ledger().offer(message(event(id="n1"), order(**{field: value})))

    assert words(told) == ["APPLIED", "PARKED TYPE_MISMATCH"]


def test_the_first_receipt_is_repeated():
    ledger = Ledger()
    first = ledger.offer(message(event(), position(lat=95.0) | {"id": "p"}))
    again = ledger.offer(message(event(), position(lat=95.0) | {"id": "p"}, event()))

    assert words(first) == ["APPLIED", "PARKED OUT_OF_RANGE"]
    assert words(again) == ["DUPLICATE", "DUPLICATE OUT_OF_RANGE", "DUPLICATE"]
    assert [offset for *_, offset in again] == [0, 1, 0]


@FORMS
def test_one_id_with_other_content_is_a_conflict_in_a_batch_and_after_it(form):
    ledger, other = Ledger(), position(lat=7.0)
    together = ledger.offer(form(event(), event(), other))

    assert words(together) == ["APPLIED", "DUPLICATE", "REJECTED IDEMPOTENCY_CONFLICT"]
    assert [offset for *_, offset in together] == [0, 0, -1]
    assert words(ledger.offer(form(other))) == ["REJECTED IDEMPOTENCY_CONFLICT"]


@pytest.mark.parametrize("change", [{"time": T0 + 1}, {"subject": "S2"}, {"confidence": 0.5}])
def test_any_other_word_is_other_content(change):
    ledger = arrived([event()])

    assert words(ledger.offer(message(event(**change)))) == ["REJECTED IDEMPOTENCY_CONFLICT"]


def test_numbers_that_a_float_cannot_tell_apart_are_other_content():
    ledger = arrived([order(value_cents=2**60)])

    told = ledger.offer(message(order(value_cents=2**60 + 1)))
    assert words(told) == ["REJECTED IDEMPOTENCY_CONFLICT"]


def test_sources_and_tenants_have_ids_of_their_own():
    ledger = Ledger()
    told = [
        ledger.offer(message(event(source=source), tenant=tenant))
        for source, tenant in [("erp", "demo"), ("tms", "demo"), ("demo", "erp"), ("demo", "demo")]
    ]

    assert {one[0][0] for one in told} <= {"APPLIED", "SUPERSEDED"}
    assert len(ledger.raws) == 4


def test_a_parked_event_is_replaced_by_its_repair_and_only_then_stands():
    ledger = arrived([position(lat=95.0)], [position(lat=96.0)])
    told = ledger.offer(message(event(), position(lat=95.0)))

    assert words(told) == ["APPLIED", "REJECTED IDEMPOTENCY_CONFLICT"]
    assert decoded(ledger.state)["shipment"]["demo/S1"]["lat"] == 1.0
    assert ledger.replayed(9).digests() == ledger.digests()


def test_within_one_batch_the_last_version_of_a_parked_event_stands():
    ledger = Ledger()
    told = ledger.offer(message(position(lat=95.0), event(), position(lat=95.0), event()))

    assert words(told) == [
        "PARKED OUT_OF_RANGE",
        "APPLIED",
        "REJECTED IDEMPOTENCY_CONFLICT",
        "DUPLICATE",
    ]
    assert told[3][2] == 1


def test_a_parked_event_changes_no_twin():
    ledger = arrived([position(lat=95.0)])

    assert decoded(ledger.state) == {"shipment": {}}


@pytest.mark.parametrize("late", [1, 365 * DAY, 5 * 365 * DAY])
def test_lateness_is_no_reason_to_park(late):
    assert words(Ledger().offer(message(event(time=T0 - late)))) == ["APPLIED"]


def test_up_to_a_day_ahead_is_no_reason_to_park():
    assert words(Ledger().offer(message(event(time=NOW + DAY)))) == ["APPLIED"]


def test_each_twin_has_one_shard_of_its_kind():
    ids = [f"S{i}" for i in range(200)]
    owner = place("demo", texts(ids), 2).tolist()
    rules = [Rule("east", ("shipment",), number, 2) for number in (0, 1)]
    told = [
        words(Ledger(rule).offer(message(*(event(id=i, subject=i) for i in ids)))) for rule in rules
    ]

    assert set(owner) == {0, 1}
    for i, number in enumerate(owner):
        assert told[number][i] == "APPLIED"
        assert told[1 - number][i] == "REJECTED NOT_OWNER"


def test_a_site_shard_takes_sites_and_stock_and_no_shipments():
    item = {"site": "W", "product": "P", "quantity": 4}
    told = Ledger(SITES).offer(message(event(), event(id="b", type="stock.counted", data=item)))

    assert words(told) == ["REJECTED NOT_OWNER", "APPLIED"]


def test_no_event_is_left_without_an_outcome(rng):
    for _ in range(30):
        picked = [dict(rng.choice(BAD)[0]) for _ in range(rng.randint(1, 20))]
        for number, one in enumerate(picked):
            one["id"] = rng.choice([f"e{number}", "same", "../x"])
        ledger = Ledger()
        told = ledger.offer(message(*picked))
        offsets = [at for word, _, at in told if word in {"APPLIED", "SUPERSEDED", "PARKED"}]
        assert len(told) == len(picked)
        assert offsets == list(range(len(offsets)))
        assert np.sum(ledger.state.outcomes) == len(offsets)
