"""The drill: what its clients wrote down, what it aims at, and how it counts.

Wrong twins are literals here: each makes one counter rise, and no other.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import asdict

import pytest

from cluster import environment, process
from cluster.drills import aim, count
from cluster.drills.aim import Victim
from cluster.drills.history import History
from cluster.drills.load import SOURCE, fact, runs
from serving.client import Receipt
from tests.actors.shards import offer, shard
from tests.twin.histories import T0, event

RUN = "drill.7.1"
NAME = "shipment/east/0"
SOON_S = 20.0


def drilled(client, *numbers, subject="drill-1"):
    """Events as a client of a drill offers them."""
    return [
        event(
            id=f"{RUN}-{client}-{number}",
            source=SOURCE,
            subject=subject,
            time=T0 + number,
            data=fact("shipment", number)[1],
        )
        for number in numbers
    ]


def told(path, *lines):
    """Write a history of (at, what, client, first number, anything else) and read it."""
    out = []
    for at, do, client, first, *more in lines:
        said = {"at": at, "do": do, "c": client, "n": first, "k": 2, "shard": NAME}
        if do == "ok":
            said["runs"] = more
        if do in {"info", "fail"}:
            said["why"] = more[0]
        out.append(json.dumps(said))
    path.write_text("\n".join([*out, ""]))
    history = History(path)
    history.more()
    return history


@pytest.fixture
def one(tmp_path):
    return shard(tmp_path / "journal")


def journals(tmp_path):
    read = count.Journals(RUN)
    read.read(NAME, tmp_path / "journal")
    return read


def counted(tmp_path, *lines):
    counts = count.count(told(tmp_path / "history", *lines), journals(tmp_path))
    return not counts.wrongs(), {name: number for name, number in asdict(counts).items() if number}


FIRST = ((10, "invoke", 0, 0), (20, "ok", 0, 0, [NAME, 1, 0, 0, 2]))


def test_events_that_were_acknowledged_and_journaled_once_in_order_are_good(tmp_path, one):
    offer(one, *drilled(0, 0, 1))
    offer(one, *drilled(0, 2, 3))

    assert counted(
        tmp_path, *FIRST, (30, "invoke", 0, 2), (40, "ok", 0, 2, [NAME, 1, 0, 2, 2])
    ) == (True, {"inputs": 4, "acknowledged": 4})


def test_events_of_others_and_of_other_drills_are_not_counted(tmp_path, one):
    offer(one, *drilled(0, 0, 1))
    other = drilled(0, 5)[0]
    offer(one, {**other, "id": "drill.8.2-0-5"}, event(id="e9"), {**other, "source": "erp"})

    assert counted(tmp_path, *FIRST) == (True, {"inputs": 2, "acknowledged": 2})


def test_an_acknowledged_event_that_no_journal_has_is_lost(tmp_path, one):
    offer(one, *drilled(0, 0))

    assert counted(tmp_path, *FIRST) == (False, {"inputs": 2, "acknowledged": 2, "lost": 1})


def test_an_event_nobody_answered_for_may_be_journaled_or_not(tmp_path, one):
    offer(one, *drilled(0, 0, 1), *drilled(1, 0))
    lost = ((30, "invoke", 1, 0), (31, "info", 1, 0, "SHARD_UNAVAILABLE"))

    assert counted(tmp_path, *FIRST, *lost) == (
        True,
        {"inputs": 4, "acknowledged": 2, "unanswered": 2},
    )


def test_an_event_that_is_acknowledged_at_another_place_is_doubled(tmp_path, one):
    offer(one, *drilled(0, 0, 1))
    moved = (FIRST[0], (20, "ok", 0, 0, [NAME, 1, 0, 0, 1], [NAME, 1, 0, 7, 1]))

    assert counted(tmp_path, *moved) == (
        False,
        {"inputs": 2, "acknowledged": 2, "duplicated": 1},
    )


def test_an_event_in_two_journals_is_doubled(tmp_path, one):
    offer(one, *drilled(0, 0, 1))
    other = shard(tmp_path / "other")
    offer(other, *drilled(0, 1))
    read = journals(tmp_path)
    read.read("shipment/west/0", tmp_path / "other")

    counts = count.count(told(tmp_path / "history", *FIRST), read)

    assert counts.wrongs()
    assert counts.duplicated > 0
    assert counts.lost == counts.unoffered == 0


def test_an_event_behind_a_later_one_of_its_client_is_out_of_order(tmp_path, one):
    offer(one, *drilled(0, 1, 0))
    turned = (FIRST[0], (20, "ok", 0, 0, [NAME, 1, 0, 1, 1], [NAME, 1, 0, 0, 1]))

    assert counted(tmp_path, *turned) == (
        False,
        {"inputs": 2, "acknowledged": 2, "out_of_order": 1},
    )


def test_an_event_nobody_offered_is_told(tmp_path, one):
    offer(one, *drilled(0, 0, 1, 2), *drilled(4, 0))

    assert counted(tmp_path, *FIRST) == (
        False,
        {"inputs": 2, "acknowledged": 2, "unoffered": 2},
    )


def test_a_rejected_event_and_a_refused_batch_are_told(tmp_path, one):
    offer(one, *drilled(0, 0))
    answers = (FIRST[0], (20, "ok", 0, 0, [NAME, 1, 0, 0, 1], ["", 0, 4, -1, 1]))
    refused = ((30, "invoke", 1, 0), (31, "fail", 1, 0, "JOURNAL_CORRUPT"))

    assert counted(tmp_path, *answers, *refused) == (
        False,
        {"inputs": 4, "acknowledged": 1, "refused": 3},
    )


def test_the_code_words_of_refused_batches_are_counted(tmp_path):
    first = ((10, "invoke", 0, 0), (11, "fail", 0, 0, "INTERNAL"))
    again = ((12, "invoke", 0, 2), (13, "fail", 0, 2, "INTERNAL"))

    assert told(tmp_path / "history", *first, *again).refusals() == {"INTERNAL": 2}


def test_a_drill_without_one_acknowledged_event_is_not_good(tmp_path, one):
    assert counted(tmp_path) == (False, {})


def test_the_journal_says_what_the_twins_of_a_drill_are(tmp_path, one):
    offer(one, *drilled(0, 0, 1), *drilled(1, 3, subject="drill-2"))
    offer(one, *drilled(0, 2), event(id="e1", subject="S9", source=SOURCE))

    found = journals(tmp_path).twins

    assert found == {
        "shipment/east/drill-1": (T0 + 2, 3, "-89.98"),
        "shipment/east/drill-2": (T0 + 3, 2, "-89.97"),
    }
    other = {**found, "shipment/east/drill-2": count.Fact(T0 + 3, 2, "-89.96")}
    assert count.digest(found) == count.digest(dict(reversed(found.items())))
    assert count.digest(found) != count.digest(other)


def test_where_events_are_journaled_is_found_by_their_ids(tmp_path, one):
    offer(one, *drilled(0, 0, 1))
    two = shard(tmp_path / "journal", 2)
    offer(two, *drilled(0, 2, 3))

    wanted = [f"{RUN}-0-{number}" for number in (1, 3, 9)]
    assert count.journaled(tmp_path / "journal", 1, wanted) == {
        f"{RUN}-0-1": (1, 2),
        f"{RUN}-0-3": (2, 4),
    }
    assert count.journaled(tmp_path / "journal", 2, wanted) == {f"{RUN}-0-3": (2, 4)}


def test_a_batch_is_on_its_way_from_its_offer_to_its_answer(tmp_path):
    history = told(
        tmp_path / "history",
        (10, "invoke", 0, 0),
        (12, "invoke", 1, 0),
        (15, "info", 0, 0, "SHARD_UNAVAILABLE"),
        (16, "invoke", 0, 0),
        (20, "ok", 0, 0, [NAME, 2, 2, 0, 2]),
        (21, "ok", 1, 0, [NAME, 1, 0, 2, 2]),
    )

    assert [len(history.on_way(NAME, at)) for at in (9, 11, 14, 20, 21)] == [0, 1, 2, 1, 0]
    # The second was answered by the process that was killed, if only just.
    (waiting,) = history.unanswered_by(NAME, 1, 14)
    assert (waiting.client, waiting.lost_answers, waiting.epoch) == (0, 1, 2)
    assert history.answer_of(NAME, 2) == 20
    assert history.answer_of(NAME, 1, since=20) == 21
    assert history.answer_of(NAME, 3) == 0


def test_a_line_of_the_history_that_is_being_written_is_left_for_later(tmp_path):
    path = tmp_path / "history"
    history = History(path)
    history.more()
    line = json.dumps({"at": 1, "do": "invoke", "c": 0, "n": 0, "k": 2, "shard": NAME})
    path.write_text(line[:20])
    history.more()
    assert not history.offers

    path.write_text(line + "\n")
    history.more()
    assert list(history.offers) == [(0, 0)]


def test_receipts_are_written_down_in_runs():
    def receipt(offset, outcome="APPLIED", epoch=1):
        return Receipt("x", SOURCE, outcome, "", NAME, offset, epoch)

    assert runs([receipt(5), receipt(6), receipt(9), receipt(10, "DUPLICATE")]) == [
        [NAME, 1, 0, 5, 2],
        [NAME, 1, 0, 9, 1],
        [NAME, 1, 2, 10, 1],
    ]


def soon(work):
    """Run `work` in a thread; return it and the list that its answer goes to."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def victim(tmp_path, pid=0):
    return Victim(NAME, tmp_path / "journal", 1, pid)


def until_s():
    return aim.now_us() / 1e6 + SOON_S


def test_a_frame_is_seen_at_the_tail_whatever_segment_it_is_in(tmp_path, one, monkeypatch):
    offer(one, *drilled(0, 0, 1))
    with aim.Tail(victim(tmp_path)) as tail:
        assert tail.next() == -1
        offer(one, *drilled(0, 2))
        assert tail.next() > 0
        assert tail.next() == -1

        one._journal.close()
        one._journal._file = None
        offer(one, *drilled(0, 3))
        tail._looked_s = 0.0
        assert [tail.next(), tail.next() > 0, tail.next()] == [-1, True, -1]


def test_the_aim_at_an_append_waits_for_a_big_frame(tmp_path, one, monkeypatch):
    monkeypatch.setattr(aim, "BIG", 5000)
    offer(one, *drilled(0, 0))
    with aim.Tail(victim(tmp_path)):
        thread, found = soon(lambda: aim.await_append(victim(tmp_path), until_s()))
        offer(one, *drilled(0, 1))
        number = 2
        while thread.is_alive() and number < 20_000:
            offer(one, *drilled(0, *range(number, number + 100)))
            number += 100
        thread.join(SOON_S)

    assert found == [True]


def test_the_aim_behind_a_sync_waits_for_the_witness_to_move_far(tmp_path, one, monkeypatch):
    monkeypatch.setattr(aim, "MANY", 50)
    offer(one, *drilled(0, 0))
    thread, found = soon(lambda: aim.await_witness(victim(tmp_path), until_s()))
    number = 1
    while thread.is_alive() and number < 20_000:
        offer(one, *drilled(0, *range(number, number + 60)))
        number += 60
    thread.join(SOON_S)

    assert found == [True]


def test_the_aim_at_a_checkpoint_sees_new_drafts_and_no_old_ones(tmp_path, one):
    home = tmp_path / "journal"
    (home / ".ckpt-00000000000000000001.twc.aa").touch()
    known = {NAME: set(aim.drafts(home))}
    assert aim.await_draft([victim(tmp_path)], known, 0.0) is None

    thread, found = soon(lambda: aim.await_draft([victim(tmp_path)], known, until_s()))
    (home / ".ckpt-00000000000000000002.twc.bb").touch()
    thread.join(SOON_S)
    assert found == [victim(tmp_path)]


def test_the_aim_at_a_recovery_reads_the_successor_from_its_marker(tmp_path, one):
    thread, found = soon(lambda: aim.await_successor(victim(tmp_path), random.Random(1), until_s()))
    two = shard(tmp_path / "journal", 2, ready=False)
    two._journal._owner = "here:4711"
    two.recover()
    thread.join(SOON_S)

    assert [(v.epoch, v.pid) for v in found] == [(2, 4711)]


@pytest.fixture
def sleeper(tmp_path):
    """A process that does nothing; `sleeper(folder)` says that it belongs to a twin."""
    started = []

    def start(folder):
        variables = environment.variables(folder) if folder else {}
        work = [sys.executable, "-c", "print('up', flush=True); input()"]
        child = subprocess.Popen(
            work,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(child)
        assert child.stdout.readline() == b"up\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_a_kill_ends_a_process_of_the_twin_and_says_what_it_left(tmp_path, one, sleeper):
    offer(one, *drilled(0, 0, 1))
    (tmp_path / "journal" / ".ckpt-1").touch()
    (tmp_path / "journal" / ".ckpt-2").touch()
    child = sleeper(tmp_path)

    hit = aim.strike(tmp_path, victim(tmp_path, child.pid), {".ckpt-1"})

    assert child.wait(SOON_S) == -signal.SIGKILL
    assert (hit.witness, hit.drafts) == (2, (".ckpt-2",))
    assert aim.strike(tmp_path, victim(tmp_path, child.pid), set()) is None


def test_a_process_of_somebody_else_is_never_killed(tmp_path, one, sleeper):
    for folder in (None, tmp_path / "another"):
        child = sleeper(folder)

        assert aim.strike(tmp_path, victim(tmp_path, child.pid), set()) is None
        assert process.identify(child.pid) is not None
