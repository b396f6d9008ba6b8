"""What a snapshot of a table promises its readers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.chunks import Table
from twin.kinds import KINDS
from twin.merge import blanks
from twin.pages import CHUNK

BLANK = {"lat": np.float64(np.nan), "code": np.int32(-1)}
ROWS = [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 5]
commits = st.lists(
    st.dictionaries(st.sampled_from(ROWS), st.integers(0, 100), max_size=3), max_size=8
)
SPARSE = blanks(KINDS["shipment"])


def write(table, values, name="quantity"):
    if not values:
        return
    rows = np.array(sorted(values), np.int64)
    table.grow(int(rows[-1]) + 1)
    table.put(name, rows, np.array([values[row] for row in sorted(values)], np.int64))


@given(commits)
def test_a_snapshot_never_changes_while_commits_go_on(commits):
    table, shots = Table(SPARSE), []
    for values in commits:
        shots.append((shot := table.snapshot(), shot.column("quantity").copy()))
        write(table, values)

    for shot, before in shots:
        assert np.array_equal(shot.column("quantity"), before)
        assert shot.column("quantity").size == shot.size


@given(commits)
def test_a_row_holds_what_was_last_written(commits):
    table, model = Table(SPARSE), {}
    blank = SPARSE["quantity"].item()
    for values in commits:
        write(table, values)
        model |= values
    rows = np.array([row for row in ROWS if row < table.size], np.int64)
    wanted = [model.get(row, blank) for row in rows.tolist()]

    assert table.take("quantity", rows).tolist() == wanted
    assert table.snapshot().take("quantity", rows).tolist() == wanted
    assert [table.cell("quantity", row) for row in rows.tolist()] == wanted
    whole = table.snapshot().column("quantity")
    assert [whole[row] for row in rows.tolist()] == wanted


def test_where_a_row_repeats_the_last_value_stands():
    table = Table(SPARSE)
    table.grow(3)
    table.put("quantity", np.array([1, 1, 2, 1]), np.array([5, 6, 7, 8]))

    assert table.take("quantity", np.array([1, 2])).tolist() == [8, 7]
