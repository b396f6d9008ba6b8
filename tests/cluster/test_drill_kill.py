"""`twin drill kill` on a running twin: every fault happened, nothing acknowledged was lost.

The drill itself fails when a fault did not happen; these say that it does, and what it prints.
"""

import json

import pytest

from cluster.drills.kill import PHASES
from cluster.journal_reader import shards
from tests.system.running import Running, free_base

pytestmark = [pytest.mark.ray, pytest.mark.slow]  # a Ray of its own: the run has one already
WRONGS = ("lost", "duplicated", "out_of_order", "unoffered", "refused", "unanswered")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A twin of one region without a demo's history, ended whatever happens."""
    home = tmp_path_factory.mktemp("drill")
    (home / "twin.toml").write_text('regions = ["east"]\nserve = false\n')
    running = Running(home / ".twin", free_base())
    told = running.twin("up")
    try:
        assert told.status == 0, told
        yield running
    finally:
        running.twin("down")
        assert running.traces() == []


def drilled(twin, times, seed, patience_s):
    told = twin.twin(
        *("drill", "kill", "--times", str(times), "--seed", str(seed), "--yes", "--json"),
        patience_s=patience_s,
    )
    assert told.out, told.err
    report = told.json
    assert (told.status, report["failures"]) == (0, []), told.err
    assert f"seed {seed}" in told.err
    return report


def sound(report, times, each):
    faults = report["faults"]
    assert faults["total"] >= times
    assert all(faults[phase] >= each for phase in PHASES), faults
    assert report["acknowledged"] == report["inputs"] > 0
    assert {name: report[name] for name in WRONGS} == dict.fromkeys(WRONGS, 0)
    counted = [kill for kill in report["kills"] if kill["waiting"]]
    assert len(counted) == faults["total"]
    assert report["recovery_s"]["max"] >= report["recovery_s"]["p50"] > 0
    twins = report["twins"]
    assert twins["memory"] == twins["journal"] > 0
    assert twins["digest"] == twins["journal_digest"]


def test_a_drill_is_not_begun_by_mistake(twin):
    told = twin.twin("drill", "kill")
    assert told.status == 2
    assert "--yes" in told.err
    assert "kill -9" in told.err

    told = twin.twin("drill", "kill", "shipment/north/0", "--yes")
    assert told.status == 1
    assert "shipment/east/0" in told.err


@pytest.mark.timeout(600)
def test_shards_killed_in_every_phase_lose_and_double_nothing(twin, seed):
    report = drilled(twin, 3, seed, 500)

    sound(report, 3, 1)
    for shard, home in shards(twin.folder).items():
        markers = len(list(home.glob("epoch-*")))
        mine = [kill for kill in report["kills"] if kill["shard"] == shard]
        assert markers == 1 + len(mine)
    kept = json.loads((twin.folder / "reports" / f"{report['run']}.json").read_text())
    assert kept == report
    assert twin.twin("journal", "verify", "--all").status == 0


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_fifty_kills_lose_and_double_nothing(twin, seed):
    report = drilled(twin, 50, seed, 2800)

    sound(report, 50, 5)
    assert twin.twin("journal", "verify", "--all").status == 0
