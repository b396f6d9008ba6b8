"""Journals that released versions wrote are replayed on each change, to the same digests."""

import json
import shutil
from pathlib import Path

import pytest

from tests.actors.shards import shard
from tests.twin.histories import SHIPMENTS, SITES

GOLDEN = sorted(path.parent for path in Path(__file__).parent.glob("v*/*/expected.json"))
NAMES = ["/".join(path.parts[-2:]) for path in GOLDEN]


@pytest.mark.parametrize("with_checkpoint", [True, False], ids=["checkpoint", "journal alone"])
@pytest.mark.parametrize("folder", GOLDEN, ids=NAMES)
def test_a_released_journal_is_replayed_to_its_digests(tmp_path, folder, with_checkpoint):
    shutil.copytree(folder, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("ckpt-*"):
        if not with_checkpoint:
            path.unlink()
    expected = json.loads((folder / "expected.json").read_text())
    one = shard(tmp_path / "copy", 4, rule=SITES if folder.name == "site" else SHIPMENTS)

    counts = {name: one.outcomes()[name] for name in ("APPLIED", "SUPERSEDED", "PARKED")}
    assert {**one.digests()._asdict(), **counts} == expected
    assert one.replayed < expected["offset"] if with_checkpoint else one.replayed


def test_there_is_a_golden_journal_of_each_kind_of_shard_that_is_tested():
    assert {path.name for path in GOLDEN} >= {"shipment", "site"}
