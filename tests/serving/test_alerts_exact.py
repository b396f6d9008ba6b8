"""None lost, none doubled: alerts against an offline evaluation of the journal, over kills.

The evaluation is in plain Python and knows the rule and the readings, nothing of the watchman.
"""

import random
import signal
import threading

import pytest

from serving.access import Identity
from serving.client import Client
from serving.minting import minter
from serving.wire import twin_pb2 as pb
from tests.serving.alerting import NOW, condition, lay, told, watched
from tests.serving.lone import LoneHost, client, made, spec
from tests.system.running import until
from twin.contracts import CONTRACTS

SHARD = "shipment/east/0"
KILLS = 2


def evaluated(readings):
    """Return alert -> what has to be said of it: `readings` are (subject, degC), in order."""
    said, raised = {}, {}
    for subject, temp in readings:
        before = raised.get(subject, False)
        after = temp > 8 or (before and temp >= 7)
        if after != before:
            happened = "alert.raised" if after else "alert.cleared"
            said.setdefault(f"shipment:{subject}:warm", []).append(happened)
        raised[subject] = after
    return said


def journaled(client):
    """Return alert -> what was journaled of it, from the first event on."""
    found, since = {}, {SHARD: 0}
    while True:
        reply = told(client, since)
        for event in reply.events:
            found.setdefault(event.alert, []).append(event.type)
        if not reply.events and reply.next[SHARD] == since[SHARD]:
            return found
        since = dict(reply.next)


def flapping(seed, count, subjects=12):
    rng = random.Random(seed)
    every = [
        (f"S{rng.randrange(subjects)}", rng.choice([3.0, 6.5, 7.5, 8.5, 12.0]))
        for _ in range(count)
    ]
    return every


def sent(readings):
    return [condition(s, temp, NOW - 1_000_000 + i) for i, (s, temp) in enumerate(readings)]


def test_alerts_are_what_an_offline_evaluation_of_the_journal_says(tmp_path):
    readings = flapping(1, 3000)
    with watched(tmp_path / "twin") as twin, twin.client() as client:
        events = sent(readings)
        at = 0
        rng = random.Random(2)
        while at < len(events):
            size = rng.choice([1, 1, 2, 7, 50, 400])
            client.ingest(events[at : at + size])
            at += size
        wanted = evaluated(readings)
        complete(client, wanted)

        assert journaled(client) == wanted
        live, rebuilt = twin.surface(SHARD).shard.verify()
        assert live == rebuilt


def count(said):
    return sum(map(len, said.values()))


def complete(client, wanted):
    """Wait until as many events are journaled as are wanted."""
    until(lambda: count(journaled(client)) >= count(wanted), "all alerts")


def test_a_rehearsal_counts_what_was_raised_live(tmp_path):
    readings = flapping(3, 800)
    with watched(tmp_path / "twin") as twin, twin.client() as client:
        client.ingest(sent(readings[:500]))
        client.ingest(sent(readings)[500:])
        wanted = evaluated(readings)
        complete(client, wanted)
        rules = (twin.folder / "rules" / "b-mine.toml").read_text()

        reply = client.ask("Rehearse", pb.RehearseRequest(rules=rules), 30)

        (one,) = reply.rules
        happened = [what for every in wanted.values() for what in every]
        assert (one.rule, one.raised) == ("warm", happened.count("alert.raised"))
        assert one.cleared == happened.count("alert.cleared")
        assert one.open == one.raised - one.cleared
        assert len(one.examples) == 5
        assert journaled(client) == wanted


def test_a_watchman_that_is_overtaken_reads_in_the_journal_what_it_missed(tmp_path, monkeypatch):
    monkeypatch.setattr("actors.watchman.MOST_CAUGHT", 3)
    readings = flapping(4, 1500)
    with watched(tmp_path / "twin") as twin, twin.client() as client:
        for _ in client.stream([sent(readings)[i : i + 50] for i in range(0, 1500, 50)]):
            pass
        wanted = evaluated(readings)
        complete(client, wanted)

        assert twin.surface(SHARD).alerts.watch.watchman.overtaken
        assert journaled(client) == wanted


def test_who_asks_while_a_commit_is_under_way_is_told_of_it_then_or_later(tmp_path):
    with watched(tmp_path / "twin") as twin, twin.client() as client:
        client.ingest(sent([("S0", 3.0)]))
        surface = twin.surface(SHARD).alerts
        shard, answers = surface._shard, []
        request = pb.AlertsRequest(events=True)
        getattr(request, "from").update({SHARD: 0})
        who = Identity("test", "demo", "", frozenset(["read"]), 0)

        def ask(frame, outcome):
            asking = threading.Thread(
                target=lambda: answers.append(
                    (surface._tail.answer(request, who), surface.watch.watchman.judged)
                )
            )
            asking.start()
            asking.join(0.1)  # it waits for the commit, or it would not see it

        shard.watches = (ask, *shard.watches)
        client.ingest(sent([("S0", 3.0), ("S0", 14.0)]))
        until(lambda: count(journaled(client)) == 1, "the alert")
        until(lambda: len(answers) >= 2, "answers")

        for answer, _ in answers:
            told_of = [event.alert for event in answer.events]
            assert told_of or answer.next[SHARD] <= 2  # where the alert is journaled


def test_no_alert_is_lost_or_doubled_when_a_shard_is_killed_under_load(tmp_path):
    folder = made(tmp_path / "twin")
    lay(folder)
    readings = flapping(5, 1600)
    events = sent(readings)
    batches = [events[i : i + 4] for i in range(0, len(events), 4)]
    host, done = LoneHost(), 0
    for epoch in range(1, KILLS + 2):
        begun = host.begin(spec(folder, epoch), 60)
        with client(folder, begun.address, 20.0 if epoch > KILLS else 1.0) as asks:
            last = epoch == KILLS + 1
            killer = threading.Timer(0.25 * epoch, host.process.send_signal, [signal.SIGKILL])
            if not last:
                killer.start()
            done = offer(asks, batches, done, last)
            if last:
                wanted = evaluated(readings)
                complete(asks, wanted)
                found = journaled(asks)
        host.kill()
        host = LoneHost() if not last else host
    host.kill()

    assert found == wanted
    assert any(contract.type == "alert.raised" for contract in CONTRACTS)


def offer(asks, batches, done, last):
    """Send what was not answered yet, in order; return how many batches were."""
    for number in range(done, len(batches)):
        try:
            asks.ingest(batches[number])
        except Exception:
            if last:
                raise
            return number
    return len(batches)


@pytest.mark.parametrize("since", [0, 7])
def test_the_tail_reads_alike_from_memory_and_from_the_journal(tmp_path, since):
    with watched(tmp_path / "twin") as twin:
        with twin.client() as client:
            client.ingest(sent(flapping(6, 60)))
            wanted = count(evaluated(flapping(6, 60)))
            until(lambda: count(journaled(client)) >= wanted, "all alerts")
            live = [e.id for e in told(client, {SHARD: since}).events]
        twin.end(SHARD)
        twin.begin("shipment", "east", 0, 1, epoch=2)
        address = (twin.folder / "gateways.json").read_text().split('"')[3]
        with Client(address, minter(twin.folder, "test")) as client:
            again = [e.id for e in told(client, {SHARD: since}).events]

    assert live == again
    assert live
