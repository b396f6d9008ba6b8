"""Writers that were replaced and do not know it: real processes, stopped and woken.

A woken zombie acknowledges nothing, answers no read, and ends by itself.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from actors.disk import OsDisk
from actors.supervisor import Supervisor
from cluster.deploy import answers
from serving.client import Event
from tests.serving.lone import NOW, LoneHost, client, made, spec
from tests.system.running import until
from twin.errors import EpochStale, Fenced, Retryable

FENCED = {"FENCED", "SHARD_UNAVAILABLE"}  # told, or the connection closed on it


def fact(name, subject="S1"):
    return Event("shipment.position", "test", subject, NOW, {"lat": 1.0, "lon": 2.0}, name, "east")


@pytest.fixture
def folder(tmp_path):
    return made(tmp_path / ".twin")


@pytest.fixture
def hosts():
    """Return what starts processes; all are ended."""
    with ExitStack() as stack:

        def start(**environ):
            host = LoneHost(**environ)
            stack.callback(host.kill)
            return host

        yield start


def test_a_woken_zombie_neither_acknowledges_nor_answers_a_read_and_ends(folder, hosts):
    old, new = hosts(), hosts()
    begun = old.begin(spec(folder, 1), 60)
    with ExitStack() as stack:
        zombie = stack.enter_context(client(folder, begun.address, 30.0))
        first = zombie.ingest([fact("a"), fact("b")])
        old.stop()
        pool = stack.enter_context(ThreadPoolExecutor(2))
        write = pool.submit(zombie.ingest, [fact("late")])
        read = pool.submit(zombie.get, "shipment", "S1")
        successor = new.begin(spec(folder, 2), 60)
        assert not write.done()
        assert not read.done()

        old.wake()

        for asked in (write, read):
            with pytest.raises(Retryable) as refused:
                asked.result(30)
            assert refused.value.code in FENCED
        assert old.status() == 1
        living = stack.enter_context(client(folder, successor.address))
        again = living.ingest([fact("a"), fact("b"), fact("late")])
        assert [r.outcome for r in again] == ["DUPLICATE", "DUPLICATE", "APPLIED"]
        assert [r.offset for r in again[:2]] == [r.offset for r in first]


def test_a_writer_that_was_replaced_ends_even_if_nobody_asks_it(folder, hosts):
    old, new = hosts(), hosts()
    old.begin(spec(folder, 1), 60)

    new.begin(spec(folder, 2), 60)

    assert old.status() == 1
    assert new.process.poll() is None


def acknowledged(told, address, folder, prefix):
    """Offer events one by one until the writer fails; add each acknowledged one to `told`."""
    with client(folder, address, 60.0) as offering:
        batches = ([fact(f"{prefix}-{i}", f"S{i % 7}")] for i in range(10**9))
        try:
            for (receipt,) in offering.stream(batches):
                told.append(receipt)
        except Retryable as e:
            return e.code
    return ""


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_what_a_zombie_acknowledged_before_or_after_it_was_stopped_is_there(
    folder, hosts, seed, rounds
):
    rng, told = random.Random(seed), []
    host = hosts()
    begun = host.begin(spec(folder, 1), 60)
    for epoch in range(2, rounds + 2):
        successor, least = hosts(), len(told) + rng.randrange(50, 400)
        with ThreadPoolExecutor(1) as pool:
            offering = pool.submit(acknowledged, told, begun.address, folder, epoch)
            until(lambda least=least: len(told) > least, "acknowledgements", 30)
            host.stop()
            begun = successor.begin(spec(folder, epoch), 60)
            host.wake()
            assert offering.result(60) in FENCED
        assert host.status() == 1
        host = successor
    ids = [receipt.id for receipt in told]
    with client(folder, begun.address, 30.0) as asking:
        parts = [ids[at : at + 1000] for at in range(0, len(ids), 1000)]
        seen = [one for part in parts for one in asking.receipts("test", part)]

    assert [one.offset for one in seen] == [receipt.offset for receipt in told]
    assert {one.outcome for one in seen} <= {"APPLIED", "SUPERSEDED"}


def test_row_20_what_a_caller_gave_up_on_is_dropped_or_counts_once(folder, hosts):
    host = hosts()
    begun = host.begin(spec(folder, 1), 60)
    with client(folder, begun.address, 0.3) as hasty, client(folder, begun.address) as patient:
        patient.ingest([fact("first")])
        host.stop()
        with pytest.raises(Retryable):
            hasty.ingest([fact("late")])
        host.wake()

        again = patient.ingest([fact("late")])[0]
        twice = patient.ingest([fact("late")])[0]

        assert again.offset == twice.offset == 1
        assert twice.outcome == "DUPLICATE"
        assert patient.status().shards[0].offset == 2


def test_row_50_a_start_under_an_old_supervisor_is_refused(folder, hosts):
    disk = OsDisk()
    disk.make_folder(folder / "journal" / "supervisor")
    for epoch in (1, 2):
        disk.create(folder / "journal" / "supervisor" / f"epoch-{epoch}", b"test")
    host = hosts()

    with pytest.raises(EpochStale) as refused:
        host.begin(spec(folder, 1, supervisor=1), 60)
    assert refused.value.code == "EPOCH_STALE"
    assert host.begin(spec(folder, 1, supervisor=2), 60).offset == 0


def test_row_14_an_epoch_that_is_over_is_not_begun_again(folder, hosts):
    first, second = hosts(), hosts()
    first.begin(spec(folder, 1), 60)

    with pytest.raises(Fenced):
        second.begin(spec(folder, 1), 60)


def test_of_two_supervisors_the_newer_one_serves_and_the_older_one_resigns(folder, hosts):
    said = []

    def supervisor(name):
        publish = lambda routes: said.append((name, routes["shipment/east/0"]))  # noqa: E731
        return Supervisor([spec(folder, 0)], OsDisk(), lambda _: hosts(), publish, answers)

    older, newer = supervisor("older"), supervisor("newer")
    try:
        older.start()
        assert said[-1][1].state == "serving"
        newer.start()
        until(lambda: older.replaced, "the older supervisor to resign", 60)

        name, route = said[-1]
        assert (name, route.state, route.epoch) == ("newer", "serving", 2)
        mine = [i for i, (who, _) in enumerate(said) if who == "newer"]
        assert all(who == "newer" for who, _ in said[mine[0] :])
        with client(folder, route.address) as asking:
            assert asking.ingest([fact("a")])[0].outcome == "APPLIED"
        epochs = sorted(path.name for path in (folder / "journal").glob("east/*/0/epoch-*"))
        assert epochs == ["epoch-1", "epoch-2"]
    finally:
        older.stop()
        newer.stop()
