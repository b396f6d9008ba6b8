"""Every benchmark once, tiny: a real shard in Ray, real gRPC and disk, and a right end state."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cluster.bench import (
    alert,
    ingest,
    memory,
    peer_postgres,
    peer_redis,
    query,
    recover,
    scan,
    snapshot,
    stream,
    subscribe,
)
from cluster.bench.figures import Asked, Sizes
from cluster.bench.oracle import WrongEnd, judge
from cluster.bench.peer_servers import Missing
from cluster.bench.rig import OneShard, fresh
from cluster.process import identify, wait

ROOT = Path(__file__).parents[2]
EVENTS, TWINS = 2000, 500
TINY = Sizes(2000, 200)

pytestmark = pytest.mark.ray


@pytest.fixture
def asked(tmp_path, ray_session):
    notes = []
    return Asked("", 0.05, 1, EVENTS, TWINS, tmp_path, lambda text: None, notes.append)


@pytest.fixture
def no_peers(monkeypatch):
    """No peer is installed, as on most machines."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(peer_postgres, "postgres_folder", lambda: None)


def lines(module, asked):
    return {line["case"]: line for line in (figure.line() for figure in module.run(asked))}


@pytest.mark.slow
@pytest.mark.parametrize("case", list(ingest.CASES))
def test_ingest_ends_as_the_oracle_says(asked, no_peers, case):
    line = lines(ingest, asked._replace(case=case))[case]

    assert line["unit"] == "events/s"
    assert line["runs"][0] > 0
    assert line["peer"] is None


def test_a_run_that_does_not_end_as_the_oracle_says_has_no_figure(asked):
    case = ingest.CASES["arrow-1000"]
    events = stream.telemetry(EVENTS, TWINS)
    wrong = events._replace(x=np.where(events.parked, events.x, events.x / 2))
    load = ingest.Load(list(stream.arrow(events, case.batch)), judge(wrong))

    with fresh(asked.folder, "shard") as own, OneShard(own) as shard:
        with pytest.raises(WrongEnd, match="the oracle"):
            ingest.through(shard, case, load)
        held = identify(shard.pid)

    assert held is None or wait([held], 10.0) == []


def test_a_query_returns_every_value_and_is_set_beside_a_bare_server(asked, no_peers):
    found = lines(query, asked)

    assert found["get"]["limit"]["name"].startswith("bare grpcio")
    assert found["get"]["limit"]["ratio"] > 0
    assert found["batchget-1000"]["runs"][0] > 0


def test_a_replay_leads_where_the_live_shard_was(asked):
    line = lines(recover, asked._replace(case="replay", repeats=2))["replay"]

    assert len(line["runs"]) == 2


@pytest.mark.slow
def test_a_killed_shard_answers_rightly_through_the_gateway_again(asked):
    line = lines(recover, asked._replace(case="kill"))["kill-2k"]

    assert 0 < line["runs"][0] < 60


def test_memory_is_told_as_a_whole_and_in_its_parts(asked):
    found = lines(memory, asked)

    assert list(found) == [
        "500",
        "500-fields",
        "500-provenance",
        "500-chain",
        "500-index",
        "500-outbox",
        "500-dedup",
    ]
    assert found["500-dedup"]["unit"] == "B/id"
    assert all(line["median"] > 0 for name, line in found.items() if name != "500")


def test_a_snapshot_is_timed_idle_and_beside_ingest(asked):
    found = lines(snapshot, asked)

    assert list(found) == ["500", "500-busy", "500-ingest"]
    assert found["500-ingest"]["limit"]["ratio"] > 0


def test_a_scan_gives_what_the_peer_gives_beside_the_same_ingest(asked):
    found = lines(scan, asked)

    assert list(found) == [
        "filtered-500",
        "filtered-500-p99",
        "groupby-500",
        "groupby-500-p99",
        "ingest-beside",
        "ingest-beside-both",
    ]
    assert found["filtered-500"]["peer"]["name"].startswith("DuckDB")
    assert found["groupby-500-p99"]["limit"]["name"] == "idle"
    assert found["ingest-beside"]["runs"][0] > 0


def test_each_event_is_told_once_and_ingest_beside_followers_is_set_beside_none(asked, monkeypatch):
    monkeypatch.setattr(subscribe, "LISTENERS", 3)
    monkeypatch.setattr(subscribe, "PACE", EVENTS)
    found = lines(subscribe, asked)

    assert list(found) == ["live-p50", "live-p99", "ingest-beside"]
    assert found["live-p50"]["limit"]["name"].startswith("the same bytes through a bare gRPC relay")
    assert all(line["limit"]["ratio"] > 0 for line in found.values())


def test_each_reading_out_of_range_is_one_alert_idle_and_in_a_burst(asked):
    found = lines(alert, asked._replace(case="alert-idle"))
    found |= lines(alert, asked._replace(case="alert-burst"))

    assert list(found) == ["alert-idle-p50", "alert-idle-p99", "alert-burst-p50", "alert-burst-p99"]
    assert all(line["median"] > 0 for line in found.values())


@pytest.mark.slow
def test_each_reading_out_of_range_is_one_alert_of_a_demo_whose_world_goes_ten_times_as_fast(asked):
    found = lines(alert, asked._replace(case="alert-demo"))

    assert list(found) == ["alert-demo-p50", "alert-demo-p99"]
    assert all(line["median"] > 0 for line in found.values())


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_redis_ends_with_its_own_truth(tmp_path, fsync):
    try:
        peer = peer_redis.Redis(fsync, TINY)
    except Missing as e:
        pytest.skip(str(e))

    assert peer.ingest(tmp_path) > 0


def test_redis_reads_every_entity_that_was_loaded(tmp_path):
    try:
        with peer_redis.loaded(tmp_path, 2000, 1000) as reads:
            assert reads.run() > 0
    except Missing as e:
        pytest.skip(str(e))


def test_postgres_ends_with_its_own_truth():
    try:
        # Not below pytest's folder, through which PostgreSQL's user may not pass.
        with (
            tempfile.TemporaryDirectory(prefix="twin-pg-") as folder,
            peer_postgres.postgres(Path(folder), TINY) as peer,
        ):
            assert peer.ingest(Path(folder)) > 0
            assert peer.ingest(Path(folder)) > 0
    except Missing as e:
        pytest.skip(str(e))


@pytest.mark.slow
def test_the_command_prints_json_lines_and_leaves_nothing_behind(tmp_path):
    words = (
        "bench ingest --case single-64 --seconds 0.05 --events 300 --twins 50 --repeats 1 --json"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TWIN_"))}

    ran = subprocess.run(
        [sys.executable, "-m", "cluster.cli", *words.split(), "--folder", str(tmp_path)],
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    (line,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (line["bench"], line["case"], line["peer"]) == ("ingest", "single-64", None)
    assert list(tmp_path.iterdir()) == []
