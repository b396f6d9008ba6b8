"""Sets on the wire: texts as lines, whatever is in them; and what is too much for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.sets import lines, opened, sealed, words
from serving.wire import twin_pb2 as pb
from tests.twin.histories import NOW, Ledger, event, message
from twin.errors import BadRequest, TooMany
from twin.grouping import distinct_words
from twin.query import View

texts = st.lists(st.text(st.sampled_from("ab\\\n\r é"), max_size=4), max_size=5)


@given(texts)
def test_texts_come_back_as_they_were(told):
    assert words(lines(told)) == told


@given(texts, texts)
def test_a_gateways_sets_take_the_place_of_those_a_request_came_with(mine, others):
    request = pb.SearchRequest(sets={"x": pb.Texts(lines=lines(others))})
    sealed({"y": mine}, request)

    assert opened(request.sets) == {"y": mine}


def test_more_distinct_values_than_may_be_told_are_refused():
    ledger = Ledger()
    ledger.offer(message(*(event(id=f"e{n}", subject=f"S{n}") for n in range(5))))
    view = View(ledger.state.snapshot(), "shipment", "demo", "east", NOW)

    assert sorted(distinct_words(view, "id", "", 5)) == [f"S{n}" for n in range(5)]
    assert distinct_words(view, "supplier", "", 5) == [""]
    with pytest.raises(TooMany):
        distinct_words(view, "id", "", 4)
    with pytest.raises(BadRequest, match="ids or texts"):
        distinct_words(view, "lat", "")
