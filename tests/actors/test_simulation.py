"""The simulation finds nothing wrong, and finds every mutant: so it would have found it.

A mutant is the project with one line changed, the way it could have been written by mistake.
"""

import __future__

import importlib
import inspect
import logging
import sys
from typing import NamedTuple

import pytest

from actors import journal_file
from tests.actors.shards import HOME
from tests.actors.simulation import Broken, World, run

SEEDS = 25  # a run of this many finds every mutant; more of them in the slow form


class Mutant(NamedTuple):
    name: str
    where: str  # module:name
    old: str
    new: str


MUTANTS = [
    Mutant(
        "it acknowledges before the sync",
        "actors.journal_file:FileJournal",
        "            self._file.sync()\n",
        "",
    ),
    Mutant(
        "it syncs again after a sync that failed",
        "actors.journal_file:FileJournal",
        "            self._file.sync()\n",
        "            try:\n                self._file.sync()\n"
        "            except OSError:\n                self._file.sync()\n",
    ),
    Mutant(
        "it does not sync the folder of a new segment",
        "actors.disk:OsDisk",
        "            self._os.fsync(descriptor)\n            self.sync_folder(path.parent)\n",
        "            self._os.fsync(descriptor)\n",
    ),
    Mutant(
        "it does not sync the names of new folders",
        "actors.disk:OsDisk",
        "            self.sync_folder(folder.parent.parent)"
        "  # who made the parent may have died before\n"
        "            with suppress(FileExistsError):\n"
        "                self._os.mkdir(folder)\n"
        "        self.sync_folder(path.parent)\n",
        "            with suppress(FileExistsError):\n                self._os.mkdir(folder)\n",
    ),
    Mutant(
        "it names a file before its bytes are on the disk",
        "actors.disk:OsDisk",
        "            OsFile(self._os, descriptor).write(0, content)\n"
        "            self._os.fsync(descriptor)\n",
        "            OsFile(self._os, descriptor).write(0, content)\n",
    ),
    Mutant(
        "a checkpoint forgets what was seen",
        "twin.checkpoint:restore",
        "    state.seen.load(seen)\n",
        "",
    ),
    Mutant(
        "a checkpoint forgets movements of stock",
        "twin.checkpoint:restore",
        "        held.levels = _read_levels(kind, frame.columns)\n",
        "",
    ),
    Mutant(
        "repeats within a batch count twice",
        "twin.admission:_repeats",
        "        events.hash,\n        events.content,\n",
        "        events.hash ^ np.arange(events.hash.shape[0], dtype=np.uint64)[:, None],\n"
        "        events.content,\n",
    ),
    Mutant(
        "repeats across the messages of a commit count twice",
        "twin.admission:repeats",
        "    if len(messages) == 1:\n",
        "    for message in messages:\n        _repeats(message)\n"
        "    if messages:\n        return\n"
        "    if len(messages) == 1:\n",
    ),
    Mutant(
        "a repaired event is forgotten",
        "twin.dedup:Seen",
        "        self.reserve(self.size + hash_.shape[0])\n",
        "        new = self.find(hash_).entry < 0\n"
        "        said = (hash_, content, offset, outcome, reason)\n"
        "        hash_, content, offset, outcome, reason = (c[new] for c in said)\n"
        "        self.reserve(self.size + hash_.shape[0])\n",
    ),
    Mutant(
        "damage in the middle is cut off like a torn tail",
        "actors.journal_file:FileJournal",
        "        if (good := frames.later(content, end)) >= 0:\n",
        "        if (good := -1) >= 0:\n",
    ),
    Mutant(
        "nobody reads the witness",
        "actors.journal_file:FileJournal",
        "        self._check_witness()",
        "        pass",
    ),
    Mutant(
        "the marker is looked for only before the append",
        "actors.shard:Shard",
        "        self.require_marker()  # not sooner,",
        "        # not sooner,",
    ),
    Mutant(
        "a successor seals before it makes its marker",
        "actors.journal_file:FileJournal",
        "        marker.claim(self._disk, self._folder, self.epoch, self._owner)\n"
        "        sealed = {seal.epoch: seal for seal in self._seals()}\n"
        "        ends = []\n"
        "        for epoch in range(1, self.epoch):\n"
        "            ends.append(sealed.get(epoch) or self._end(epoch, self.next))\n"
        "            self.next = max(self.next, ends[-1].next)\n",
        "        sealed = {seal.epoch: seal for seal in self._seals()}\n"
        "        ends = []\n"
        "        for epoch in range(1, self.epoch):\n"
        "            ends.append(sealed.get(epoch) or self._end(epoch, self.next))\n"
        "            self.next = max(self.next, ends[-1].next)\n"
        "        marker.claim(self._disk, self._folder, self.epoch, self._owner)\n",
    ),
    Mutant(
        "a seal is made of bytes that are not synced",
        "actors.journal_file:FileJournal",
        "            self._disk.rewrite(path, last.start, bytes(content[last.start : end]))",
        "            pass",
    ),
    Mutant(
        "a successor syncs what it reads, and does not write it again",
        "actors.disk:OsDisk",
        "            OsFile(self._os, descriptor).write(at, content)\n",
        "",
    ),
]


@pytest.fixture(autouse=True)
def _small_and_quiet(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def mutate(monkeypatch, mutant):
    """Put the mutated class or function in the place of the original, wherever that is used."""
    module_name, _, name = mutant.where.partition(":")
    module = importlib.import_module(module_name)
    original = getattr(module, name)
    source = inspect.getsource(original)
    assert source.count(mutant.old) == 1, f"{mutant.where} has changed: {mutant.name}"
    scope = dict(vars(module))
    code = compile(
        source.replace(mutant.old, mutant.new),
        f"<{mutant.name}>",
        "exec",
        flags=__future__.annotations.compiler_flag,
    )
    exec(code, scope)
    mutated = scope[name]
    for loaded in [
        m for n, m in sys.modules.items() if n.split(".")[0] in {"twin", "actors", "tests"}
    ]:
        for attribute, value in list(vars(loaded).items()):
            if value is original:
                monkeypatch.setattr(loaded, attribute, mutated)


def test_nothing_that_was_acknowledged_is_lost_doubled_or_changed(seed):
    total = run(range(seed, seed + SEEDS))

    assert total["starts"] >= 5 * SEEDS
    assert total["faults"] >= 2 * SEEDS
    assert total["fenced"] >= SEEDS / 2
    assert total["damaged"] >= 5
    assert total["acknowledged"] >= 20 * SEEDS


def test_the_seeds_that_find_the_mutants_find_nothing_else():
    run(range(SEEDS))


def test_half_a_witness_is_none_so_damage_to_the_last_frame_may_look_torn(seed):
    world = World(seed)  # a short write, then one that failed: found by seed 2355745329
    for _ in range(20):
        for _ in range(3):
            world.ingest()
        half = journal_file.WITNESS.pack(world.one.next, 0)
        world.disk.note(HOME / "witness", half)
        assert world.witnessed() == -1

        world.damage()

    assert world.counts["damaged"] > 0


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_simulation_finds_that(monkeypatch, mutant):
    mutate(monkeypatch, mutant)

    with pytest.raises(Broken):
        run(range(4 * SEEDS))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_lost_in_a_thousand_lives(seed):
    total = run(range(seed, seed + 1000), steps=60)

    assert total["faults"] >= 5_000
