"""Round trips: what goes into an archive comes out of it, byte for byte and row for row."""

import io
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import archiver, journal_file, rows, segments
from actors.disk import OsDisk
from actors.fetch import fetch
from tests.actors.archives import PLACE, archive_at, archived
from tests.actors.shards import offer
from tests.twin.histories import T0, event
from twin.errors import JournalCorrupt

NAMES = st.sampled_from(["a", "b", "c", "é-ü", "x" * 40])
POSITION = {"lat": 1.5, "lon": -2.0}


@st.composite
def events(draw):
    """One event: of a few ids and twins, now and then broken, unknown, correcting or retracting."""
    does = draw(st.sampled_from([{}, {}, {}, {"corrects": "1"}, {"retracts": "2"}]))
    type_ = draw(st.sampled_from(["shipment.position"] * 3 + ["shipment.departed", "what.ever"]))
    data = draw(st.sampled_from([POSITION, POSITION, {"lat": 1000.0}, {}]))
    return event(
        id=str(draw(st.integers(0, 30))),
        type=type_,
        subject=draw(NAMES),
        time=T0 + draw(st.integers(0, 5)),
        data={} if "retracts" in does else data,
        **does,
    )


@given(
    epochs=st.lists(
        st.lists(st.lists(events(), min_size=1, max_size=4), max_size=6), min_size=1, max_size=3
    ),
    most=st.integers(1, 4000),
)
def test_a_journal_comes_home_byte_for_byte_and_row_for_row(epochs, most):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(journal_file, "SMALLEST", 2048)
        patch.setattr(archiver, "MOST", most)
        home, store = Path(folder, "disk"), Path(folder, "store")
        for epoch, batches in enumerate(epochs, 1):
            one, beside = archived(home, archive_at(store), epoch)
            for batch in batches:
                offer(one, *batch)
            beside.step()

        fetch(archive_at(store), OsDisk(), Path(folder, "new"))

        assert framed(Path(folder, "new"), len(epochs)) == framed(home, len(epochs))
        again, _ = archived(Path(folder, "new"), archive_at(store), len(epochs) + 1)
        assert again.digests() == one.digests()
        assert told(store) == journaled(one)


def framed(home, epochs):
    """Return the bytes of all frames with events, in order."""
    found = []
    for part in segments.parts(OsDisk(), home, epochs):
        content = (home / f"e{part.epoch}" / part.name).read_bytes()
        places = segments.index(memoryview(content))
        found += [content[start:end] for _, _, start, end in places]
    return found


def told(store):
    """Return (offset, hash, parked, what it does, id) of every archived row."""
    tables = [pq.read_table(io.BytesIO(p.read_bytes())) for p in (store / PLACE).glob("*.parquet")]
    found = [row for table in tables for row in table.to_pylist()]
    return sorted(
        (row["offset"], row["hash"], bool(row["parked"]), row["does"] or "", row["id"])
        for row in found
    )


def journaled(one):
    does = {0: "", 1: "corrects", 2: "retracts"}
    found = []
    for frame in one._journal.scan():
        ids = rows.event_ids(frame).list() if frame.size else []
        for i, id in enumerate(ids):
            done = int(frame.columns["does"][i]) if "does" in frame.columns else 0
            parked = bool(frame.columns["reason"][i])
            hash_ = frame.columns["hash"][i].tobytes()
            found.append((frame.first + i, hash_, parked, does[done], id))
    return found


@given(place=st.floats(0, 1), bit=st.integers(0, 7), cut=st.integers(1, 400))
def test_no_damage_of_a_page_of_rows_is_overlooked(place, bit, cut):
    content, raw, offsets = made()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    flipped = bytearray(content)
    flipped[int(place * (footer - 1))] ^= 1 << bit

    for damaged in (bytes(flipped), content[:-cut]):
        try:
            rows.verify(damaged, raw, offsets)
        except JournalCorrupt:
            continue
        table = pq.read_table(io.BytesIO(damaged))  # a bit that no reader looks at
        assert table.equals(pq.read_table(io.BytesIO(content)))


MADE = []


def made():
    """Return rows, the frames they were made of, and their offsets."""
    if not MADE:
        with tempfile.TemporaryDirectory() as folder:
            one, beside = archived(Path(folder, "disk"), archive_at(Path(folder, "store")))
            for number in range(4):
                offer(one, *(event(id=f"{number}-{i}", subject=f"S{i}") for i in range(5)))
            beside.step()
            parts = sorted(Path(folder, "store", PLACE).glob("part-*"))
            MADE.extend((parts[0].read_bytes(), parts[1].read_bytes(), range(20)))
    return MADE


def test_rows_of_other_frames_are_refused():
    content, raw, offsets = made()

    rows.verify(content, raw, offsets)
    with pytest.raises(JournalCorrupt, match="other frames"):
        rows.verify(content, raw[:-8], offsets)
    with pytest.raises(JournalCorrupt, match="row for each"):
        rows.verify(content, raw, range(19))
