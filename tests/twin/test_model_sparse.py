"""Sparse blocks: a table with them is the same table, in less memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.chunks import Table
from twin.kinds import SHIPMENT
from twin.merge import blanks, blocks, sparse
from twin.pages import CHUNK

BLANKS = {"a": np.int64(-1), "b": np.float64(np.nan), "c": np.int32(-1), "d": np.int8(7)}
BLOCKS = {"a": "one", "b": "one", "c": "two", "d": "two"}
ROWS = 3 * CHUNK
# Few rows, most of them in few chunks, so that writes meet snapshots and each other.
row = st.one_of(st.integers(0, 5), st.integers(0, ROWS - 1), st.just(CHUNK), st.just(ROWS - 1))
write = st.tuples(st.sampled_from("abcd"), st.lists(row, max_size=6), st.integers(0, 100))
steps = st.lists(st.one_of(write, st.just("snapshot"), st.just("grow")), max_size=25)
choices = st.sets(st.sampled_from(["one", "two"]))


def said(snapshot):
    """Every column as bytes: NaN equals NaN."""
    return {name: snapshot.column(name).tobytes() for name in BLANKS}


def told(plain):
    return {name: np.array(values, BLANKS[name].dtype).tobytes() for name, values in plain.items()}


def nothing():
    return {name: [] for name in BLANKS}


def do(table, plain, step):
    if step == "snapshot":
        return
    if step == "grow":
        table.grow(min(ROWS, table.size + CHUNK // 2))
        for name, values in plain.items():
            values += [BLANKS[name].item()] * (table.size - len(values))
        return
    name, rows, first = step
    rows = [r for r in rows if r < table.size]
    values = [first + i for i in range(len(rows))]
    table.put(name, np.array(rows, np.int64), np.array(values, BLANKS[name].dtype))
    for r, value in zip(rows, values, strict=True):
        plain[name][r] = value


@settings(max_examples=60)
@given(choices, steps)
def test_a_table_is_what_was_written_and_a_snapshot_what_it_was(thin, steps):
    table, plain, kept = Table(BLANKS, BLOCKS, thin), nothing(), []

    for step in ["grow", *steps]:
        do(table, plain, step)
        if step == "snapshot":
            kept.append((table.snapshot(), told(plain)))

    assert said(table.snapshot()) == told(plain)
    for shot, was in kept:
        assert said(shot) == was


@settings(max_examples=60)
@given(steps, st.lists(row, min_size=1, max_size=6))
def test_a_sparse_block_reads_like_a_dense_one(steps, asked):
    dense, thin = Table(BLANKS, BLOCKS), Table(BLANKS, BLOCKS, {"one", "two"})
    for step in ["grow", *steps]:
        do(dense, nothing() if step == "grow" else _lists(dense), step)
        do(thin, nothing() if step == "grow" else _lists(thin), step)
    rows = np.array([r for r in asked if r < dense.size], np.int64)
    shots = dense.snapshot(), thin.snapshot()

    assert said(shots[0]) == said(shots[1])
    for name in BLANKS:
        assert dense.take(name, rows).tobytes() == thin.take(name, rows).tobytes()
        assert shots[0].take(name, rows).tobytes() == shots[1].take(name, rows).tobytes()
        pair = [table.takes({"x": name}, rows)["x"].tobytes() for table in (dense, thin)]
        assert pair[0] == pair[1]
        for r in rows.tolist():
            assert str(dense.cell(name, r)) == str(thin.cell(name, r))
    for r in rows.tolist():
        known = {"a": -1, "c": -1}
        assert str(dense.cells(r, known)) == str(thin.cells(r, known))


def _lists(table):
    return {name: [None] * table.size for name in BLANKS}


@settings(max_examples=60)
@given(choices, choices, steps)
def test_what_is_dumped_is_loaded_whichever_blocks_are_sparse(one, other, steps):
    table, plain = Table(BLANKS, BLOCKS, one), nothing()
    for step in ["grow", *steps]:
        do(table, plain, step)
    again = Table(BLANKS, BLOCKS, other)
    again.load(table.snapshot().dump(), table.size)

    assert said(again.snapshot()) == told(plain)


def test_a_dump_names_the_rows_of_a_sparse_block():
    table = Table(BLANKS, BLOCKS, {"two"})
    table.grow(9)
    table.puts({"c": np.array([4, 5]), "d": np.array([1, 1])}, np.array([7, 2]))

    dump = table.snapshot().dump()
    assert dump["two.rows"].tolist() == [2, 7]
    assert dump["c"].tolist() == [5, 4]
    assert dump["a"].size == 9


def test_columns_that_a_dump_lacks_stay_blank_and_blank_rows_take_no_slot():
    table = Table(BLANKS, BLOCKS, {"two"})
    table.load({"a": np.arange(5), "c": np.array([-1, -1, 3, -1, -1])}, 5)

    assert table.snapshot().column("a").tolist() == [0, 1, 2, 3, 4]
    assert table.snapshot().dump()["two.rows"].tolist() == [2]
    assert table.snapshot().column("d").tolist() == [7] * 5


@pytest.mark.parametrize("thin", [set(), {"one", "two"}])
def test_a_snapshot_cannot_be_written(thin):
    table = Table(BLANKS, BLOCKS, thin)
    table.grow(9)

    for name in BLANKS:
        with pytest.raises(ValueError, match="read-only"):
            table.snapshot().column(name)[0] = 1


def test_a_group_of_few_twins_takes_memory_for_those_only():
    rows, few = 200_000, 10_000
    names = blanks(SHIPMENT), blocks(SHIPMENT)
    tables = dense, thin = Table(*names), Table(*names, sparse(SHIPMENT))
    before = [table.bytes() for table in tables]
    for table in tables:
        table.grow(rows)
        at = np.arange(0, rows, rows // few)
        table.puts({"lat": at * 1.0, "lon": at * 1.0, "position.as_of": at}, at)
    took = [table.bytes() - was for table, was in zip(tables, before, strict=True)]

    assert "position" in sparse(SHIPMENT)
    assert took[1] < took[0] / 4
    assert thin.snapshot().column("lat").tobytes() == dense.snapshot().column("lat").tobytes()


def test_a_group_that_no_twin_has_takes_no_memory():
    table = Table(blanks(SHIPMENT), blocks(SHIPMENT), sparse(SHIPMENT))
    before = table.bytes()

    table.grow(1_000_000)
    table.snapshot()
    assert table.bytes() == before
