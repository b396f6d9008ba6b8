"""A second reading of journals: it agrees with the first where they are whole, and nowhere else."""

import shutil

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import journal_file
from cluster.journal_check import check
from cluster.journal_reader import JournalReader, shards
from tests.actors.shards import claimed, named, offer, shard
from tests.cluster.journals import flip, places, segments, written
from twin import frames
from twin.frames import column_texts

NAME = "shipment/east/0"


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)
    monkeypatch.setattr(journal_file, "LARGEST", 8192)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal of three epochs; copied by those who damage it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_file, "SMALLEST", 4096)
        patch.setattr(journal_file, "LARGEST", 8192)
        return written(tmp_path_factory.mktemp("whole") / "journal", 12, 1, 7)


@pytest.fixture
def home(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "journal")


def faults(home):
    return check(NAME, home).damage


def test_a_whole_journal_reads_the_same_both_ways(whole):
    first = [frame for frame in claimed_frames(whole) if frame.size]
    second = [batch for batch in JournalReader(whole).batches() if batch.size]

    assert [(b.epoch, b.first, b.size) for b in second] == [
        (f.epoch, f.first, f.size) for f in first
    ]
    for batch, frame in zip(second, first, strict=True):
        assert (batch.words, batch.contracts) == (frame.words, frame.contracts)
        assert batch.names == {kind: names.list() for kind, names in frame.names.items()}
        assert batch.ids() == column_texts(frame.columns, "id").list()
        held = {name: c.tobytes() for name, c in batch.columns.items()}
        assert {name: c.tobytes() for name, c in frame.columns.items()}.items() <= held.items()


def claimed_frames(home):
    for path in segments(home):
        for found in frames.scan(memoryview(path.read_bytes())):
            yield found.frame


def test_a_whole_journal_has_no_fault_and_its_epochs_are_counted(whole):
    found = check(NAME, whole)

    assert found.damage == []
    assert (found.next, found.witness, found.events, found.parked) == (66, 66, 66, 6)
    assert [epoch.state for epoch in found.epochs] == ["sealed", "sealed", "open"]
    assert [(epoch.first, epoch.next) for epoch in found.epochs] == [(0, 39), (39, 43), (43, 66)]
    assert [epoch.seal.next for epoch in found.epochs if epoch.seal] == [39, 43]
    assert len(found.epochs[0].segments) > 2


def test_a_checkpoint_is_listed_with_its_size_and_a_damaged_one_is_a_fault(home):
    one = shard(home, 4)
    offset = one.checkpoint()
    (path,) = home.glob("ckpt-*")

    assert check(NAME, home).checkpoints == {offset: path.stat().st_size}
    assert faults(home) == []

    flip(path, path.stat().st_size // 2)
    (fault,) = faults(home)
    assert fault.file == str(path)


def test_a_flipped_byte_in_the_middle_is_told_with_its_file_and_its_frame(home):
    path = segments(home)[1]
    start, end = places(path)[2]
    flip(path, (start + end) // 2)

    first = faults(home)[0]
    assert (first.file, first.byte) == (str(path), start)
    assert "CRC" in first.what


@given(st.data())
def test_no_byte_of_a_frame_can_change_unnoticed(whole, tmp_path_factory, data):
    home = shutil.copytree(whole, tmp_path_factory.mktemp("flipped") / "journal")
    path = data.draw(st.sampled_from(segments(home)))
    byte = data.draw(st.integers(0, places(path)[-1][1] - 1))
    flip(path, byte, data.draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128])))

    told = faults(home)

    mine = [(start, end) for start, end in places(segments(whole)[segments(home).index(path)])]
    within = [start for start, end in mine if start <= byte < end]
    assert (told[0].file, told[0].byte) == (str(path), *within)


@given(st.data())
def test_no_journal_can_end_early_unnoticed(whole, tmp_path_factory, data):
    home = shutil.copytree(whole, tmp_path_factory.mktemp("cut") / "journal")
    path = data.draw(st.sampled_from(segments(home)))
    length = data.draw(st.integers(0, places(path)[-1][1] - 1))
    with path.open("r+b") as file:
        file.truncate(length)

    told = faults(home)
    says = " ".join(fault.what for fault in told)
    named = str(path) in {fault.file for fault in told}
    assert named or "is missing" in says or "was acknowledged" in says


def test_a_removed_segment_is_noticed_whichever_it_is(whole, tmp_path):
    for number in range(len(segments(whole))):
        home = shutil.copytree(whole, tmp_path / str(number))
        path = segments(home)[number]
        path.unlink()

        assert faults(home), path


def test_a_gap_is_told_where_the_next_frame_stands(home):
    _, path, following, *_ = segments(home)
    path.unlink()

    (fault,) = faults(home)
    assert (fault.file, fault.byte) == (str(following), 0)
    assert "is missing" in fault.what


def test_a_torn_tail_is_counted_and_is_no_fault(home):
    path = segments(home)[-1]
    end = places(path)[-1][1]
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b"TWJF" + b"\1" * 96)

    found = check(NAME, home)
    assert (found.damage, found.epochs[-1].torn, found.next) == ([], 100, 66)
    shard(home, 4)
    sealed = check(NAME, home)
    assert (sealed.damage, sealed.epochs[-2].torn) == ([], 100)
    assert sealed.epochs[-2].seal.torn_bytes == 100


def test_what_a_fenced_writer_appends_is_no_part_of_the_journal(home):
    zombie = claimed(home, 4)
    shard(home, 5)
    batch = next(JournalReader(home).batches())
    frame = next(f for f in claimed_frames(home) if f.size)
    zombie._largest = 4096
    zombie.fenced = lambda: False
    zombie.append(frame._replace(epoch=4, first=66, witness=66))

    found = check(NAME, home)
    assert (found.damage, found.next) == ([], 66)
    assert found.epochs[3].fenced_segments == 1
    assert batch.first == 0


def test_a_seal_or_marker_that_does_not_fit_is_a_fault(whole, tmp_path):
    spoilt = {
        "seal-1": lambda path: flip(path, 12),
        "seal-2": lambda path: path.unlink() or flip(path.with_name("seal-1"), 12),
        "epoch-2": lambda path: path.unlink(),
    }
    for name, spoil in spoilt.items():
        home = shutil.copytree(whole, tmp_path / name)
        spoil(home / name)

        assert faults(home), name


def test_a_journal_that_ends_before_its_witness_is_a_fault(home):
    shutil.rmtree(home / "e3")

    (fault,) = faults(home)
    assert "ends at 43, 66 was acknowledged" in fault.what


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"first": 68}, "is missing"),
        ({"first": 60}, "was there before"),
        ({"epoch": 2}, "a frame of epoch 2"),
        ({"witness": 67}, "witness 67"),
        ({"ingest_time": 5}, "went back"),
        ({"columns": {"prev": -1}}, "links to -1"),
        ({"columns": {"prev": 2}}, "links to 2"),
        ({"columns": {"row": 99}}, "no name"),
        ({"columns": {"hash": 0}}, "applied twice"),
        ({"columns": {"row": None}}, "does not have a value"),
    ],
)
def test_a_whole_frame_that_says_what_cannot_be_is_a_fault(home, change, word):
    path = segments(home)[-1]
    last = [frame for frame in claimed_frames(home) if frame.size][-1]
    raw = frames.encode(_changed(last, home, change))
    end = places(path)[-1][1]
    with path.open("r+b") as file:
        file.seek(end)
        file.write(raw)

    assert any(word in fault.what for fault in faults(home)), faults(home)


def _changed(last, home, change):
    """Return a frame that could follow `last`, but for `change`."""
    first = next(frame for frame in claimed_frames(home) if frame.size)
    hashes = last.columns["hash"] ^ np.uint64(77)
    columns = {**last.columns, "hash": hashes}
    columns["prev"] = np.arange(last.first, last.first + last.size)
    assert (last.columns["reason"] == 0).all()
    named = change.get("columns", {})
    for name, value in named.items():
        if name == "hash":
            columns[name] = np.resize(first.columns["hash"], columns["hash"].shape)
        elif value is None:
            columns[name] = columns[name][:1]
        else:
            columns[name] = np.full_like(columns[name], value)
    rest = {name: value for name, value in change.items() if name != "columns"}
    frame = last._replace(first=66, witness=66, words=[], names={}, columns=columns)
    return frame._replace(**rest)


def test_an_id_that_was_parked_may_come_again_with_better_content(tmp_path):
    one = shard(tmp_path / "journal")
    (event,) = named("again")
    offer(one, {**event, "data": {"lat": 1000.0, "lon": 0.0}})
    offer(one, event)

    assert check(NAME, tmp_path / "journal").damage == []
    assert check(NAME, tmp_path / "journal").events == 2


def test_an_id_is_never_in_a_whole_journal_twice(whole):
    ids = [id for batch in JournalReader(whole).batches() if batch.size for id in batch.ids()]

    assert len(ids) == len(set(ids)) == 66


def test_a_witness_in_the_making_says_nothing(home):
    (home / "witness").write_bytes(b"\0\1\2")

    assert check(NAME, home).witness == -1
    assert faults(home) == []


def test_journals_are_found_by_the_names_of_their_shards(tmp_path):
    home = tmp_path / "journal" / "east" / "shipment" / "0"
    written(home, 1)
    (tmp_path / "journal" / "supervisor").mkdir()

    assert shards(tmp_path) == {NAME: home}


def test_a_seal_of_another_epoch_is_a_fault(home):
    raw = (home / "seal-2").read_bytes()
    (home / "seal-1").write_bytes(raw)

    assert msgspec.json.decode(raw.partition(b"\n")[0])["epoch"] == 2
    assert any("seal is of epoch 2" in fault.what for fault in faults(home))
