"""What benchmarks stand on: the stream, the oracle, the figures, and peers that are not here."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from actors.checkpoints import Checkpoints
from actors.disk import OsDisk
from actors.journal_file import FileJournal
from actors.shard import Shard
from cluster import cli
from cluster.bench import bare_grpc, oracle, peer_servers, peer_stream, stream
from cluster.bench.figures import Asked, Beside, Figure, Sizes, counted, take_turns, told
from cluster.bench.kill import Acknowledged, right
from cluster.bench.peer_redis import Redis
from cluster.commands import bench
from serving.client import TwinState, Value
from twin.admission import Rule
from twin.columns import Message
from twin.events import decode_arrow, decode_rows

NOW = stream.BEGIN_US + 10**13
KEYS = 40
LINE = ["bench", "case", "unit", "runs", "median", "peer", "limit", "machine"]
BESIDE = ["name", "median", "ratio"]


def shard_in(folder):
    shard = Shard(
        name="shipment/east/0",
        rule=Rule("east", ("shipment",), 0, 1),
        journal=FileJournal(OsDisk(), folder, 1),
        checkpoints=Checkpoints(OsDisk(), folder),
        clock=lambda: NOW,
    )
    shard.recover()
    return shard


def offered(shard, events, size):
    """Offer a stream to a shard; return how many events had each outcome."""
    counts = np.zeros(5, np.int64)
    for message in stream.arrow(events, size):
        (answer,) = shard.offer([Message(decode_arrow(message), "demo", "test")])
        counts += np.bincount(answer.outcome, minlength=5)
    return counts


def twin_of(shard, id):
    """Return a twin as a client would see it, as far as the oracle looks."""
    cells = shard.row("shipment", "demo", id).cells
    groups = {
        "position": ("lat", "lon"),
        "condition": ("temp_c",),
        "promise": ("promised_at",),
        "departure": ("departed_at",),
        "milestone": ("status",),
    }
    values = {}
    for group, fields in groups.items():
        if f"{group}.as_of" not in cells:
            continue
        for field in fields:
            said = "DEPARTED" if field == "status" else cells.get(field, cells[f"{group}.as_of"])
            as_of, source = cells[f"{group}.as_of"], cells[f"{group}.source"]
            values[field] = Value(said, as_of, 0.0, 1.0, source, 0, "live", "")
    return TwinState(id, id, "east", values, "shipment/east/0", 0, 1)


def checked(expected, counts, shard):
    oracle.check(expected, counts, shard.sizes()["shipment"], lambda id: twin_of(shard, id))


def asked_in(folder, **changes):
    notes = []
    asked = Asked("", 0.05, 1, 0, 0, folder, lambda text: None, notes.append)
    return asked._replace(**changes), notes


def test_equal_arguments_give_an_equal_stream_with_the_promised_shares():
    one, other = stream.telemetry(50_000, 1000), stream.telemetry(50_000, 1000)

    assert all((a == b).all() for a, b in zip(one[1:], other[1:], strict=True))
    assert 0.04 < 1 - np.unique(one.number).size / one.size < 0.06
    assert 0.005 < one.parked.mean() < 0.015
    assert np.unique(one.time).size == np.unique(one.number).size
    behind = (stream.BEGIN_US + one.number * stream.SLOT_US) - one.time
    assert 0.08 < (behind > 0).mean() < 0.12
    assert np.bincount(one.key).max() > 0.05 * one.size


def test_both_wire_forms_say_the_same():
    events = stream.telemetry(3000, KEYS)

    arrow = [decode_arrow(message) for message in stream.arrow(events, 1000)]
    rows = [decode_rows(message) for message in stream.rows(events, 1000)]

    assert [part.size for part in arrow] == [1000] * 3
    for a, b in zip(arrow, rows, strict=True):
        assert a.id.list() == b.id.list()
        assert a.subject.list() == b.subject.list()
        assert (a.time == b.time).all()
        assert [a.type.words[i] for i in a.type.codes] == [b.type.words[i] for i in b.type.codes]
        for name in ("lat", "lon", "temp_c", "promised_at"):
            assert (a.numbers[name].present == b.numbers[name].present).all()
            held = a.numbers[name].present
            assert (a.numbers[name].values[held] == b.numbers[name].values[held]).all()


def test_the_oracle_counts_by_hand_made_events_what_a_reader_counts():
    columns = {
        "number": [0, 1, 1, 2, 3, 4],
        "key": [7, 7, 7, 7, 7, 8],
        "type": [1, 1, 1, 1, 0, 3],
        "source": [0, 1, 1, 2, 0, 3],
        "time": [50, 60, 60, 55, 70, 80],
        "x": [1.0, 2.0, 2.0, 3.0, stream.BROKEN_LAT, 0.0],
        "y": [0.0] * 6,
        "parked": [False, False, False, False, True, False],
    }
    events = stream.Stream(stream.TELEMETRY, *map(np.array, columns.values()))

    expected = oracle.judge(events)

    assert expected.outcomes == {
        "APPLIED": 3,
        "SUPERSEDED": 1,
        "DUPLICATE": 1,
        "PARKED": 1,
        "REJECTED": 0,
    }
    assert expected.twins[stream.subject(7)] == {"temp_c": (2.0, 60, stream.SOURCES[1])}
    assert expected.twins[stream.subject(8)]["status"] == ("DEPARTED", 80, stream.SOURCES[3])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_shard_ends_as_the_oracle_says_whatever_the_batches(tmp_path, size):
    events = stream.telemetry(600, KEYS)
    shard = shard_in(tmp_path)

    counts = offered(shard, events, size)

    checked(oracle.judge(events), counts, shard)


def test_the_oracle_catches_a_lost_event_a_wrong_value_and_a_wrong_count(tmp_path):
    events = stream.telemetry(600, KEYS)
    expected = oracle.judge(events)
    shard = shard_in(tmp_path)
    counts = offered(shard, events, 100)
    id, fields = next((i, f) for i, f in expected.twins.items() if "temp_c" in f)
    value, as_of, source = fields["temp_c"]
    wrong = expected._replace(twins={id: fields | {"temp_c": (value + 1, as_of, source)}})

    checked(expected, counts, shard)
    with pytest.raises(oracle.WrongEnd, match="temp_c"):
        checked(wrong, counts, shard)
    with pytest.raises(oracle.WrongEnd, match="receipts say"):
        checked(expected, counts - np.array([1, 0, 0, 0, 0]), shard)
    with pytest.raises(oracle.WrongEnd, match="shipments are there"):
        checked(expected._replace(shipments=expected.shipments + 1), counts, shard)
    lost = shard_in(tmp_path / "lost")
    with pytest.raises(oracle.WrongEnd):
        checked(expected, offered(lost, events.part(0, 599), 100), lost)


def test_an_answer_after_a_kill_is_right_only_if_it_knows_what_was_acknowledged():
    def twin(number, degrees):
        value = Value(degrees, stream.BEGIN_US + number, 0.0, 1.0, "s", 0, "live", "degC")
        return TwinState("k", "i", "east", {"temp_c": value}, "s", 0, 1)

    known = Acknowledged(119, stream.BEGIN_US + 119)

    assert right(twin(119, 39.0), known)
    assert right(twin(140, 60.0), known)
    with pytest.raises(oracle.WrongEnd, match="was acknowledged"):
        right(twin(118, 38.0), known)
    with pytest.raises(oracle.WrongEnd, match="nobody offered"):
        right(twin(119, 38.0), known)


def test_a_line_has_its_fields_and_a_ratio_only_beside_a_sound_peer():
    sound = Figure("ingest", "c", "events/s", [3.0, 1.0, 2.0], peer=Beside("P", [4.0, 8.0], 8.0))
    slow = sound._replace(peer=Beside("P", [5.0, 5.5], 8.0))
    alone = sound._replace(peer=None)
    limited = alone._replace(limit=Beside("L", [1.0]))

    line = json.loads(json.dumps(sound.line()))

    assert list(line) == LINE
    assert list(line["peer"]) == BESIDE
    assert line["runs"] == [3.0, 1.0, 2.0]
    assert line["median"] == 2.0
    assert line["peer"] == {"name": "P", "median": 6.0, "ratio": 0.3333}
    assert line["limit"] is None
    assert set(line["machine"]) == {"cores", "memory_gib", "load1", "system", "python"}
    assert slow.line()["peer"]["ratio"] is None
    assert alone.line()["peer"] is None
    assert limited.line()["limit"] == {"name": "L", "median": 1.0, "ratio": 2.0}
    assert told([slow])[0][-1] == "-"
    assert told([sound])[0][3] == "3 1 2"


def test_the_project_and_its_peer_take_turns(tmp_path):
    asked, _ = asked_in(tmp_path, repeats=3)
    order = []

    mine, others = take_turns(
        asked, "x", lambda: order.append("ours") or 1.0, lambda: order.append("peer") or 2.0
    )

    assert order == ["peer", "ours"] * 3
    assert (mine, others) == ([1.0] * 3, [2.0] * 3)


@pytest.mark.parametrize(
    ("n", "name"), [(999, "999"), (5000, "5k"), (1_000_000, "1M"), (2_500_000, "2.5M")]
)
def test_a_count_is_named_as_in_a_case(n, name):
    assert counted(n) == name


@given(st.integers(64, 3000), st.integers(1, 50))
def test_the_peers_truth_is_what_a_plain_count_finds(n, entities):
    events = peer_stream.events(n, entities)
    rows = events.rows()
    top = {}
    for row in rows:
        top[row[1]] = max(top.get(row[1], 0), row[4])

    assert events.truth() == (len({row[0] for row in rows}), sum(top.values()))
    assert len(rows) == n


def test_a_peer_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(peer_servers.Missing, match="apt-get install redis-server"):
        Redis("always", Sizes(100, 10))


def test_a_bare_server_answers_the_given_bytes_and_ends(tmp_path):
    import grpc

    with (
        bare_grpc.running("/any/Method", b"answer", tmp_path) as address,
        grpc.insecure_channel(address) as channel,
    ):
        answer = channel.unary_unary("/any/Method")(b"ask", timeout=10)

    assert answer == b"answer"


def test_a_wrong_case_is_refused_and_the_right_ones_are_named():
    done = CliRunner().invoke(cli.twin, ["bench", "query", "--case", "gte"])

    assert done.exit_code == 2
    assert "get, batchget-1000" in done.output


def test_every_case_the_command_knows_is_one_its_module_has():
    import importlib

    for name, cases in bench.CASES.items():
        assert tuple(importlib.import_module(f"cluster.bench.{name}").CASES) == cases


def test_no_progress_is_written_where_nobody_watches(capsys):
    bench.progress()("half")

    assert re.sub(r"\s", "", capsys.readouterr().err) == ""


def test_help_names_every_benchmark_on_lines_that_can_be_read():
    said = CliRunner().invoke(bench.command, ["--help"], terminal_width=80).output

    assert said.startswith("Usage: command [OPTIONS] BENCH\n")
    assert f"BENCH is one of {', '.join(bench.CASES)}." in " ".join(said.split())
