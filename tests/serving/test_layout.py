"""A stream that is laid out by hand is the stream that Arrow writes."""

import numpy as np
import pyarrow as pa
import pytest

from serving import arrow, tabular
from serving.layout import layout_of
from serving.tabular import Cells


def cells(n, seed, words=("north", "south")):
    draw = np.random.default_rng(seed)
    return {
        "asked": Cells(np.arange(n, dtype=np.int32)),
        "lat": Cells(draw.random(n)),
        "source": Cells(draw.integers(0, len(words), n).astype(np.int8), None, words),
        "as_of": Cells(draw.integers(1, 2**40, n)),
        "confidence": Cells(draw.random(n).astype(np.float32)),
        "few": Cells(draw.integers(0, 5, n).astype(np.int8)),
    }


def read(raw):
    with pa.ipc.open_stream(raw) as reader:
        return reader.read_all()


@pytest.fixture(autouse=True)
def nothing_met():
    tabular._layouts.clear()
    arrow._met.clear()


@pytest.mark.parametrize("n", [1, 7, 8, 1000, 1001])
def test_the_second_stream_of_a_layout_is_what_arrow_writes(n):
    tabular._written(cells(n, 1))
    assert len(tabular._layouts) == 1

    again = tabular._written(cells(n, 2))

    assert len(tabular._layouts) == 1
    tabular._layouts.clear()
    assert again == tabular._written(cells(n, 2))
    assert read(again)["lat"].to_numpy().tolist() == cells(n, 2)["lat"].values.tolist()


@pytest.mark.parametrize("n", [1, 9, 1000])
def test_a_stream_read_by_its_layout_is_what_arrow_reads(n):
    first, second = tabular._written(cells(n, 1)), tabular._written(cells(n, 2))
    arrow.decode(first)
    assert [layout.fits(second) for layout in arrow._met] == [True]

    columns = arrow.decode(second)

    arrow._met.clear()
    told = arrow.decode(second)
    assert list(columns) == list(told)
    for name, column in told.items():
        assert column.dtype == columns[name].dtype
        assert column.tolist() == columns[name].tolist()


def test_other_rows_words_or_names_are_another_layout():
    raws = [
        tabular._written(cells(8, 1)),
        tabular._written(cells(9, 1)),
        tabular._written(cells(8, 1, ("north", "east"))),
        tabular._written({f"x{name}": one for name, one in cells(8, 1).items()}),
    ]
    assert len(tabular._layouts) == 4

    for raw in raws:
        arrow.decode(raw)

    assert len(arrow._met) == 4
    for raw in raws:
        assert sum(layout.fits(raw) for layout in arrow._met) == 1


def test_what_is_absent_somewhere_has_no_layout():
    columns = cells(8, 1) | {"temp": Cells(np.ones(8), np.arange(8) > 3)}

    raw = tabular._written(columns)

    assert not tabular._layouts
    with pa.ipc.open_stream(raw) as reader:
        assert layout_of(raw, reader.read_next_batch()) is None
    assert np.isnan(arrow.decode(raw)["temp"]).tolist() == [True] * 4 + [False] * 4


def test_flags_and_texts_of_no_fixed_width_have_no_layout():
    for column in (Cells(np.ones(8, np.bool_)), pa.array(list("abcdefgh"))):
        raw = tabular._written(cells(8, 1) | {"more": column})
        with pa.ipc.open_stream(raw) as reader:
            assert layout_of(raw, reader.read_next_batch()) is None
