"""What a journal in files keeps, and what damage it notices: every cut, and every bit."""

import copy
import random

import pytest

from actors import journal_file
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from tests.actors.shards import HOME, claimed, firsts, named, offer, shard
from tests.ports.sim_disk import SimOs
from twin import frames
from twin.errors import JournalCorrupt, JournalFailed

PART = HOME / "e1" / "seg-00000000000000000000.twj"


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)


def written(count, *, witness, system=None):
    """Return a system with a journal of `count` frames, and where each of them ends."""
    system = system or SimOs(random.Random(1))
    one = shard(HOME, disk=OsDisk(system))
    for number in range(count):
        offer(one, *named(f"e{number}"))
    if not witness:
        OsDisk(system).remove(HOME / "witness")
    ends = [found.end for found in frames.scan(memoryview(bytes(system.file(PART).now)))]
    assert len(ends) == count
    return system, ends


def recovered(system):
    """Return what a successor finds, or "corrupt"; and how many bytes it cut."""
    journal = FileJournal(OsDisk(copy.deepcopy(system)), HOME, 2)
    try:
        journal.claim()
        return firsts(journal), journal.torn_bytes
    except JournalCorrupt:
        return "corrupt", 0


def test_every_cut_of_a_journal_recovers_to_the_last_whole_frame():
    system, ends = written(3, witness=False)
    node = system.file(PART)
    whole = bytes(node.now)

    for cut in range(ends[-1] + 9):
        node.now = bytearray(whole[:cut])
        kept = sum(end <= cut for end in ends)
        left = whole[ends[kept - 1] if kept else 0 : cut].rstrip(b"\0")
        assert recovered(system) == (list(range(kept)), len(left))


def test_a_tail_of_any_bytes_without_a_whole_frame_is_cut_and_counted(rng):
    system, ends = written(2, witness=False)
    node = system.file(PART)
    for _ in range(100):
        node.now[ends[-1] :] = rng.randbytes(rng.randrange(1, 200)) + b"\1"
        torn = len(node.now) - ends[-1]
        assert recovered(system) == ([0, 1], torn)


def test_a_journal_that_ends_before_its_witness_is_corrupt():
    system, ends = written(3, witness=True)
    node = system.file(PART)
    whole = bytes(node.now)

    for cut in range(ends[-1]):
        node.now = bytearray(whole[:cut])
        assert recovered(system)[0] == "corrupt"
    node.now = bytearray(whole)
    assert recovered(system) == ([0, 1, 2], 0)


def test_what_is_restored_after_a_refused_start_is_whole_again():
    system, ends = written(3, witness=True)
    node = system.file(PART)
    whole, node.now = node.now, node.now[: ends[0]]
    disk = OsDisk(system)
    with pytest.raises(JournalCorrupt):
        claimed(HOME, 2, disk)
    node.now = whole

    assert firsts(claimed(HOME, 3, disk)) == [0, 1, 2]


@pytest.mark.parametrize("kept", range(12))
def test_a_witness_that_was_half_written_refuses_no_start(kept):
    system, _ = written(3, witness=True)
    node = system.file(HOME / "witness")
    new = bytes(node.now)
    OsDisk(system).note(HOME / "witness", journal_file.WITNESS.pack(2, 0))
    old = bytes(node.now)
    node.now = bytearray(new[:kept] + old[kept:])

    assert recovered(system) == ([0, 1, 2], 0)


def flipped(witness, step):
    """Return what is found after each `step`-th bit was flipped, by where it lies."""
    system, ends = written(2, witness=witness)
    node = system.file(PART)
    whole = bytes(node.now)
    told = ([], [], [])  # in the first frame, in the last one, in the zeroes behind it
    for bit in range(0, 8 * (ends[-1] + 16), step):
        node.now = bytearray(whole)
        node.now[bit // 8] ^= 1 << bit % 8
        told[sum(bit // 8 >= end for end in ends)].append(recovered(system))
    return told


@pytest.mark.parametrize(
    ("witness", "step"),
    [
        (True, 29),
        (False, 7),
        pytest.param(True, 1, marks=pytest.mark.slow),
        pytest.param(False, 1, marks=pytest.mark.slow),
    ],
)
def test_no_flipped_bit_is_taken_for_an_event(witness, step):
    first, last, behind = flipped(witness, step)

    assert {found for found, _ in first} == {"corrupt"}  # a whole frame is behind it
    if witness:
        assert {found for found, _ in last} == {"corrupt"}
    else:  # looks as if it was being written: cut, and the bytes are told
        assert all(found == [0] and torn > 0 for found, torn in last)
    assert all(found == [0, 1] and torn > 0 for found, torn in behind)


def test_no_flipped_bit_of_a_seal_is_taken_for_an_end():
    system, _ = written(2, witness=False)
    shard(HOME, 2, disk=OsDisk(system))
    seal = system.file(HOME / "seal-1")
    whole = bytes(seal.now)
    for bit in range(8 * len(whole)):
        seal.now = bytearray(whole)
        seal.now[bit // 8] ^= 1 << bit % 8
        with pytest.raises(JournalCorrupt):
            FileJournal(OsDisk(copy.deepcopy(system)), HOME, 3).claim()


def test_damage_in_the_last_frame_of_a_full_segment_is_corruption():
    system, _ = written(1, witness=False)
    one = shard(HOME, 2, disk=OsDisk(system))
    offer(one, *named("long", "x" * 100, *(f"more{i}" for i in range(40))))
    offer(one, *named(*(f"next{i}" for i in range(60))))
    first, second = sorted(OsDisk(system).names(HOME / "e2"))
    node = system.file(HOME / "e2" / first)
    end = list(frames.scan(memoryview(bytes(node.now))))[-1].end
    OsDisk(system).remove(HOME / "witness")
    node.now[end - 20] ^= 4

    with pytest.raises(JournalCorrupt):
        claimed(HOME, 3, OsDisk(system))
    assert second > first


def test_a_segment_that_is_missing_is_noticed():
    system = SimOs(random.Random(2))
    one = shard(HOME, disk=OsDisk(system))
    for number in range(12):
        offer(one, *named(f"e{number}"))
    names = sorted(OsDisk(system).names(HOME / "e1"))
    assert len(names) > 1
    OsDisk(system).remove(HOME / "e1" / names[0])

    with pytest.raises(JournalCorrupt, match="missing"):
        shard(HOME, 2, disk=OsDisk(system))


def grown(folder, disk, epochs=4):
    """Write several epochs of several segments; return the id of every offset."""
    ids = []
    for epoch in range(1, epochs + 1):
        one = shard(folder, epoch, disk=disk)
        for number in range(epoch % 3 * 4):
            names = [f"{epoch}-{number}-{i}" for i in range(number % 3 + 1)]
            offer(one, *named(*names))
            ids += names
        one.bear_witness()
    return ids


@pytest.mark.parametrize("real", [True, False])
def test_every_offset_of_every_epoch_is_found_and_scanned_from(tmp_path, rng, real):
    folder, disk = (tmp_path, OsDisk()) if real else (HOME, OsDisk(SimOs(rng)))
    ids = grown(folder, disk)
    journal = claimed(folder, 5, disk)

    assert journal.next == len(ids)
    assert len(journal._parts()) >= 4
    for offset, name in enumerate(ids):
        frame = journal.at(offset)
        at = offset - frame.first
        assert id_of(frame, at) == name
        assert min(firsts(journal, offset)) == frame.first
    assert [journal.at(offset) for offset in (-1, len(ids), 10**9)] == [None] * 3
    assert firsts(journal, len(ids)) == []


def id_of(frame, at):
    return frames.column_texts(frame.columns, "id").get(at)


def test_what_was_just_appended_is_found_and_scanned(tmp_path):
    one = shard(tmp_path)
    for number in range(8):
        offer(one, *named(f"e{number}"))
        assert id_of(one.frame(number), 0) == f"e{number}"
        assert id_of(one.frame(0), 0) == "e0"

    assert firsts(one._journal) == list(range(8))


def test_segments_are_zeroed_ahead_and_twice_as_long_each_time(tmp_path):
    one = shard(tmp_path)
    for number in range(30):
        offer(one, *named(f"e{number}"))

    sizes = [path.stat().st_size for path in sorted((tmp_path / "e1").iterdir())]
    assert sizes == [4096 << i for i in range(len(sizes))]
    assert len(sizes) > 2


def test_a_frame_longer_than_a_segment_has_one_of_its_own(tmp_path):
    one = shard(tmp_path)
    offer(one, *named(*(f"e{i}" for i in range(500))))
    offer(one, *named("after"))

    assert firsts(claimed(tmp_path, 2)) == [0, 500]


def test_a_witness_frame_takes_no_segment_and_no_name_from_the_next_event(tmp_path):
    one = shard(tmp_path)
    one.bear_witness()
    offer(one, *named("a"))
    for _ in range(200):
        one.bear_witness()
    offer(one, *named(*(f"e{i}" for i in range(100))))

    assert firsts(claimed(tmp_path, 2)) == [0, 1]


def test_after_a_failed_sync_nothing_is_appended_to_that_journal(rng):
    system = SimOs(rng)
    one = shard(HOME, disk=OsDisk(system))
    offer(one, *named("a"))
    system.faults = {"fsync": (0, 5)}
    for name in ("b", "c"):
        with pytest.raises(JournalFailed):
            offer(one, *named(name))

    assert firsts(claimed(HOME, 2, OsDisk(system))) in ([0], [0, 1])


@pytest.mark.parametrize("call", ["pwrite", "fsync", "open"])
def test_the_nth_call_that_fails_is_never_acknowledged(rng, call):
    for well in range(60):
        system = SimOs(rng)
        one = shard(HOME, disk=OsDisk(system))
        system.faults = {call: (well, 5)}
        acknowledged = []
        for number in range(9):
            try:
                acknowledged += [at for *_, at in offer(one, *named(f"e{number}"))]
            except JournalFailed:
                break
        if not system.hit:
            break
        system.power_cut()
        assert firsts(claimed(HOME, 2, OsDisk(system)))[: len(acknowledged)] == acknowledged
    assert not system.hit
    assert well >= 9
