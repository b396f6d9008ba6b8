"""Ingest of files: bounded, resumable, idempotent, and every row accounted for; on a real shard."""

import gzip
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster import cli, load, mapping
from cluster.bookmark import Bookmark
from cluster.rehearsal import Rehearsal
from cluster.tally import Tally
from serving.client import connect
from tests.cluster.recorder import Recorder, unpacked
from tests.small_twin import REGION, small_twin
from tests.system.running import until
from twin.errors import BadRequest, Unavailable

ROOT = Path(__file__).parents[2]
NOW, DAY = 1_380_000_000_000_000, 86_400_000_000
TOML = """
name = "track"
source = "tracker"
region = "where"

[[events]]
type = "shipment.position"
id = "join('p', n)"
subject = "join('S', modulo(n, 50))"
time = "epoch(n, 's')"

[events.payload]
lat = "lat"
lon = "'4.5'"

[[events]]
type = "shipment.promised"
id = "join('d', n)"
subject = "join('S', modulo(n, 50))"
when = "n >= 5"
time = "epoch(n, 's')"

[events.payload]
promised_at = "date('2013-09-01')"
"""


def text(rows, odd=None):
    lines = {n: f"{n},{n % 90},{REGION}" for n in range(rows)} | (odd or {})
    return "n,lat,where\n" + "".join(lines[n] + "\n" for n in range(rows))


@pytest.fixture
def track(tmp_path):
    """Return what writes a file and its mapping."""
    (tmp_path / "track.toml").write_text(TOML)

    def write(content, name="track.csv"):
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(raw)
        return tmp_path / name

    return write


def found():
    return mapping.parse(TOML)


def offered(sink, file, tally=None, step=lambda _: None, **options):
    tally = tally or Tally()
    messages = load.mapped(load.opened(file, found()), found(), tally.rows, **options)
    load.offer(sink, messages, tally, step, wait=lambda _: None)
    return tally


def test_rows_and_events_are_counted_once_whatever_breaks(track):
    file = track(text(60_000))
    twin = Recorder(breaks=[0, 3], losses=[1, 4])

    tally = offered(twin, file)

    assert tally.events == 119_995
    assert {e.id for e in twin.events} == {f"p{n}" for n in range(60_000)} | {
        f"d{n}" for n in range(5, 60_000)
    }
    assert len(twin.events) == 119_995
    lost = tally.outcomes["DUPLICATE"]  # taken before, their answer lost
    assert lost > 0
    assert tally.outcomes["APPLIED"] + lost == 119_995
    assert (tally.rows, tally.whole) == (60_000, True)


def test_waiting_for_an_answer_has_a_bound(track):
    class Away(Recorder):
        def bulk(self, messages):
            next(iter(messages))
            raise Unavailable("nobody is there", 0.5)

    with pytest.raises(Unavailable):
        offered(Away(), track(text(9)))


def test_no_more_messages_are_under_way_than_the_window_allows(track):
    file, taken, more = track(text(80_000)), [], []
    messages = load.mapped(load.opened(file, found()), found())

    class Slow(Recorder):
        def bulk(self, messages):
            taken.append([next(messages) for _ in range(3)])
            more.append(pool.submit(next, messages, "none"))  # waits: three are unanswered
            raise Unavailable("wait", 20.0)

    with ThreadPoolExecutor() as pool, pytest.raises(Unavailable):
        load.offer(Slow(), messages, Tally(), lambda _: None, window=3, wait=lambda _: None)

    assert len(taken) == 4  # 20 s each, 60 at most
    assert taken[0] == taken[1] == taken[2] == taken[3]
    assert [one.result(5) for one in more] == ["none"] * 4


def test_a_file_that_ends_too_soon_is_refused_and_what_came_before_is_kept(track):
    raw = gzip.compress(text(400_000).encode())
    file = track(raw[: len(raw) * 2 // 3], "track.csv.gz")
    twin, tally = Recorder(), Tally()

    with pytest.raises(BadRequest) as caught:
        offered(twin, file, tally)

    assert caught.value.code == "FILE_UNREADABLE"
    assert 0 < tally.events == len(twin.events) < 799_995


def test_an_interrupted_run_goes_on_behind_what_was_answered_and_counts_as_one(track, tmp_path):
    odd = {7: "x,1,east", 20_000: "1,2", 55_000: "55000,abc,east", 59_999: "59999"}
    file = track(text(60_000, odd))
    plain = offered(Recorder(), file)
    twin, marks = Recorder(), Bookmark(tmp_path, file, found(), [])

    def interrupted(tally):
        marks.keep(tally)
        if tally.rows > 20_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        offered(twin, file, step=interrupted)
    resumed = marks.read()
    before, taken = resumed.rows, twin.offered
    offered(twin, file, resumed)

    assert 20_000 < before < 60_000
    assert twin.offered - taken < 119_995 - taken + 2 * load.MESSAGE
    assert {e.id for e in twin.events} >= {f"p{n}" for n in range(60_000) if n not in odd}
    assert resumed.plain() | {"outcomes": 0} == plain.plain() | {"outcomes": 0}
    assert sum(resumed.outcomes.values()) == plain.events
    assert resumed.parked_rows == {"VALUE_UNREADABLE": 2, "ROW_MALFORMED": 2}
    assert [row.line for row in resumed.parked] == [9, 20_002, 55_002, 60_001]


def test_a_bookmark_is_of_one_file_one_mapping_and_the_same_options(track, tmp_path):
    file = track(text(9))
    tally = offered(Recorder(), file)
    Bookmark(tmp_path, file, found(), ["x"]).keep(tally)

    assert Bookmark(tmp_path, file, found(), ["x"]).read().rows == 9
    assert Bookmark(tmp_path, file, found(), ["y"]).read().rows == 0
    other = mapping.parse(TOML.replace("tracker", "other"))
    assert Bookmark(tmp_path, file, other, ["x"]).read().rows == 0
    file.write_text(text(10))
    assert Bookmark(tmp_path, file, found(), ["x"]).read().rows == 0


@pytest.mark.parametrize("content", [b"", b"{}", b'{"rows": "x"}', b"[]", b"\xff"])
def test_a_damaged_bookmark_is_none(track, tmp_path, content):
    file = track(text(9))
    marks = Bookmark(tmp_path, file, found(), [])
    marks.keep(offered(Recorder(), file))
    next((tmp_path / "ingest").glob("*.json")).write_bytes(content)

    assert marks.read().rows == 0


def test_a_limit_and_a_date_leave_events_out_and_count_them(track):
    file = track(text(30_000))

    limited = offered(Recorder(), file, room=100)
    dated = offered(Recorder(), file, until_us=999_000_000)

    assert (limited.events, limited.left) == (100, 59_895)
    assert (dated.events, dated.left) == (1000 + 995, 59_995 - 1995)
    assert limited.rows == dated.rows == 30_000


def test_an_event_made_once_is_the_first_that_was_known_also_in_a_later_batch(track):
    toml = TOML.replace("time = \"epoch(n, 's')\"", "time = \"epoch(subtract(50000, n), 's')\"")
    toml = toml.replace(
        "subject = \"join('S', modulo(n, 50))\"", "subject = \"'S'\"\nonce = true", 1
    )
    once = mapping.parse(toml)
    file, twin = track(text(20_000)), Recorder()

    tally = Tally()
    load.offer(twin, load.mapped(load.opened(file, once), once), tally, lambda _: None)

    positions = [e for e in twin.events if e.type == "shipment.position"]
    assert [(e.id, e.time) for e in positions] == [("p19999", 30_001_000_000)]


def test_a_rehearsal_says_which_line_would_be_parked_and_which_field_is_the_cause(track):
    odd = {3: f"3,95.5,{REGION}", 4: "4,1,north", 6: f"3,95.5,{REGION}", 8: f"3,1.5,{REGION}"}
    file = track(text(9, odd))

    tally = offered(Rehearsal((REGION, "west"), "demo", NOW), file)

    assert {n: c for n, c in tally.outcomes.items() if c} == {
        "APPLIED": 8,
        "PARKED": 1,
        "REJECTED": 1,
        "DUPLICATE": 1,
    }
    assert [tuple(one)[:4] for one in tally.refused] == [
        (5, "PARKED", "OUT_OF_RANGE", "lat"),
        (6, "REJECTED", "WRONG_REGION", ""),
    ]
    assert (tally.refused[0].expected, tally.refused[0].got) == ("<= 90", "95.5")


@pytest.fixture
def folder(tmp_path):
    with small_twin(tmp_path / ".twin", NOW) as folder:
        yield folder


def ingest(file, folder, *words):
    line = ["ingest", str(file), "--mapping", str(file.parent / "track.toml")]
    return cli.run([*line, "--folder", str(folder), *words])


def test_a_file_is_taken_once_and_a_second_run_finds_only_duplicates(track, folder, capsys):
    file = track(text(20_000))

    first = ingest(file, folder, "--json"), json.loads(capsys.readouterr().out)
    again = ingest(file, folder), capsys.readouterr().out

    assert (first[0], again[0]) == (0, 0)
    counts = first[1]["outcomes"]
    assert counts["APPLIED"] + counts["SUPERSEDED"] == first[1]["events"] == 39_995
    assert "All of them were known: nothing was changed." in again[1]
    with connect(folder) as client:
        assert client.get("shipment", "S49").values["lat"].value == 19_999 % 90
        assert client.receipts("tracker", ["p19999"])[0].writer == "ingest"
    assert list((folder / "ingest").iterdir()) == []


def test_rows_and_events_that_do_not_come_through_are_told_by_line(track, folder, capsys):
    file = track(text(9, {3: f"3,95.5,{REGION}", 5: f"5,abc,{REGION}"}))

    status = ingest(file, folder)
    told = capsys.readouterr().out

    assert status == 3
    assert "OUT_OF_RANGE" in told
    assert "<= 90" in told
    assert "VALUE_UNREADABLE" in told
    assert "1 rows are parked here" in told


def test_a_dry_run_needs_no_twin_and_writes_nothing(track, tmp_path, capsys):
    file = track(text(9, {3: f"3,95.5,{REGION}"}))

    status = ingest(file, tmp_path / "nowhere", "--dry-run", "--json")
    told = json.loads(capsys.readouterr().out)

    assert status == 3
    assert told["outcomes"] == {
        "APPLIED": 12,
        "SUPERSEDED": 0,
        "DUPLICATE": 0,
        "PARKED": 1,
        "REJECTED": 0,
    }
    assert told["sent"] is None
    assert told["parked_events"][0] == {
        "line": 5,
        "outcome": "PARKED",
        "reason": "OUT_OF_RANGE",
        "field": "lat",
        "expected": "<= 90",
        "got": "95.5",
    }
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_or_interrupted_goes_on_where_it_was(track, folder, sign):
    file = track(text(400_000))
    line = [sys.executable, "-m", "cluster.cli", "ingest", str(file), "--folder", str(folder)]
    line += ["--mapping", str(file.parent / "track.toml")]
    run = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    until(lambda: any((folder / "ingest").glob("*.json")), "a bookmark", 60)
    os.kill(run.pid, sign)
    said = run.communicate()[1].decode()
    (mark,) = (folder / "ingest").glob("[!.]*.json")
    rows = json.loads(mark.read_bytes())["rows"]
    again = subprocess.run([*line, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == (130 if sign == signal.SIGINT else -sign)
    assert (f"{rows:,} rows are in; run it again to go on" in said) == (sign == signal.SIGINT)
    assert 0 < rows < 400_000
    assert f"going on behind row {rows:,}" in again.stderr
    told = json.loads(again.stdout)
    assert (again.returncode, told["rows"], told["events"]) == (0, 400_000, 799_995)
    assert told["outcomes"]["REJECTED"] == told["outcomes"]["PARKED"] == 0
    with connect(folder) as client:
        status = client.status()
    assert sum(shard.offset for shard in status.shards) == 799_995  # each journaled once
    assert not any((folder / "ingest").glob("[!.]*.json"))


def test_the_events_of_a_message_are_those_that_few_would_be(track):
    file = track(text(30))
    few = [one.event for one in load.read(file, found()).events]

    many = [
        event
        for message in load.mapped(load.opened(file, found()), found())
        if message.lines.size
        for event in unpacked(message.arrow)
    ]

    assert sorted(many, key=lambda e: e.id) == sorted(few, key=lambda e: e.id)
