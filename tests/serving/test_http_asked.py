"""What is asked over HTTP becomes the message that says it, or is refused; nothing is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import http_addresses, http_asked
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, Malformed

DAY = 86_400_000_000


def of_query(message, *pairs, fixed=()):
    known = http_asked.names(message, fixed)
    return http_asked.message(message, known, http_asked.of_query(known, pairs))


def of_body(message, **said):
    return http_asked.message(message, http_asked.names(message), said)


def test_parameters_are_the_fields_of_the_message():
    asked = of_query(
        pb.SearchRequest,
        ("kind", "site"),
        ("where", "status = 'open'"),
        ("fields", "name, lat"),
        ("fields", "lon"),
        ("limit", "5"),
        ("max_age_s", "1.5"),
        ("fallback", "label"),
        ("as_of", "1970-01-02"),
        ("known_at", "1970-01-03T00:00:00+00:00"),
        ("after", "shipment/east/0/57,shipment/east/0/9,site/east/1/3"),
    )

    assert asked == pb.SearchRequest(
        kind="site",
        where="status = 'open'",
        fields=["name", "lat", "lon"],
        limit=5,
        max_age_s=1.5,
        fallback=pb.LABEL,
        when=pb.When(at=DAY, known_at=2 * DAY),
        after={"shipment/east/0": 57, "site/east/1": 3},
    )


def test_a_body_says_the_same_with_the_types_of_json():
    asked = of_body(
        pb.DiffRequest,
        kind="shipment",
        fields=["lat"],
        before="1970-01-02T00:00:00Z",
        after="1970-01-03",
        after_known_at="1970-01-04",
        limit=3,
        region=None,
    )

    assert asked == pb.DiffRequest(
        kind="shipment",
        fields=["lat"],
        before=pb.When(at=DAY),
        after=pb.When(at=2 * DAY, known_at=3 * DAY),
        limit=3,
    )


def test_a_comma_in_parentheses_parts_nothing():
    asked = of_query(pb.AggregateRequest, ("measures", "count, greatest(a, b)"))

    assert asked.measures == ["count", "greatest(a, b)"]


def test_a_plus_that_an_address_turned_into_a_space_is_read_as_one():
    plus = of_query(pb.HistoryRequest, ("since", "1970-01-02T02:00:00 02:00"))

    assert plus.since == DAY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limit", "five"),
        ("limit", "0"),
        ("limit", "10001"),
        ("limit", "1.0"),
        ("limit", ""),
        ("max_age_s", "nan"),
        ("max_age_s", "inf"),
        ("max_age_s", "-1"),
        ("min_confidence", "1.01"),
        ("fallback", "guess"),
        ("as_of", "yesterday"),
        ("after", "57"),
        ("after", "shipment/east/0/"),
        ("after", "shipment/east/0/-1"),
        ("after", "shipment/east/0/٣"),
        ("after", "shipment/east/0/" + "9" * 30),
        ("place", "AA=="),
        ("format", "arrow"),
        ("sets", "{}"),
        ("wher", "a = 1"),
    ],
)
def test_what_would_have_to_be_guessed_at_is_refused(name, text):
    with pytest.raises(BadRequest) as caught:
        of_query(pb.SearchRequest, (name, text))

    assert caught.value.code == "INVALID_ARGUMENT"
    assert name in str(caught.value)


def test_a_name_nearly_right_is_told_what_is_meant():
    with pytest.raises(BadRequest, match="did you mean where"):
        of_query(pb.SearchRequest, ("wher", "a = 1"))


def test_a_parameter_said_twice_is_refused_and_a_list_goes_on():
    with pytest.raises(BadRequest) as caught:
        of_query(pb.SearchRequest, ("where", "a = 1"), ("where", "b = 1"))

    assert caught.value.code == "DUPLICATE_FIELD"
    assert of_query(pb.ReceiptsRequest, ("id", "a"), ("id", "b")).ids == ["a", "b"]


@pytest.mark.parametrize(
    "said",
    [
        {"where": 5},
        {"where": ["a"]},
        {"where": {"a": 1}},
        {"limit": "5"},
        {"limit": True},
        {"limit": 5.0},
        {"limit": 10**30},
        {"fields": 5},
        {"fields": [5]},
        {"fields": ["a"] * 10_001},
        {"max_age_s": "1"},
        {"max_age_s": float("nan")},
        {"as_of": 5},
        {"fallback": 1},
        {"after": {"shipment/east/0": 5}},
    ],
)
def test_a_body_with_another_type_than_its_field_is_refused(said):
    with pytest.raises(BadRequest) as caught:
        of_body(pb.SearchRequest, **said)

    assert caught.value.code == "INVALID_ARGUMENT"


plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("\ud800")
)
value = st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
REQUESTS = sorted({route.request.DESCRIPTOR.name for route in http_addresses.ADDRESSES})


@given(st.sampled_from(REQUESTS), st.data())
def test_whatever_a_body_says_is_a_message_or_a_refusal(name, data):
    message = getattr(pb, name)
    known = http_asked.names(message)
    said = data.draw(st.dictionaries(st.sampled_from([*known, "strange"]), value, max_size=4))

    try:
        made = http_asked.message(message, known, said)
    except (BadRequest, Malformed):
        return

    assert message.FromString(made.SerializeToString()) == made
