"""`twin watch` against shards that serve: what matches, what changes, and where to go on."""

import json
import threading

import pytest

from cluster.cli import run
from serving.client import Event
from tests.serving.several import NOW, several

WARM = ("watch", "shipment", "temp_c > 8", "--fields=temp_c")


def reading(subject, temp_c, number=0):
    facts = {"temp_c": temp_c}
    id = f"{subject}:{number}"
    return Event("shipment.condition", "sensor", subject, NOW - 1000 + number, facts, id, "east")


@pytest.fixture
def twin(tmp_path):
    with several(tmp_path / "twin", shards=1, kinds=()) as twin, twin.client() as client:
        client.ingest([reading("a", 9.0), reading("b", 3.0)])
        twin.asks = client
        yield twin


def said(capsys, *words):
    """Return (status, the lines that were printed) of a command."""
    status = run(list(words))
    return status, capsys.readouterr().out.splitlines()


def test_it_prints_who_matches_and_goes_on_behind_a_cursor_with_what_was_missed(twin, capsys):
    folder = ("--folder", str(twin.folder), "--json")
    _, [first] = said(capsys, *WARM, "--limit=1", *folder)
    cursor = next(
        r.cursor for r in twin.asks.subscribe("shipment", "temp_c > 8", ["temp_c"]) if r.synced
    )
    twin.asks.ingest([reading("b", 10.0, 1), reading("a", 2.0, 1)])
    status, missed = said(capsys, *WARM, f"--cursor={cursor}", "--limit=2", *folder)

    told = json.loads(first)
    assert (told["change"], told["twin"]["id"], told["snapshot"]) == ("entered", "a", True)
    assert told["twin"]["values"]["temp_c"]["value"] == 9.0
    assert told["cursor"] is None
    assert status == 0
    lines = [json.loads(line) for line in missed]
    assert [(one["change"], one["twin"]["id"]) for one in lines] == [
        ("entered", "b"),
        ("left", "a"),
    ]
    assert lines[0]["cursor"] is None
    assert lines[1]["cursor"]


def test_for_people_it_prints_a_line_a_change(twin, capsys):
    status, lines = said(capsys, *WARM, "--limit=1", "--folder", str(twin.folder))

    assert (status, lines) == (0, ["  entered  east/a  temp_c 9"])


def test_from_now_on_it_prints_changes_alone(twin, capsys):
    def later():
        twin.asks.ingest([reading("c", 12.0)])

    timer = threading.Timer(0.5, later)
    timer.start()
    _, lines = said(capsys, *WARM, "--only-changes", "--limit=1", "--folder", str(twin.folder))
    timer.join()

    assert lines == ["  entered  east/c  temp_c 12"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("temp > 8",), "FIELD_UNKNOWN"),
        (("stale",), "FILTER_TIMED"),
        (("temp_c > 8", "--cursor=abc"), "CURSOR_INVALID"),
    ],
)
def test_what_is_refused_is_told_with_its_code(twin, capsys, words, code):
    status = run(["watch", "shipment", *words, "--folder", str(twin.folder)])

    assert status == 1
    assert code in capsys.readouterr().err
