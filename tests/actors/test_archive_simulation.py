"""The simulation of archives finds nothing wrong, and finds every mutant of them."""

import logging

import pytest

from actors import archiver, journal_file
from tests.actors.archive_simulation import run
from tests.actors.simulation import Broken
from tests.actors.test_simulation import Mutant, mutate

SEEDS, STEPS = 25, 30

MUTANTS = [
    Mutant(
        "a segment leaves the disk before its copy was read back",
        "actors.archiver:Archiver",
        "        if self._archive.raw(start, end) != here:\n",
        "        if False:\n",
    ),
    Mutant(
        "a segment is removed before the floor is raised",
        "actors.archiver:Archiver",
        "                segments.raise_floor(self._disk, self._folder, end)\n",
        "                self._disk.remove(path)\n"
        "                segments.raise_floor(self._disk, self._folder, end)\n"
        "                continue\n",
    ),
    Mutant(
        "a part counts without a look for a newer writer",
        "actors.archiver:Archiver",
        "            if self._archive.overtaken(self._shard.epoch):\n",
        "            if False:\n",
    ),
    Mutant(
        "a writer that was overtaken elsewhere goes on",
        "actors.archiver:Archiver",
        "        self._journal.overtaken = True\n",
        "        pass\n",
    ),
    Mutant(
        "what a replaced writer archived late counts",
        "actors.archive:Archive",
        "        self._chain = chain(parts, ends)\n",
        "        self._chain = chain(parts, [])\n",
    ),
    Mutant(
        "a successor looks before it makes its marker",
        "actors.journal_file:FileJournal",
        "            self._archive.announce(self.epoch, self._owner)\n",
        "            pass\n",
    ),
    Mutant(
        "markers come home before what they stand for",
        "actors.fetch:fetch",
        "    since = 0\n",
        "    since = 0\n    _markers(disk, home, 0, known.newest)\n",
    ),
    Mutant(
        "a disk that others went on without is believed",
        "actors.fetch:fetch",
        "    if known.claimed <= local:\n",
        "    if local:\n",
    ),
    Mutant(
        "an object is named before its bytes are on the disk",
        "actors.disk:OsDisk",
        "            OsFile(self._os, descriptor).write(0, content)\n"
        "            self._os.fsync(descriptor)\n",
        "            OsFile(self._os, descriptor).write(0, content)\n",
    ),
    Mutant(
        "what a dead writer prepared becomes a segment of its own",
        "actors.journal_file:FileJournal",
        '            file = self._disk.allocate(self._folder / f"e{self.epoch}" / AHEAD, size)\n',
        '            file = self._disk.allocate(self._folder / f"e{self.epoch}" / '
        "segments.name_of(self.next), size)\n",
    ),
    Mutant(
        "a prepared segment takes its name without a sync of its folder",
        "actors.disk:OsDisk",
        "        self._os.rename(source, target)\n        self.sync_folder(target.parent)\n",
        "        self._os.rename(source, target)\n",
    ),
]


@pytest.fixture(autouse=True)
def _small_and_quiet(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 2048)
    monkeypatch.setattr(journal_file, "LARGEST", 4096)
    monkeypatch.setattr(archiver, "MOST", 3000)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_what_is_archived_outlives_every_disk(seed):
    total = run(range(seed, seed + SEEDS), STEPS)

    assert total["starts"] >= 5 * SEEDS
    assert total["faults"] >= SEEDS
    assert total["wiped"] >= 2 * SEEDS
    assert total["moved"] >= SEEDS
    assert total["fenced"] >= SEEDS / 2
    assert total["fetched"] >= 2 * SEEDS
    assert min(total[name] for name in ("lost", "archived", "prepared", "repaired")) > 0
    assert total["retained"] > 0


def test_the_seeds_that_find_the_mutants_of_archives_find_nothing_else():
    run(range(SEEDS), STEPS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_simulation_of_archives_finds_that(monkeypatch, mutant):
    mutate(monkeypatch, mutant)

    with pytest.raises(Broken):
        run(range(8 * SEEDS), STEPS)


def test_a_life_that_once_went_wrong_goes_well():
    run([1868675128], steps=60)  # a replaced writer told of a part whose twins it did not know


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_archived_is_lost_in_a_thousand_lives(seed):
    total = run(range(seed, seed + 1000), steps=60)

    assert total["faults"] >= 2_000
    assert total["retained"] >= 100
