"""What a shard promises its callers. Plain `Shard`, no Ray: the shell is thin enough."""

import numpy as np
import pytest

from actors import shard as shard_module
from actors.disk import OsDisk
from tests.actors.shards import HOME, named, offer, said, shard, twins
from tests.ports.sim_disk import SimOs
from tests.twin.histories import SITES, T0, event, message
from twin.errors import DiskFull, JournalCorrupt, JournalFailed, Recovering, UnknownKey
from twin.outcomes import Outcome

BAD = {"lat": 99.0, "lon": 0.0}


def test_a_shard_answers_nothing_until_it_has_recovered(tmp_path):
    one = shard(tmp_path, ready=False)

    for ask in (
        lambda: offer(one, event()),
        lambda: one.row("shipment", "demo", "S1"),
        one.snapshot,
        one.checkpoint,
        lambda: one.find("erp", "demo", ["e1"]),
    ):
        with pytest.raises(Recovering):
            ask()


def test_every_event_has_its_outcome_and_a_bad_one_fails_no_other(tmp_path):
    told = offer(
        shard(tmp_path),
        event(id="e2", time=T0 + 9),
        event(),
        event(),
        event(data={"lat": 2.0, "lon": 2.0}),
        event(id="e3", data=BAD),
        event(id="a/b"),
    )

    assert told == [
        ("APPLIED", "NONE", 0),
        ("SUPERSEDED", "NONE", 1),
        ("DUPLICATE", "NONE", 1),
        ("REJECTED", "IDEMPOTENCY_CONFLICT", -1),
        ("PARKED", "OUT_OF_RANGE", 2),
        ("REJECTED", "BAD_ID", -1),
    ]


def test_a_recovered_shard_remembers_what_it_acknowledged(tmp_path):
    first = shard(tmp_path)
    told = offer(first, event(), event(id="e2", time=T0 - 5), event(id="e3", data=BAD))
    second = shard(tmp_path, 2)

    assert second.next == 3
    assert twins(second) == twins(first)
    assert second.digests() == first.digests()
    again = offer(second, event(), event(id="e2", time=T0 - 5), event(id="e3", data=BAD))
    assert [at for *_, at in again] == [at for *_, at in told] == [0, 1, 2]
    assert {word for word, *_ in again} == {"DUPLICATE"}


def test_several_messages_share_one_commit_and_each_has_its_answer(tmp_path):
    one = shard(tmp_path)
    answers = one.offer([message(*named("a", "b")), message(*named("b", "c")), message()])

    assert [answer.offset.tolist() for answer in answers] == [[0, 1], [1, 2], []]
    assert answers[1].outcome.tolist() == [Outcome.DUPLICATE, Outcome.APPLIED]
    assert one.frame(2).first == 0


def test_a_batch_of_nothing_new_is_not_journaled(tmp_path):
    one = shard(tmp_path)
    offer(one, event())
    written = one.journal_bytes

    assert said(one, event(), event(id="../x")) == ["DUPLICATE", "REJECTED BAD_ID"]
    assert one.journal_bytes == written


def test_a_row_carries_who_said_it_and_when(tmp_path):
    one = shard(tmp_path)
    offer(one, event(source="tms", confidence=0.5))
    row = one.row("shipment", "demo", "S1")

    assert row.offset == 1
    assert row.cells["position.as_of"] == T0
    assert row.cells["position.source"] == "tms"
    assert (row.cells["position.confidence"], row.cells["lat"]) == (0.5, 1.0)
    for tenant, name in (("other", "S1"), ("demo", "S2")):
        with pytest.raises(UnknownKey):
            one.row("shipment", tenant, name)


def test_an_event_that_did_not_reach_the_disk_changes_nothing(rng):
    system = SimOs(rng)
    one = shard(HOME, disk=OsDisk(system))
    system.faults = {"fsync": (2, 5)}  # the new segment and its folder are synced first
    with pytest.raises(JournalFailed):
        offer(one, event())

    with pytest.raises(UnknownKey):
        one.row("shipment", "demo", "S1")
    assert one.next == 0
    with pytest.raises(JournalFailed):
        offer(one, event(id="e2"))


def test_a_full_disk_refuses_writes_answers_reads_and_resumes_by_itself(rng):
    system = SimOs(rng)
    one = shard(HOME, disk=OsDisk(system))
    room, system.room = system.room, 5_000
    with pytest.raises(DiskFull):
        offer(one, event())
    with pytest.raises(UnknownKey):
        one.row("shipment", "demo", "S1")
    system.room = room

    assert said(one, event()) == ["APPLIED"]
    assert shard(HOME, 2, disk=OsDisk(system)).next == 1


def test_once_the_state_lags_behind_the_journal_nothing_more_is_written(tmp_path, monkeypatch):
    one = shard(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("twin.dedup.Seen.add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            offer(one, event())
    with pytest.raises(JournalFailed):
        offer(one, event(id="e2"))

    assert shard(tmp_path, 2).next == 1


def test_a_checkpoint_shortens_recovery_and_changes_nothing(tmp_path):
    one = shard(tmp_path)
    offer(one, *named("a", "b"), event(id="p", data=BAD))
    assert one.checkpoint() == 3
    offer(one, *named("c"))
    second = shard(tmp_path, 2)

    assert (second.replayed, second.next, second.checkpoint_offset) == (1, 4, 3)
    assert second.digests() == one.digests()
    assert said(second, *named("a")) == ["DUPLICATE"]
    assert second.outcomes()["PARKED"] == 1


@pytest.mark.parametrize("bad", [1, 2])
def test_a_checkpoint_that_fails_its_checksum_is_passed_over(tmp_path, bad):
    one = shard(tmp_path)
    for name in "abc":
        offer(one, *named(name))
        one.checkpoint()
    newest = sorted(tmp_path.glob("ckpt-*"))[-bad:]
    assert len(list(tmp_path.glob("ckpt-*"))) == 2
    for path in newest:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    second = shard(tmp_path, 2)

    assert second.replayed == (1 if bad == 1 else 3)
    assert second.digests() == one.digests()


def test_a_checkpoint_of_a_version_with_other_columns_is_passed_over(tmp_path, monkeypatch):
    one = shard(tmp_path)
    offer(one, *named("a"))
    with monkeypatch.context() as older:
        older.setattr("twin.checkpoint._levels", lambda *_: {})
        one.checkpoint()
    second = shard(tmp_path, 2)

    assert second.replayed == 1
    assert second.digests() == one.digests()


def test_a_checkpoint_that_a_killed_writer_left_half_written_is_removed(tmp_path):
    one = shard(tmp_path)
    offer(one, *named("a"))
    left = tmp_path / ".ckpt-00000000000000000001.twc.7f3a"
    left.write_bytes(b"half")
    second = shard(tmp_path, 2)

    assert not left.exists()
    assert second.digests() == one.digests()


def test_a_checkpoint_beyond_the_journal_is_corruption(tmp_path):
    one = shard(tmp_path)
    offer(one, *named("a"))
    one.checkpoint()
    for segment in (tmp_path / "e1").iterdir():
        segment.write_bytes(b"")
    (tmp_path / "witness").unlink()

    with pytest.raises(JournalCorrupt, match="ends at 0"):
        shard(tmp_path, 2)


@pytest.mark.parametrize("run", [1, 2, 100_000])
def test_what_the_journal_says_is_what_the_shard_knows(tmp_path, monkeypatch, run):
    monkeypatch.setattr(shard_module, "RUN", run)
    one = shard(tmp_path)
    for name in "abc":
        offer(one, *named(name, f"{name}2"), event(id=name * 2, data=BAD))
    live, journaled = one.verify()

    assert live == journaled
    assert shard(tmp_path, 2).digests() == live


def test_a_snapshot_stands_still_while_events_come_in(tmp_path):
    one = shard(tmp_path)
    offer(one, event())
    shot = one.snapshot()
    offer(one, event(id="e2", time=T0 + 1, data={"lat": 7.0, "lon": 7.0}), *named("new"))

    assert shot.tables["shipment"].column("lat").tolist() == [1.0]
    assert one.snapshot().tables["shipment"].column("lat").tolist() == [7.0, 1.0]
    assert (shot.offset, one.snapshot().offset) == (1, 3)


def test_receipts_are_found_again_by_source_and_id(tmp_path):
    one = shard(tmp_path)
    offer(one, event(), event(id="p", data=BAD))
    known = one.find("erp", "demo", ["p", "e1", "stranger"])

    assert known.offset[:2].tolist() == [1, 0]
    assert known.entry[2] < 0
    assert (one.find("tms", "demo", ["e1"]).entry < 0).all()
    assert (one.find("erp", "other", ["e1"]).entry < 0).all()


def test_the_quarantine_is_what_is_parked_now(tmp_path):
    one = shard(tmp_path)
    offer(one, event(id="p", data=BAD), event(id="q", data=BAD))
    assert one.parked() == [1, 0]
    offer(one, event(id="p"))

    assert one.parked() == [1]


def test_outcomes_are_counted(tmp_path):
    one = shard(tmp_path)
    offer(one, event(), event(), event(id="p", data=BAD), event(id="../x"))

    counts = {"APPLIED": 1, "SUPERSEDED": 0, "DUPLICATE": 1, "PARKED": 1, "REJECTED": 1}
    assert one.outcomes() == counts


def test_one_shard_of_a_site_holds_its_stock_too(tmp_path):
    one = shard(tmp_path, rule=SITES)
    item = {"site": "W", "product": "P"}
    offer(one, event(type="stock.counted", subject="W-P", data={**item, "quantity": 4}))
    offer(
        one,
        event(id="m", type="stock.moved", time=T0 + 1, data={**item, "delta": 3}, subject="W-P"),
    )

    assert shard(tmp_path, 2, rule=SITES).row("stock", "demo", "W-P").cells["on_hand"] == 7
    assert one.sizes() == {"site": 0, "stock": 1}


def test_many_frames_of_many_sizes_come_back(tmp_path, rng):
    one = shard(tmp_path)
    total = 0
    for size in [256, 512, 1, *(rng.randint(1, 400) for _ in range(10))]:
        offer(one, *named(*(f"n{total + i}" for i in range(size))))
        total += size
        one.bear_witness()
    second = shard(tmp_path, 2)

    assert second.next == total
    assert second.digests() == one.digests()
    assert np.sum(second._state.outcomes) == total
