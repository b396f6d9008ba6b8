"""What the command line says of derived facts under way, and of journals that note their cursor."""

import pytest

from cluster.cli import run
from serving.client import Event
from tests.serving.several import NOW, several
from tests.system.running import until
from twin.contracts import DAY_US

SENDER = "shipment/east/0"


@pytest.fixture
def twin(tmp_path):
    with several(tmp_path / "twin", shards=1) as twin:
        twin.begin("supplier", "east", 0, 1)
        yield twin


def deliver(twin):
    """Have one shipment delivered for a supplier whom nobody registered."""
    order = {"supplier": "ACME", "site": "W1", "country": "NG", "product_group": "ARV"}
    order |= {"product": "Efavirenz", "quantity": 40}
    at = NOW - DAY_US
    events = [
        Event("shipment.ordered", "test", "S1", at, order, "o", "east"),
        Event("shipment.delivered", "test", "S1", at, {}, "d", "east"),
    ]
    with twin.client() as client:
        client.ingest(events)
    surface = twin.surface(SENDER)
    until(
        lambda: (surface.delivery.courier.homeless, surface.shard.outbox_waiting) == (1, 1),
        "the supplier to be looked for in vain, and the rest to arrive",
        20,
    )


def test_status_says_what_is_under_way_and_for_whom(twin, capsys):
    deliver(twin)

    run(["status", "--folder", str(twin.folder)])

    said = capsys.readouterr().out
    assert "shipment/east/0: 1 derived facts under way, 1 for suppliers nobody registered" in said


def test_a_journal_that_notes_its_cursor_is_whole(twin, capsys):
    deliver(twin)
    journal = twin.surface(SENDER).shard._journal
    until(
        lambda: any("outbox.cursor" in frame.columns for frame in journal.scan()),
        "the cursor to be journaled",
        20,
    )

    status = run(["journal", "verify", SENDER, "--folder", str(twin.folder)])

    assert status == 0, capsys.readouterr()


def test_nobody_is_given_a_name_of_the_twins_own(twin, capsys):
    words = ["token", "--name", "twin/outbox", "--scope", "write", "--folder", str(twin.folder)]

    assert run(words) == 2
    assert "take another" in capsys.readouterr().err
