"""A simulation of a shard with an archive: disks are lost, nodes change, the storage fails too.

What was acknowledged and archived is never lost; what was only acknowledged is, with its disk.
"""

import errno
import random
from functools import partial
from pathlib import Path

from actors import archiver, marker, segments
from actors.archive import Archive
from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.fetch import fetch, restore
from actors.journal_file import FileJournal
from actors.shard import Shard
from actors.store import FolderStore
from tests.actors.shards import HOME
from tests.actors.simulation import LOSS, NOW, SITES, Broken, World, quiet, require
from tests.ports.sim_disk import Crash, SimOs
from tests.twin.histories import message
from twin.errors import Compacted, Fenced, JournalCorrupt, StorageAway, TwinError

PLACE = "journal/east/site/0"
STORE = Path("/store")


class ArchivedWorld(World):
    """Two nodes with a disk each, one storage, and the shard on one of the nodes."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.store = SimOs(rng)
        self.other = SimOs(rng)
        self.afar = []  # writers and archivers that were left on the other node
        self.jobs = []  # segments to prepare, at some later time
        self.beside = None
        super().__init__(seed)
        self.counts |= dict.fromkeys(("wiped", "moved", "lost", "archived", "retained"), 0)
        self.counts |= dict.fromkeys(("repaired", "fetched", "prepared"), 0)

    def live(self, steps):
        acts = [self.ingest] * 6 + [self.archive] * 5 + [self.checkpoint] * 4
        acts += [self.cut, self.kill, self.replace, self.wake, self.cut_inside]
        acts += [self.prepare] * 4
        acts += [self.cut_store, self.cut_store, self.fail_store, self.wipe, self.move]
        acts += [self.wake_afar, self.overtake_archive, self.overtake_archive, self.rot]
        acts += [self.repair, self.wipe_inside, self.wipe_inside, self.cut]
        for _ in range(steps):
            self.rng.choice(acts)()
        self.wipe()
        self.check()

    def start(self):
        """Recover under the next epoch, from the archive where the disk lacks something."""
        self.jobs.clear()
        for _ in range(50):
            disk = OsDisk(self.system)
            self.disk = disk
            archive = Archive(FolderStore(OsDisk(self.store), STORE), PLACE)
            try:
                fetched = fetch(archive, disk, HOME)
                epoch = max(marker.newest(disk, HOME), archive.look().newest) + 1
                owner = f"simulated-{self.rng.random()}"
                journal = FileJournal(
                    disk, HOME, epoch, owner, archive=archive, spawn=self.jobs.append
                )
                kept = Checkpoints(disk, HOME)
                self.one = Shard(
                    name="site/east/0",
                    rule=SITES,
                    journal=journal,
                    checkpoints=kept,
                    clock=lambda: NOW,
                )
                self.one.recover()
            except Crash:
                self.store.power_cut()
                self.system.power_cut()
                continue
            except (TwinError, OSError) as e:
                raise Broken("nothing was damaged, and it did not start", repr(e)) from e
            self.beside = archiver.Archiver(
                self.one,
                journal,
                kept,
                archive,
                disk=disk,
                folder=HOME,
                region="east",
                clock=lambda: NOW + 10,
                keep_us=self.rng.choice([0, 1]),
            )
            self.counts["starts"] += 1
            if fetched is not None and hasattr(self, "counts"):
                self.counts["fetched"] = self.counts.get("fetched", 0) + 1
            return
        raise Broken("it never started")

    def prepare(self):
        """Let the disk zero a segment ahead, or die over it."""
        if self.rng.random() < 0.2:
            self.system.left = self.rng.randrange(8)
        try:
            while self.jobs:
                self.jobs.pop()()
                self.counts["prepared"] += 1
        except Crash:
            self.cut()
        self.system.left = None

    def archive(self):
        before = self.beside.status().floor
        try:
            self.beside.step()
        except Fenced:
            raise Broken("the newest writer was told that it is over") from None
        except LOSS:
            self.cut()
            return
        require(self.beside.status().offset == self.one.next, "a step left something out")
        self.counts["archived"] += 1
        self.counts["retained"] += self.beside.status().floor > before

    def cut_store(self):
        """Cut the power of the storage, and of the shard, some calls into archiving."""
        self.store.left = self.rng.randrange(60)
        try:
            self.beside.step()
        except Crash:
            self.store.power_cut()
            self.cut()
        self.store.left = None

    def fail_store(self):
        call = self.rng.choice(["fsync", "pwrite", "open", "listdir", "link"])
        self.store.faults = {call: (self.rng.randrange(6), errno.EIO)}
        if not self.beside.attempt():
            require(self.beside.status().error, "a failure was not told")
        self.store.faults = {}

    def wipe(self):
        """Take the disk away, and every process that had it open."""
        archived = self.beside.status().offset
        for names in (self.system.root.now, self.system.root.durable):
            names.pop(HOME.name, None)
        self.system.root.pending = []
        self.counts["wiped"] += 1
        self.stale.clear()
        self.system.revive()
        self.start()
        self.forgive(archived)

    def wipe_inside(self):
        """Take the disk away, and the power some calls into its recovery."""
        left = self.rng.randrange(120)
        target = self.rng.choice([self.system, self.store])

        def cut(*_):
            nonlocal left
            left -= 1
            if left == 0:
                target.left = 0

        target.on_call = cut
        self.wipe()

    def move(self):
        """Go on with the other node and its disk; the writer of this one lives on."""
        archived = self.beside.status().offset
        self.afar.append((self.one, self.beside, self.system))
        self.system, self.other = self.other, self.system
        self.stale.clear()
        self.counts["moved"] += 1
        self.start()
        self.forgive(archived)

    def forgive(self, archived):
        """Forget what was only on the lost disk. What was archived must be there."""
        for one in (self.system, self.store):  # a start is behind us: no more faults
            one.on_call, one.left = quiet, None
        require(self.one.next >= archived, "archived and lost", archived, self.one.next)
        gone = [name for name, (_, offset) in self.told.items() if offset >= self.one.next]
        for name in gone:
            del self.told[name]
        self.counts["lost"] += len(gone)
        self.check()

    def wake_afar(self):
        """Let a writer on the other node go on: it acknowledges until it archives, no longer."""
        for old, beside, system in self.afar:
            if system is not self.other:
                continue  # its node is this one again: its folder was set aside
            offer = partial(old.offer, [message(*self.batch())])  # nobody hears its answer
            told = False
            for act in (offer, beside.step, offer):
                try:
                    act()
                except Fenced:
                    self.counts["fenced"] += 1
                    told = True
                except (TwinError, *LOSS):
                    break
                else:
                    require(act is offer and not told, "a writer that was overtaken archived")
        self.afar.clear()
        self.check()

    def overtake_archive(self):
        """Go on with the other node while this one is inside a step of archiving."""
        beside, left = self.beside, self.rng.randrange(40)
        self.ingest()
        beside = self.beside
        moved = None

        def move(*_):
            nonlocal left, moved
            left -= 1
            if left < 0 and moved is None:
                self.store.on_call = quiet
                moved = self.beside.status().offset
                self.move()
                moved = self.one.next

        self.store.on_call = move
        try:
            beside.step()
        except Fenced:
            self.counts["fenced"] += 1
        except (TwinError, *LOSS):
            pass
        else:
            said = beside.status().offset
            require(moved is None or said <= moved, "said to be archived, and is not", said, moved)
        self.store.on_call = quiet
        self.check()

    def rot(self):
        """Flip a bit in the storage: nothing may leave the disk for a copy that is not whole."""
        for act in (self.ingest, self.checkpoint, self.checkpoint, self.ingest, self.archive):
            act()
        self.beside._keep_us = 1
        chain = [p for p in self.beside._archive.look().chain if p.first >= self.one._journal.floor]
        if not chain:
            return
        part = chain[0]
        node = self.store.file(STORE / PLACE / f"{part.name}.twj")
        at, bit = self.rng.randrange(len(node.now)), 1 << self.rng.randrange(8)
        node.now[at] ^= bit
        before = self.one._journal.floor
        try:
            self.beside.retain()
        except JournalCorrupt:
            self.counts["damaged"] += 1
        except LOSS:
            self.cut()
        require(self.one._journal.floor <= max(before, part.first), "the only copy was removed")
        node.now[at] ^= bit

    def repair(self):
        """Damage what is archived on the disk: it is repaired, or was not needed."""
        offset, floor = self.beside.status().offset, self.one._journal.floor
        parts = segments.parts(self.disk, HOME, self.one.epoch)
        held = [p for p in parts if floor <= segments.first_of(p.name) < offset]
        if not held or self.stale:
            return
        part = self.rng.choice(held)
        node = self.system.file(HOME / f"e{part.epoch}" / part.name)
        places = [p for p in segments.index(memoryview(bytes(node.now))) if p[1] <= offset]
        _, _, start, end = self.rng.choice(places)
        node.now[self.rng.randrange(start, end)] ^= 1 << self.rng.randrange(8)
        self.counts["damaged"] += 1
        try:
            repaired = restore(self.beside._archive, self.disk, HOME)
        except (StorageAway, Compacted, JournalCorrupt) as e:
            raise Broken("what is archived was not repaired", repr(e)) from e
        require(len(repaired) == 1, "damage was not noticed", repaired)
        self.counts["repaired"] += 1
        self.kill()


def run(seeds, steps=25):
    """Live through each seed; return the counts of all. Raises Broken, naming the seed."""
    total = {}
    for seed in seeds:
        try:
            world = ArchivedWorld(seed)
            world.live(steps)
        except Exception as e:  # whatever it is: nobody expected it
            raise Broken(f"seed {seed}", *e.args) from e
        faults = world.system.hit + world.store.hit + world.other.hit
        for name, count in {**world.counts, "faults": faults}.items():
            total[name] = total.get(name, 0) + count
    return total
