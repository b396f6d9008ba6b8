"""Places: frames found by their heads are those that a plain reading of the whole file finds."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from actors import places
from actors.disk import OsDisk
from actors.places import Place, Places
from tests.actors.shards import claimed, firsts, named, offer, shard
from tests.twin.histories import NOW, T0
from twin import frames
from twin.frames import Frame


def laid(sizes, times):
    """Return a segment of frames with so many events each, zeroes behind it, and their places."""
    raw, at, first = b"", [], 0
    for size, ingest_time in zip(sizes, sorted(times), strict=False):
        content = frames.encode(Frame(1, first, size, first, ingest_time, ["w" * size], {}, [], {}))
        if size:
            at.append(Place(first, first + size, ingest_time, len(raw), len(raw) + len(content)))
        raw, first = raw + content, first + size
    return raw, at, first


class Counting(OsDisk):
    """A disk that counts what was read of it."""

    bytes = 0

    def read(self, path, start=0, length=-1):
        raw = super().read(path, start, length)
        self.bytes += len(raw)
        return raw


SEGMENTS = (
    st.lists(st.integers(0, 9000), min_size=1, max_size=30),
    st.lists(st.integers(0, 9), min_size=30, max_size=30),
)


@given(*SEGMENTS, st.lists(st.integers(-1, 100_000), max_size=5), st.booleans())
def test_every_offset_is_found_where_a_plain_reading_finds_it(sizes, times, more, own):
    raw, expected, end = laid(sizes, times)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "segment"
        path.write_bytes(raw + bytes(4096))
        found = Places(OsDisk(), path, len(raw) if own else len(raw) + 4096)
        if own:
            for place in expected:
                found.add(place, 0)
        for offset in [*more, *(place.first for place in reversed(expected)), end, -1]:
            holding = [place for place in expected if place.first <= offset < place.next]
            assert found.at(offset) == (holding[0] if holding else None)


@given(*SEGMENTS, st.lists(st.integers(-1, 10), min_size=1, max_size=5))
def test_a_moment_is_found_before_the_first_event_that_came_later(sizes, times, moments):
    raw, expected, _ = laid(sizes, times)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "segment"
        path.write_bytes(raw + bytes(4096))
        found = Places(OsDisk(), path, len(raw) + 4096)
        for moment in moments:
            later = [place.first for place in expected if place.ingest_time > moment]
            assert found.cut(moment) == (later[0] if later else None)


def test_only_heads_are_read_of_large_frames(tmp_path):
    raw, expected, end = laid([200_000] * 20, range(20))
    path = tmp_path / "segment"
    path.write_bytes(raw)
    disk = Counting()

    found = Places(disk, path, len(raw))

    assert found.at(end - 1) == expected[-1]
    assert disk.bytes < 2 * places.LARGE + 20 * places.SMALL
    before = disk.bytes
    assert found.at(5) == expected[0]
    assert disk.bytes - before <= places.LARGE


def test_a_frame_inside_a_frame_is_not_taken_for_one(tmp_path):
    inner = frames.encode(Frame(1, 5, 5, 5, NOW, [], {}, [], {}))
    outer = frames.encode(Frame(1, 0, 5, 0, NOW, [inner.decode("latin-1")], {}, [], {}))
    after = frames.encode(Frame(1, 5, 1, 5, NOW, [], {}, [], {}))
    path = tmp_path / "segment"
    path.write_bytes(outer + after)

    found = Places(OsDisk(), path, 1 << 62)

    assert found.at(5) == Place(5, 6, NOW, len(outer), len(outer) + len(after))


def test_a_successor_reads_every_event_of_the_epochs_before_it(tmp_path):
    one = shard(tmp_path)
    for number in range(5):
        offer(one, *named(f"a{number}", f"b{number}"))
    two = shard(tmp_path, 2)
    for number in range(5):
        offer(two, *named(f"c{number}"))

    journal = claimed(tmp_path, 3)

    for offset in range(journal.next):
        frame = journal.at(offset)
        assert frame.first <= offset < frame.first + frame.size
    assert firsts(journal) == [0, 2, 4, 6, 8, 10, 11, 12, 13, 14]
    assert journal.cut(NOW) == journal.next
    assert journal.cut(NOW - 1) == 0


def test_segments_of_later_facts_alone_are_left_out_where_earlier_ones_are_asked_for(
    tmp_path,
):
    times = {}
    for epoch in (1, 2, 3):
        one = shard(tmp_path, epoch)
        for number in range(3):
            times[one.next] = T0 + epoch * 10 + number
            offer(one, *named(f"e{epoch}-{number}", time=T0 + epoch * 10 + number))

    journal = one.journal
    every = firsts(journal)
    assert every == sorted(times)
    for by in (T0, T0 + 11, T0 + 25, T0 + 99):
        left = [frame.first for frame in journal.scan(0, by) if frame.size]
        assert {offset for offset, time in times.items() if time <= by} <= set(left)
    assert [frame.first for frame in journal.scan(0, T0 + 15) if frame.size] == every[:3]
