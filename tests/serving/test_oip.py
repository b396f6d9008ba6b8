"""Open Inference requests: what is taken, and the exact word for what is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import oip
from twin.errors import BadRequest, TooLarge, TwinError
from twin.kinds import ABSENT

WIDTH = 3
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES = st.none() | FLOATS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def features(rows, **changes):
    tensor = {
        "name": "features",
        "shape": [len(rows), WIDTH],
        "datatype": "FP32",
        "data": [value for row in rows for value in row],
    }
    return {"inputs": [tensor | changes]}


def ids(*keys, **changes):
    tensor = {"name": "id", "shape": [len(keys)], "datatype": "BYTES", "data": list(keys)}
    return {"inputs": [tensor | changes]}


def refusal(asked):
    try:
        oip.parse(asked, WIDTH)
    except TwinError as e:
        return e
    return None


@given(st.lists(st.lists(VALUES, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=6))
def test_features_arrive_as_they_were_sent_flat_or_nested_and_null_is_absent(rows):
    flat = oip.parse(features(rows), WIDTH)
    nested = oip.parse(features(rows, data=rows), WIDTH)

    wanted = np.array([[math.nan if v is None else v for v in row] for row in rows], np.float32)
    assert flat.rows is not None
    assert nested.rows is not None
    assert flat.rows.dtype == np.float32
    np.testing.assert_array_equal(flat.rows, wanted)
    np.testing.assert_array_equal(nested.rows, wanted)


@given(
    st.lists(st.from_regex(oip.ID_RULE, fullmatch=True).filter(str.isascii), min_size=1, max_size=5)
)
def test_ids_arrive_in_their_order(keys):
    assert oip.parse(ids(*keys), WIDTH).keys == tuple(keys)
    column = ids(*keys, shape=[len(keys), 1], data=[[key] for key in keys])
    assert oip.parse(column, WIDTH).keys == tuple(keys)


@given(st.sampled_from(["name", "shape", "datatype", "data", "outputs", "id", "inputs"]), JSON)
def test_whatever_is_sent_is_taken_or_refused_with_a_code_word(member, value):
    whole = ids("86606")
    (whole["inputs"][0] if member in whole["inputs"][0] else whole)[member] = value

    refused = refusal(whole)

    assert refused is None or (refused.code.isupper() and len(str(refused)) < 300)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "MALFORMED"),
        ({"inputs": []}, "MALFORMED"),
        ({"inputs": [{"name": "id"}, {"name": "features"}]}, "MALFORMED"),
        ({"inputs": [{"name": "pixels"}]}, "TENSOR_UNKNOWN"),
        ({"id": 7, **ids("a")}, "MALFORMED"),
        (ids("a") | {"outputs": [{"name": "p42"}]}, "OUTPUT_UNKNOWN"),
        (ids("a") | {"outputs": "p50"}, "MALFORMED"),
        (features([[1, 2, 3]]) | {"outputs": [{"name": "eta_p50"}]}, "OUTPUT_UNKNOWN"),
        (features([[1, 2, 3]], datatype="INT64"), "DATATYPE_MISMATCH"),
        (features([[1, 2, 3]], data=[1, 2, "3"]), "DATATYPE_MISMATCH"),
        (features([[1, 2, 3]], data=[1, 2, True]), "DATATYPE_MISMATCH"),
        (features([[1, 2, 3]], shape=[1, 4]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], shape=[3]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], shape=[0, 3]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], shape=[1, 1, 3]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], shape=[True, 3]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], data=[1, 2]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], data=[[1, 2, 3], 4]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], data=[[1, 2]]), "SHAPE_MISMATCH"),
        (features([[1, 2, 3]], data="AAAA"), "MALFORMED"),
        (features([[1e39, 2, 3]]), "NOT_FINITE"),
        (features([[10**400, 2, 3]]), "NOT_FINITE"),
        (features([[math.inf, 2, 3]]), "NOT_FINITE"),
        (ids("../etc"), "BAD_ID"),
        (ids("a\x00"), "BAD_ID"),
        (ids("a\n"), "BAD_ID"),
        (ids(""), "BAD_ID"),
        (ids(7), "BAD_ID"),
        (ids("a" * 129), "BAD_ID"),
        (ids("a", datatype="FP32"), "DATATYPE_MISMATCH"),
        (ids("a", "b", shape=[1]), "SHAPE_MISMATCH"),
        (ids("a", "b", shape=[1, 2]), "SHAPE_MISMATCH"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_its_word(asked, code):
    with pytest.raises(BadRequest) as refused:
        oip.parse(asked, WIDTH)

    assert refused.value.code == code


@pytest.mark.parametrize(
    "asked",
    [
        features([[1, 2, 3]], shape=[oip.MOST_ROWS + 1, 3]),
        ids("a", shape=[oip.MOST_IDS + 1]),
        ids("a", shape=[10**4000]),
    ],
)
def test_more_rows_than_one_request_may_have_are_too_large(asked):
    with pytest.raises(TooLarge):
        oip.parse(asked, WIDTH)


def test_an_answer_repeats_the_id_and_gives_the_outputs_asked_in_their_order():
    asked = oip.parse(
        {"id": "q1", "outputs": [{"name": "eta_p50"}, {"name": "p50"}]} | ids("a", "b"), WIDTH
    )
    columns = {
        "p50": np.array([1.5, math.nan]),
        "eta_p50": np.array([7, ABSENT], dtype=np.int64),
    }

    answer = oip.reply(asked, "eta", "3", columns, {"answered_by": "model/eta@3"})

    assert answer == {
        "model_name": "eta",
        "model_version": "3",
        "id": "q1",
        "parameters": {"answered_by": "model/eta@3"},
        "outputs": [
            {"name": "eta_p50", "datatype": "INT64", "shape": [2], "data": [7, None]},
            {"name": "p50", "datatype": "FP32", "shape": [2], "data": [1.5, None]},
        ],
    }
