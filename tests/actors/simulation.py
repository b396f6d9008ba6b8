"""A simulation of one shard on a disk that fails and forgets, with clients that keep accounts.

Everything follows from a seed. `World.live` takes random steps; after each start it checks what
the clients were told against what is there. A failed check raises Broken.
"""

import errno
import random
import zlib

from actors import journal_file, marker
from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.shard import Shard
from tests.actors.shards import HOME
from tests.ports.sim_disk import Crash, SimOs
from tests.twin import histories
from tests.twin.histories import NOW, SITES, T0, decoded, event, message, tell
from tests.twin.oracle import Oracle
from twin import digest, frames
from twin.errors import DiskFull, Fenced, JournalCorrupt, JournalFailed
from twin.frames import column_texts
from twin.transition import State

ITEM = {"site": "W", "product": "P"}
LOSS = (Crash, JournalFailed, OSError)


def quiet(*_):
    """Nothing happens at a call."""


class Broken(AssertionError):
    """The system did what it must never do."""


def require(holds, *what):
    if not holds:
        raise Broken(*what)


class World:
    """One shard's disk, the writers that live, and what the clients know."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.system = SimOs(self.rng)
        self.disk = OsDisk(self.system)
        self.sent = {}  # id -> every content that was offered under it
        self.told = {}  # id -> (content, offset) that was acknowledged last
        self.counts = dict.fromkeys(("offered", "acknowledged", "starts", "fenced", "damaged"), 0)
        self.stale = []  # writers that were replaced and do not know it
        self.one = None
        self.start()

    def live(self, steps):
        acts = [self.ingest] * 6 + [self.checkpoint, self.cut, self.kill, self.fail, self.fill]
        acts += [self.replace, self.wake, self.cut_inside, self.cut_inside, self.damage]
        acts += [self.meddle, self.overtake, self.overtake, self.damage, self.fail, self.fail]
        for _ in range(steps):
            self.rng.choice(acts)()
        self.cut()
        self.check()

    def start(self):
        """Recover under the next epoch, however often it takes."""
        for _ in range(50):
            journal = journal_file.FileJournal
            try:
                epoch = marker.newest(self.disk, HOME) + 1
                self.one = Shard(
                    name="site/east/0",
                    rule=SITES,
                    journal=journal(self.disk, HOME, epoch, "simulated"),
                    checkpoints=Checkpoints(self.disk, HOME),
                    clock=lambda: NOW,
                )
                self.one.recover()
            except Crash:
                self.system.power_cut()
                continue
            except (JournalCorrupt, JournalFailed, OSError) as e:
                raise Broken("nothing was damaged, and it did not start", e) from e
            self.counts["starts"] += 1
            self.check()
            return
        raise Broken("it never started")

    def cut(self):
        self.stale.clear()
        self.system.power_cut()
        self.start()

    def cut_inside(self):
        """Cut the power some calls into whatever comes next, be it a start."""
        self.system.left = self.rng.randrange(40)
        self.rng.choice([self.ingest, self.checkpoint, self.replace, self.kill])()
        if self.system.left is not None:
            self.cut()

    def kill(self):
        """Kill the process; what it wrote is still in the memory of the system."""
        left = self.system.left
        self.system.revive()
        self.system.left = left
        self.stale.clear()
        self.start()

    def replace(self):
        """Start a successor while the writer lives on."""
        self.stale.append(self.one)
        self.start()

    def die(self):
        """End the process in the middle of a call, with or without the power."""
        self.rng.choice([self.cut, self.kill])()

    def meddle(self):
        """Let the writer go on while its successor starts: what it acknowledges must count."""
        old, left = self.one, self.rng.randrange(30)

        def go_on(*_):
            nonlocal left
            left -= 1
            if left > 0 or self.one is old is None:
                return
            self.system.on_call = quiet
            for _ in range(2):
                try:
                    self.hear(old, self.batch())
                except Fenced:
                    self.counts["fenced"] += 1

        self.system.on_call = go_on
        self.replace()
        self.system.on_call = quiet

    def overtake(self):
        """Start a successor while the writer is inside a call of its own."""
        old, left = self.one, self.rng.randrange(8)

        def start(*_):
            nonlocal left
            left -= 1
            if left < 0:
                self.system.on_call = quiet
                self.replace()

        self.system.on_call = start
        try:
            self.hear(old, self.batch())
        except Fenced:
            self.counts["fenced"] += 1
        except LOSS:
            self.die()
        self.system.on_call = quiet
        self.check()

    def fail(self):
        call = self.rng.choice(["fsync", "fsync", "pwrite", "open"])
        self.system.faults = {call: (self.rng.randrange(4), errno.EIO)}
        self.ingest()
        self.system.faults = {}

    def fill(self):
        room, self.system.room = self.system.room, self.rng.choice([0, 500, 5_000])
        self.ingest()
        self.system.room = room

    def checkpoint(self):
        try:
            self.one.checkpoint()
        except LOSS:
            self.cut()

    def wake(self):
        """Let a replaced writer try what it was about to do."""
        if not self.stale:
            return
        old = self.rng.choice(self.stale)
        act = self.rng.choice([self.batch, old.checkpoint, old.bear_witness])
        try:
            if act == self.batch:
                self.hear(old, self.batch())
                raise Broken("a replaced writer acknowledged")
            act()
            raise Broken("a replaced writer wrote")
        except Fenced:
            self.counts["fenced"] += 1
        except LOSS:
            self.cut()

    def damage(self):
        """Flip one bit of what is acknowledged: the next start must refuse, and then recover."""
        epoch = self.one.epoch
        parts = sorted(self.disk.names(HOME / f"e{epoch}"))
        if not parts:
            return
        node = self.system.file(HOME / f"e{epoch}" / parts[-1])
        starts = [found.start for found in frames.scan(memoryview(bytes(node.now)))]
        used = len(bytes(node.now).rstrip(b"\0"))
        if self.rng.random() < 0.5:
            used = (
                starts[-1] if starts else 0
            )  # a whole frame is behind it, so no witness is needed
            if self.disk.exists(HOME / "witness"):
                self.disk.remove(HOME / "witness")
        elif self.witnessed() != self.one.next:
            return  # what no witness names looks as if it was being written
        if not used:
            return
        keep = bytes(node.now), node.durable, list(node.pending)
        node.now[self.rng.randrange(used)] ^= 1 << self.rng.randrange(8)
        self.counts["damaged"] += 1
        checker = journal_file.FileJournal(self.disk, HOME, epoch + 1, "checker")
        try:
            checker.claim()
        except JournalCorrupt:
            node.now, node.durable, node.pending = bytearray(keep[0]), keep[1], keep[2]
        except Fenced:
            raise Broken("a marker is missing") from None
        else:  # it may have hit a frame without events
            require(checker.next == self.one.next, "damage was not noticed")
        self.stale.append(self.one)
        self.start()

    def witnessed(self):
        if not self.disk.exists(HOME / "witness"):
            return -1
        raw = self.disk.read(HOME / "witness", 0, journal_file.WITNESS.size)
        if len(raw) < journal_file.WITNESS.size:
            return -1
        offset, check = journal_file.WITNESS.unpack(raw)
        return offset if check == zlib.crc32(raw[:8]) else -1  # half of it may have been written

    def ingest(self):
        messages = [self.batch() for _ in range(self.rng.choice([1, 1, 2, 3]))]
        try:
            self.hear(self.one, *messages)
        except DiskFull:
            return
        except LOSS:
            self.die()

    def batch(self):
        """Return new events, broken ones, repairs, repeats of what may or may not be known."""
        events = []
        for _ in range(self.rng.randint(1, 4)):
            turn = self.rng.random()
            if turn < 0.6 or not self.sent:
                events.append(self.fresh(f"e{len(self.sent)}", self.rng.random() < 0.2))
            elif turn < 0.7:
                events.append(self.fresh(self.rng.choice(sorted(self.sent)), broken=False))
            else:
                events.append(self.rng.choice(self.sent[self.rng.choice(sorted(self.sent))]))
            self.sent.setdefault(events[-1]["id"], []).append(events[-1])
        if self.rng.random() < 0.3:
            events.append(events[0])
        return events

    def fresh(self, name, broken):
        kind = self.rng.choice(["counted", "moved"])
        amount = (
            {"quantity": self.rng.randrange(9)}
            if kind == "counted"
            else {"delta": self.rng.randint(-9, 9)}
        )
        return event(
            id=name,
            type=f"stock.{kind}",
            source=self.rng.choice(histories.SOURCES[:1]),
            subject=self.rng.choice(["A", "B"]),
            time=T0 + self.rng.randrange(4),
            data=ITEM if broken else {**ITEM, **amount},
        )

    def hear(self, writer, *messages):
        """Offer messages to a writer, and write down what it answers."""
        answers = writer.offer([message(*events) for events in messages])
        for events, answer in zip(messages, answers, strict=True):
            self.counts["offered"] += len(events)
            for one, (outcome, _, offset) in zip(events, tell(answer), strict=True):
                if outcome == "REJECTED":
                    continue
                before = self.told.get(one["id"])
                if before is not None and before[0] == one:
                    require(before[1] == offset, "a receipt changed", one, before, offset)
                self.told[one["id"]] = one, offset
                self.counts["acknowledged"] += 1

    def check(self):
        """Compare what is there with what was acknowledged and with the oracle."""
        journal = self.one._journal
        whole = [frame for frame in journal.scan() if frame.size]
        ids = []
        for frame in whole:
            require(frame.first == len(ids), "offsets have a gap or a repeat", frame.first)
            ids += column_texts(frame.columns, "id").list()
        require(len(ids) == self.one.next, "the journal and the state differ", len(ids))
        for name, (_, offset) in self.told.items():
            require(offset < len(ids) and ids[offset] == name, "acknowledged and lost", name)
        oracle = Oracle()
        rebuilt = State(SITES)
        for frame, offset in ((frame, frame.first) for frame in whole):
            rebuilt.commit(frame, journal.at)
            for name, at in zip(ids[offset : offset + frame.size], range(frame.size), strict=True):
                said = self.content(frame, at, name)
                taken = oracle.take(said)
                require(taken[1] == offset + at, "journaled twice", name, taken, offset + at)
        live = self.one.digests()
        require(live == digest.digests(rebuilt.snapshot(), rebuilt.seen), "a checkpoint differs")
        known = {kind: twins for kind, twins in decoded(self.one._state).items() if twins}
        require(known == oracle.truth(), "what is known is not what the events say")

    def content(self, frame, at, name):
        """Return what was offered under this name and has this hash of content."""
        wanted = int(frame.columns["content"][at])
        for one in self.sent.get(name, ()):
            if hash_of(one) == wanted:
                return one
        raise Broken("nobody sent this", name)


HASHES, EMPTY = {}, State(SITES)


def hash_of(one):
    key = repr(sorted(one.items(), key=str))
    if key not in HASHES:
        plan = EMPTY.plan([message(one)], 1, NOW)  # changes nothing
        HASHES[key] = int(plan.frame.columns["content"][0])
    return HASHES[key]


def run(seeds, steps=25):
    """Live through each seed; return the counts of all. Raises Broken, naming the seed."""
    total = {}
    for seed in seeds:
        try:
            world = World(seed)
            world.live(steps)
        except Broken as e:
            raise Broken(f"seed {seed}", *e.args) from e
        for name, count in {**world.counts, "faults": world.system.hit}.items():
            total[name] = total.get(name, 0) + count
    return total
