"""A journal that a later version wrote is told from a damaged one, and never half applied.

The golden journals are doctored here as a later version would write them.
"""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from cluster.cli import run
from tests.actors.shards import shard
from tests.twin.histories import SHIPMENTS, SITES
from twin import frames
from twin.errors import JournalNewer

V1 = Path(__file__).parent / "v1"


def more_contracts(frame):
    return frame._replace(contracts=[*frame.contracts, "supplier.rated v1"])


def other_contracts(frame):
    return frame._replace(contracts=["supplier.rated v1", *frame.contracts[1:]])


def a_column(frame):
    return frame._replace(columns={**frame.columns, "signed": np.zeros(frame.size, np.int8)})


def a_field(frame):
    return frame._replace(columns={**frame.columns, "data.mood": np.zeros(frame.size)})


def a_reason(frame):
    reason = np.full(frame.size, 120, np.int8)
    return frame._replace(columns={**frame.columns, "reason": reason})


def a_kind(frame):
    names = next(iter(frame.names.values()), frames.column_texts(frame.columns, "id"))
    return frame._replace(names={**frame.names, "lorry": names})


def doctored(folder, tmp_path, change):
    """Return a copy of a golden journal whose last frame was changed."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    segment = sorted(copy.glob("e*/*.twj"))[-1]
    raw = segment.read_bytes()
    last = [one for one in frames.scan(memoryview(raw)) if one.frame.size][-1]
    segment.write_bytes(raw[: last.start] + change(last.frame) + bytes(16))
    return copy


def rule(folder):
    return SITES if folder.name == "site" else SHIPMENTS


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (more_contracts, "supplier.rated v1"),
        (other_contracts, "supplier.rated v1"),
        (a_column, "signed"),
        (a_field, "mood"),
        (a_reason, "reason"),
        (a_kind, "lorry"),
    ],
)
@pytest.mark.parametrize("folder", sorted(V1.iterdir()), ids=lambda folder: folder.name)
def test_a_frame_of_a_later_version_is_refused_and_says_what_is_unknown(
    tmp_path, folder, change, names
):
    copy = doctored(folder, tmp_path, lambda frame: frames.encode(change(frame)))

    with pytest.raises(JournalNewer, match=names) as error:
        shard(copy, 4, rule=rule(folder))
    assert error.value.code == "JOURNAL_NEWER"
    assert "install" in str(error.value)


def of_format(version):
    """Return what makes the bytes of a frame in another format, its checksums right."""

    def change(frame):
        raw = bytearray(frames.encode(frame))
        struct.pack_into("<H", raw, 4, version)
        check = zlib.crc32(bytes(raw[: frames.HEAD.size]))
        struct.pack_into("<I", raw, frames.HEAD.size, check)
        return bytes(raw)

    return change


def test_a_frame_of_a_later_format_is_refused_and_not_cut_off(tmp_path):
    copy = doctored(V1 / "shipment", tmp_path, of_format(2))
    before = {path: path.read_bytes() for path in copy.glob("e*/*.twj")}

    with pytest.raises(JournalNewer, match="format 2"):
        shard(copy, 4)
    assert {path: path.read_bytes() for path in before} == before
    assert not (copy / "seal-3").exists()


def test_the_offline_reader_names_a_later_format_too(tmp_path, capsys):
    home = tmp_path / "journal" / "east" / "shipment"
    home.mkdir(parents=True)
    doctored(V1 / "shipment", tmp_path, of_format(2)).rename(home / "0")

    status = run(["journal", "verify", "--all", "--folder", str(tmp_path)])

    assert status == 1
    assert "JOURNAL_NEWER: a frame has format 2" in capsys.readouterr().err


def test_a_checkpoint_of_a_later_version_is_passed_over_and_the_journal_says_it_all(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(V1 / "shipment", copy)
    plain = shard(shutil.copytree(copy, tmp_path / "plain"), 4)
    (checkpoint,) = copy.glob("ckpt-*")
    frame = frames.read(memoryview(checkpoint.read_bytes()), 0).frame
    checkpoint.write_bytes(frames.encode(more_contracts(frame)))

    one = shard(copy, 4)

    assert one.digests() == plain.digests()
    assert one.checkpoints.passed_over == [checkpoint.name]
    assert one.replayed > plain.replayed


def test_every_frame_of_this_version_is_known_to_it(tmp_path):
    for folder in V1.iterdir():
        one = shard(shutil.copytree(folder, tmp_path / folder.name), 4, rule=rule(folder))
        one.checkpoint()
        again = shard(tmp_path / folder.name, 5, rule=rule(folder))
        assert again.digests() == one.digests()
        assert again.checkpoints.passed_over == []
