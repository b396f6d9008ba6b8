"""What is true while two writers live: Ray can run two actors of one name for seconds."""

import random
import threading
from itertools import combinations
from pathlib import Path

import pytest

from actors import journal_file, marker
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from tests.actors.shards import HOME, claimed, firsts, named, offer, said, shard
from tests.ports.sim_disk import SimOs
from tests.twin.histories import Ledger, event, message
from twin.errors import Fenced


def acting(after):
    """Return a journal that does `after(folder)` between its sync and the look for a marker."""

    class Acting(FileJournal):
        def append(self, frame):
            super().append(frame)
            after(self._folder)

    return Acting


def test_one_epoch_has_one_writer(tmp_path):
    shard(tmp_path, 1)
    shard(tmp_path, 2)

    for epoch in (1, 2, 4):
        with pytest.raises(Fenced):
            shard(tmp_path, epoch)


def test_two_claims_of_one_epoch_have_one_winner(tmp_path):
    for turn in range(1, 21):
        start, won = threading.Barrier(4), []

        def claim(start=start, won=won, turn=turn):
            start.wait(10)
            try:
                marker.claim(OsDisk(), tmp_path, turn, "racer")
                won.append(turn)
            except Fenced:
                return

        racers = [threading.Thread(target=claim) for _ in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(10)
        assert won == [turn]


def test_a_writer_replaced_after_its_append_says_only_that_and_loses_nothing(tmp_path):
    successors = []
    old = shard(tmp_path, journal=acting(lambda folder: successors.append(shard(folder, 2))))

    with pytest.raises(Fenced):
        offer(old, event())
    assert old.sizes() == {"shipment": 0}
    assert said(successors[0], event()) == ["DUPLICATE"]


def test_what_a_replaced_writer_appends_after_the_seal_is_not_journaled(tmp_path):
    old, ledger = claimed(tmp_path, 1), Ledger()
    ledger.offer(message(event()))
    ledger.offer(message(event(id="e2")))
    one, two = ledger.frames()
    old.append(one)
    claimed(tmp_path, 2)
    old.append(two)

    assert firsts(claimed(tmp_path, 3)) == [0]


def test_a_replaced_writer_makes_no_segment_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 2048)
    old, ledger = claimed(tmp_path, 1), Ledger()
    for number in range(9):
        ledger.offer(message(event(id=f"e{number}")))
    claimed(tmp_path, 2)

    def write():
        for frame in ledger.frames():
            old.append(frame)

    with pytest.raises(Fenced):
        write()


def test_a_replaced_writer_never_uses_an_offset_twice(tmp_path):
    old = shard(tmp_path, journal=acting(lambda folder: (folder / "epoch-2").touch()))
    for name in ("e1", "e2"):
        with pytest.raises(Fenced):
            offer(old, event(id=name))

    assert firsts(claimed(tmp_path, 3)) == [0]


def test_a_replaced_writer_does_not_answer_reads_nor_write_checkpoints(tmp_path):
    old = shard(tmp_path)
    offer(old, event())
    marker.claim(OsDisk(), tmp_path, 2, "successor")

    for ask in (
        lambda: old.row("shipment", "demo", "S1"),
        old.checkpoint,
        old.bear_witness,
        lambda: offer(old, event()),
        lambda: offer(old, event(id="new")),
        lambda: offer(old, event(id="../bad")),
        lambda: old.due(10),
    ):
        with pytest.raises(Fenced):
            ask()
    assert not list(tmp_path.glob("ckpt-*"))


def test_a_successor_that_died_before_it_sealed_is_succeeded(tmp_path):
    offer(shard(tmp_path), event())
    marker.claim(OsDisk(), tmp_path, 2, "died at once")
    one = shard(tmp_path, 3)

    assert said(one, event(), *named("e2")) == ["DUPLICATE", "APPLIED"]
    assert (tmp_path / "seal-1").exists()
    assert (tmp_path / "seal-2").exists()
    assert shard(tmp_path, 4).next == 2


class Turns:
    """Lets two threads make one call of interest at a time, in the order of a schedule."""

    def __init__(self, schedule):
        self.schedule = list(schedule)
        self.done = set()
        self._of = {}
        self._next = threading.Condition()

    def call(self, name, path):
        me = self._of.get(threading.get_ident())
        if me is None or not telling(name, path):
            return
        with self._next:
            assert self._next.wait_for(lambda: self._turn() in {me, None}, 30)
            if self.schedule:
                self.schedule.pop(0)
            self._next.notify_all()

    def run(self, me, act):
        self._of[threading.get_ident()] = me
        try:
            act()
        finally:
            with self._next:
                self.done.add(me)
                self._next.notify_all()

    def _turn(self):
        while self.schedule and self.schedule[0] in self.done:
            self.schedule.pop(0)
        return self.schedule[0] if self.schedule else None


def telling(name, path):
    """Say whether a call is one whose order matters: markers, segments and seals."""
    path = Path(path)
    if path.name.startswith("epoch-"):
        return name in {"access", "link"}
    if path.suffix == ".twj":
        return name in {"pwrite", "fsync", "pread"}
    return path.name.startswith("seal-") and name == "link"


def schedules(zombie, successor):
    total = zombie + successor
    for turns in combinations(range(total), zombie):
        yield ["zombie" if at in turns else "successor" for at in range(total)]


def played(schedule, offers):
    """Run a stale writer and its successor in this order; return what each acknowledged."""
    system = SimOs(random.Random(7))
    disk = OsDisk(system)
    old = shard(HOME, disk=disk)
    offer(old, *named("before"))
    acknowledged = {"before": 0}
    turns = Turns(schedule)
    system.on_call = turns.call

    def zombie():
        for number in range(offers):
            try:
                [(_, _, at)] = offer(old, *named(f"old{number}"))
                acknowledged[f"old{number}"] = at
            except Fenced:
                return

    def successor():
        one = shard(HOME, 2, disk=disk)
        for name in ("new", "old0"):
            [(_, _, at)] = offer(one, *named(name))
            assert acknowledged.get(name, at) == at
            acknowledged[name] = at

    threads = [
        threading.Thread(target=turns.run, args=pair)
        for pair in (("zombie", zombie), ("successor", successor))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert turns.done == {"zombie", "successor"}
    system.on_call = lambda *_: None
    return system, acknowledged


def check(schedule, offers):
    system, acknowledged = played(schedule, offers)
    system.power_cut()
    third = shard(HOME, 3, disk=OsDisk(system))

    assert len(acknowledged) >= 3
    for name, at in acknowledged.items():
        assert offer(third, *named(name)) == [("DUPLICATE", "NONE", at)], (name, schedule)


def test_no_interleaving_of_a_stale_writer_and_its_successor_loses_an_acknowledged_event(
    monkeypatch,
):
    monkeypatch.setattr(journal_file, "SMALLEST", 8192)
    tried = 0
    for schedule in schedules(4, 5):
        check(schedule, offers=1)
        tried += 1

    assert tried == 126


@pytest.mark.slow
def test_no_interleaving_of_two_stale_appends_loses_an_acknowledged_event(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 8192)
    for schedule in schedules(8, 5):
        check(schedule, offers=2)
