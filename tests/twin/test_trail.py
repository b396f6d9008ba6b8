"""What a snapshot reads while writes go on, and what those note for it."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.chunks import Table
from twin.pages import CHUNK
from twin.trail import Trail, Undo

BLANKS = {
    "a": np.int64(-1),
    "b": np.float64(np.nan),
    "c": np.int32(-1),
    "d": np.int8(7),
    "e": np.float32(0),
}
BLOCKS = {"a": "one", "b": "one", "c": "two", "d": "two", "e": "two"}
ROWS = 3 * CHUNK
row = st.one_of(st.integers(0, 5), st.integers(0, ROWS - 1), st.just(CHUNK))
writes = st.lists(st.tuples(st.sampled_from("abcde"), st.lists(row, max_size=6)), max_size=20)


def table_of(size=ROWS):
    table = Table(BLANKS, BLOCKS, {"two"})
    table.grow(size)
    return table


@given(st.lists(st.tuples(st.booleans(), writes), min_size=1, max_size=5), st.lists(row))
def test_whatever_way_it_is_read_a_snapshot_says_what_was(rounds, rows):
    table, taken = table_of(), []
    plain = {name: np.full(ROWS, blank) for name, blank in BLANKS.items()}
    rows, value = np.array(rows, np.int64), 0
    for keeps, some in rounds:
        if keeps:
            taken.append((table.snapshot(), {name: c.copy() for name, c in plain.items()}))
        for name, written in some:
            value += 1
            table.put(name, np.array(written, np.int64), np.full(len(written), value, np.int8))
            plain[name][written] = value

    for shot, was in taken:
        dump = shot.dump()
        sparse = dump.pop("two.rows", np.empty(0, np.int64))
        for name, column in was.items():
            assert np.array_equal(shot.column(name), column, equal_nan=True)
            assert np.array_equal(shot.take(name, rows), column[rows], equal_nan=True)
            found, values, count = shot.gather(name, rows, 0)
            assert np.array_equal(values, column[rows], equal_nan=True)
            assert np.array_equal(found.read(name), column[rows], equal_nan=True)
            assert count == found.known(name, 0)[1] == (column[rows] >= 0).sum()
            now = shot.between(name, 1, 5)
            assert np.array_equal(now, (column >= 1) & (column <= 5))
            other = "c" if name == "a" else "a"
            both = [(name, (1, 5)), (other, (0, 9))]
            assert np.array_equal(shot.sift(both), np.flatnonzero(shot.meet(both)))
            assert np.array_equal(shot.sift(both[:1]), np.flatnonzero(now))
            of = sparse if BLOCKS[name] == "two" else slice(None)
            assert np.array_equal(dump[name], column[of], equal_nan=True)


def test_once_more_was_noted_than_a_block_holds_its_chunks_are_copied_instead():
    table = table_of()
    every = np.arange(ROWS)
    table.put("a", every, every)
    shot = table.snapshot()
    trail = table._of["a"]._trail

    for turn in range(1, 9):
        table.put("a", every, every + turn)

    assert not trail.followed
    assert shot.column("a").tolist() == every.tolist()
    assert table.snapshot().column("a").tolist() == (every + 8).tolist()


def test_nothing_is_noted_where_nobody_reads():
    table = table_of()
    shot = table.snapshot()
    trail = table._of["a"]._trail
    table.put("a", np.arange(9), np.arange(9))
    assert trail.noted == 9

    del shot
    table.put("a", np.arange(9), np.arange(9))

    assert not trail.followed
    assert trail.noted == 9


def test_a_long_trail_is_let_go_of_at_once():
    trail = Trail()
    step = first = trail.join()
    for _ in range(200_000):
        trail.note(None, np.zeros(1, np.int64), {})
    assert first.following is not None

    del step, first

    assert not trail.followed


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=5)), st.data())
def test_of_what_was_noted_of_a_place_the_oldest_is_put_back(notes, data):
    arenas, mine = {"x": np.zeros((1, 10), np.int32)}, object()
    trail, oldest = Trail(), {}
    undo = Undo(trail.join(), mine)
    for note in notes:
        of = data.draw(st.sampled_from([mine, object()]))
        at = np.array([place for place, _ in note], np.int64)
        for (place, _), held in zip(note, arenas["x"][0][at].tolist(), strict=True):
            if of is mine:
                oldest.setdefault(place, held)
        trail.note(of, at, arenas)
        arenas["x"][0][at] = [value for _, value in note]
        wanted = np.array(data.draw(st.lists(st.integers(0, 9))), np.uint64)
        values = arenas["x"][0][wanted].copy()

        undo.mend("x", wanted, values)

        now = arenas["x"][0].tolist()
        assert values.tolist() == [oldest.get(place, now[place]) for place in wanted.tolist()]


def test_a_reader_beside_a_writer_never_sees_half_a_write():
    table, lock, over = table_of(), threading.Lock(), threading.Event()
    every = np.arange(ROWS)
    said = []

    def write():
        draw, turn = np.random.default_rng(3), 0
        while not over.is_set():
            turn += 1
            rows = every if turn % 50 == 0 else draw.integers(0, ROWS, 500)
            with lock:  # all rows of `a` and `c` that were ever written are of one sum
                table.put("a", rows, np.full(rows.size, turn))
                table.put("c", rows, np.full(rows.size, -turn, np.int32))

    with lock:
        table.put("a", every, np.zeros(ROWS, np.int64))
        table.put("c", every, np.zeros(ROWS, np.int32))
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for turn in range(150):
            with lock:
                shot = table.snapshot()
            rows = np.random.default_rng(turn).integers(0, ROWS, 700)
            first = shot.column("a")
            said.append((shot.between("a", 1, 1 << 40) != (first > 0)).any())
            said.append((first + shot.column("c")).any())
            said.append((shot.take("a", rows) != first[rows]).any())
            said.append((shot.gather("c", rows, 0)[1] != -first[rows]).any())
            said.append((shot.column("a") != first).any())
    finally:
        over.set()
        thread.join()
    assert not any(said)
    assert table.take("a", every).max() > 0
