"""Derived events arrive exactly once in effect, and every mutant that breaks it is found."""

import logging

import pytest

from actors import journal_file
from tests.actors.outbox_simulation import run
from tests.actors.simulation import Broken
from tests.actors.test_simulation import Mutant, mutate

SEEDS = 25

MUTANTS = [
    Mutant(
        "a fact counts as arrived before it is sent",
        "actors.outbox:Courier",
        "        for tenant, mine in by_tenant.items():\n",
        "        arrived[at] = True\n        for tenant, mine in by_tenant.items():\n",
    ),
    Mutant(
        "a fact counts as arrived though nobody said so",
        "actors.outbox:Courier",
        "                self._turned(shard, due, mine, now_s)\n                continue\n",
        "                outcomes = np.zeros(0, np.int8)\n",
    ),
    Mutant(
        "a shard that was replaced goes on telling",
        "actors.shard:Shard",
        "        self.require_marker()\n        if due is None:\n",
        "        if due is None:\n",
    ),
    Mutant(
        "the cursor is ahead of what waits",
        "twin.outbox:Outbox",
        "        return min([end, *offsets, *(tick[0] for tick in self._first())])\n",
        "        return end\n",
    ),
    Mutant(
        "revisions are not compared",
        "twin.revisions:_greatest",
        "        if revision > greatest:\n",
        "        if True:\n",
    ),
    Mutant(
        "a difference is added on top of the whole",
        "twin.revisions:Revisions",
        "        for row in replaced:\n            _blank(table, _GROUPS[effect], [row])\n",
        "",
    ),
    Mutant(
        "a movement that was replaced stays",
        "twin.revisions:Revisions",
        "                moves = tuple(move for move in known.moves if move.tie != cause)\n",
        "                moves = known.moves\n",
    ),
    Mutant(
        "what changed on its way counts as arrived",
        "twin.outbox:Outbox",
        "        done &= (mark > 0) & (mark <= due.revision)\n",
        "        done &= mark > 0\n",
    ),
    Mutant(
        "nobody tells the site that the goods went elsewhere",
        "twin.outbox:Outbox",
        "        moved = (old[:, :, 0] > 0) & (new[:, :, 0] > 0) & (new != old).any(axis=2)\n",
        "        moved = np.zeros(new.shape[:2], np.bool_)\n",
    ),
    Mutant(
        "nobody remembers what was told before it changed",
        "twin.outbox:Outbox",
        '        rows = rows[table.take("delivered_at", rows) != ABSENT]\n',
        "        rows = rows[:0]\n",
    ),
    Mutant(
        "a checkpoint forgets what is to be withdrawn",
        "twin.outbox:Outbox",
        '            "outbox.revoked": np.array(revoked, np.int64).reshape(-1, 7),\n',
        '            "outbox.revoked": np.zeros((0, 7), np.int64),\n',
    ),
    Mutant(
        "a checkpoint forgets what counts",
        "twin.checkpoint:_load_derived",
        '    if "revisions.cause" in columns:\n',
        "    if False:\n",
    ),
    Mutant(
        "replay joins frames between which somebody was told",
        "twin.transition:State",
        "        return held is not None and self.outbox.turns(frame, held.table)\n",
        "        return False\n",
    ),
    Mutant(
        "a count that is withdrawn takes deliveries with it",
        "twin.transition:State",
        "        self.revisions.refold(held.kind.name, row, fresh, self.ranks())\n",
        "",
    ),
]


@pytest.fixture(autouse=True)
def _small_and_quiet(monkeypatch):
    monkeypatch.setattr(journal_file, "SMALLEST", 4096)
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def test_what_follows_from_shipments_is_known_however_messages_and_processes_die(seed):
    total = run(range(seed, seed + SEEDS))

    assert total["lost"] >= SEEDS / 2
    assert total["unheard"] >= SEEDS / 2
    assert total["again"] >= SEEDS / 2
    assert total["deaths"] >= SEEDS / 2
    assert total["resumed"] >= SEEDS / 2
    assert total["fenced"] >= SEEDS / 4


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_the_simulation_finds_that(monkeypatch, mutant):
    mutate(monkeypatch, mutant)

    with pytest.raises(Broken):
        run(range(4 * SEEDS))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_counts_twice_or_never_in_a_thousand_lives(seed):
    run(range(seed, seed + 1000), steps=80)
