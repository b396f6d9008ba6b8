"""Re-drive on a real disk: what an older program parked, a newer one applies, and says both."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.actors.shards import offer, shard
from tests.twin.histories import DAY, NOW, event, position, tell, words
from twin import redrive
from twin.errors import Fenced

ROOT = Path(__file__).parents[2]
# A program before `shipment.condition` had a second version: the table ends above it.
OLDER = """
import sys
from twin import contracts
from twin.upcast import lift
contracts.CONTRACTS = lift(contracts._TABLE[:11], ())
from pathlib import Path
from tests.actors.shards import offer, shard
from tests.twin.histories import event
one = shard(Path(sys.argv[1]))
warm = event(id="warm", type="shipment.condition", version=2,
             data={"temp_c": 4.5, "humidity_pct": 61.0})
print(offer(one, event(id="e0"), warm))
"""


def older(folder):
    """Let an older program write a journal."""
    ran = subprocess.run(
        [sys.executable, "-c", OLDER, folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "('PARKED', 'SCHEMA_UNSUPPORTED', 1)" in ran.stdout, ran.stdout


def quarantined(one):
    found = []
    for offset in sorted(one.parked()):
        frame = one.frame(offset)
        raws = dict(redrive.parked_in(frame))
        found.append(redrive.parked(frame, offset - frame.first, raws[offset - frame.first]))
    return found


def redriven(one):
    return words(tell(one.redrive(redrive.message(quarantined(one), "demo", "mender"))))


def test_what_an_older_program_did_not_know_is_applied_by_one_that_does(tmp_path):
    older(tmp_path)
    one = shard(tmp_path, 2)
    before = one.parked()

    told = redriven(one)

    assert (before, told, one.parked()) == ([1], ["APPLIED"], [])
    assert one.row("shipment", "demo", "S1").cells["humidity_pct"] == 61.0
    live, rebuilt = one.verify()
    assert live == rebuilt


def test_a_redriven_event_survives_recovery_from_the_journal_and_from_a_checkpoint(tmp_path):
    older(tmp_path)
    one = shard(tmp_path, 2)
    redriven(one)
    one.checkpoint()
    offer(one, event(id="e3", subject="S3"))

    found = [shard(tmp_path, 3)]
    for path in tmp_path.glob("ckpt-*"):
        path.unlink()
    found.append(shard(tmp_path, 4))

    for again in found:
        assert again.digests() == one.digests()
        assert again.parked() == []


def test_frames_with_and_without_redriven_events_are_replayed_as_one_run(tmp_path):
    one = shard(tmp_path)
    offer(one, event(id="soon", time=NOW + 2 * DAY), position(lat=99.0) | {"id": "never"})
    later = shard(tmp_path, 2, clock=lambda: NOW + 5 * DAY)

    told = redriven(later)
    offer(later, event(id="after"))

    assert told == ["APPLIED", "DUPLICATE OUT_OF_RANGE"]
    assert shard(tmp_path, 3).digests() == later.digests()


def test_a_replaced_writer_redrives_nothing(tmp_path):
    older(tmp_path)
    one = shard(tmp_path, 2)
    found = quarantined(one)
    shard(tmp_path, 3)

    with pytest.raises(Fenced):
        one.redrive(redrive.message(found, "demo", "mender"))

    assert shard(tmp_path, 4).parked() == [1]


def test_a_dry_run_journals_nothing(tmp_path):
    older(tmp_path)
    one = shard(tmp_path, 2)

    told = one.redrive(redrive.message(quarantined(one), "demo", "mender"), dry_run=True)

    assert words(tell(told)) == ["APPLIED"]
    assert (one.next, one.parked()) == (2, [1])
