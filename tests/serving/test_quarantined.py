"""Journals that nobody may go on with: the shard is quarantined with its reason, not a loop."""

from contextlib import ExitStack

import pytest

from actors.disk import OsDisk
from actors.supervisor import Supervisor
from cluster.deploy import answers
from serving import faults
from tests.actors.shards import named, offer, shard
from tests.journals.test_newer import more_contracts
from tests.serving.lone import LoneHost, made, spec
from twin import frames
from twin.errors import JournalCorrupt, JournalNewer


def flipped(raw):
    """Return a journal with one wrong bit in its first frame."""
    return raw[:200] + bytes([raw[200] ^ 1]) + raw[201:]


def cut(raw):
    """Return a journal that ends before what was acknowledged."""
    return raw[: next(frames.scan(memoryview(raw))).end]


def newer(raw):
    """Return a journal whose last frame a later version wrote."""
    last = list(frames.scan(memoryview(raw)))[-1]
    return raw[: last.start] + frames.encode(more_contracts(last.frame))


@pytest.mark.parametrize(
    ("damage", "error"),
    [(flipped, JournalCorrupt), (cut, JournalCorrupt), (newer, JournalNewer)],
)
def test_row_52_a_journal_that_cannot_be_read_quarantines_its_shard_at_once(
    tmp_path, damage, error
):
    folder = made(tmp_path / ".twin")
    home = folder / "journal" / "east" / "shipment" / "0"
    one = shard(home)
    for number in range(3):
        offer(one, *named(f"e{number}"))
    one._journal.close()
    (segment,) = home.glob("e1/seg-*.twj")
    segment.write_bytes(damage(segment.read_bytes()))
    started, said = [], []
    with ExitStack() as stack:

        def launch(_):
            started.append(LoneHost())
            stack.callback(started[-1].kill)
            return started[-1]

        def publish(routes):
            said.append(routes["shipment/east/0"])

        keeper = Supervisor([spec(folder, 0)], OsDisk(), launch, publish, answers)
        keeper.start()
        keeper.stop()

    told = said[-1]
    assert (told.state, told.address, len(started)) == ("quarantined", "", 1)
    assert told.note.startswith(f"{error.code}: ")
    answer = faults.quarantined("shipment/east/0", told.note)
    assert isinstance(answer, error)
