"""Readers beside a writer that never rests: a snapshot is of one moment, however it is read."""

import threading

import numpy as np
import pytest

from tests.actors.shards import shard
from tests.twin.histories import T0, event, message
from twin.query import View

TWINS, BATCH = 300, 60
MOMENTS = 8  # that are looked at
FILTER = "lat > 0 AND lon > 0 AND lat < 40"


@pytest.fixture
def hammered(tmp_path):
    """A shard whose twins move all the time, always to places of which lon is twice lat."""
    one, over = shard(tmp_path), threading.Event()
    draw = np.random.default_rng(5)

    def offer(number, twins):
        lats = draw.integers(-80, 80, len(twins)).tolist()
        one.offer(
            [
                message(
                    *(
                        event(
                            id=f"e{number}-{twin}",
                            subject=f"S{twin}",
                            time=T0 + number,
                            data={"lat": float(lat), "lon": float(2 * lat)},
                        )
                        for twin, lat in zip(twins, lats, strict=True)
                    )
                )
            ]
        )

    def write():
        number = 0
        while not over.is_set():
            number += 1
            offer(number, draw.integers(0, TWINS, BATCH).tolist())

    offer(0, list(range(TWINS)))
    thread = threading.Thread(target=write)
    thread.start()
    yield one
    over.set()
    thread.join()


def test_no_snapshot_is_ever_torn(hammered):
    offsets = []
    while len(set(offsets)) < MOMENTS:
        snapshot = hammered.snapshot()
        table = snapshot.tables["shipment"]
        view = View(snapshot, "shipment", "demo", "east", T0)
        rows = np.arange(TWINS)
        lat, lon = table.column("lat"), table.take("lon", rows)
        at = table.column("position.offset")
        found, head, _ = table.gather("head", rows, 0)
        matching = view.rows(FILTER)

        assert np.array_equal(lon, 2 * lat)
        assert np.array_equal(matching, np.flatnonzero((lat > 0) & (lat < 40)))
        assert np.array_equal(table.column("lat"), lat)
        assert np.array_equal(found.read("head"), head)
        assert max(at.max(), head.max()) < snapshot.offset
        assert head.max() == snapshot.offset - 1
        offsets.append(snapshot.offset)
    assert offsets == sorted(offsets)


def test_what_is_lent_is_of_one_moment(hammered):
    def look(snapshot):
        table = snapshot.tables["shipment"]
        lat = table.column("lat").copy()
        return snapshot.offset, lat, table.column("lon").copy(), int(table.column("head").max())

    offsets = set()
    while len(offsets) < MOMENTS:
        offset, lat, lon, newest = hammered.lend(look)

        assert np.array_equal(lon, 2 * lat)
        assert newest == offset - 1
        offsets.add(offset)


def test_a_snapshot_is_the_same_until_something_is_written(tmp_path):
    one = shard(tmp_path)
    one.offer([message(event())])
    first = one.snapshot()

    assert one.snapshot() is first
    one.offer([message(event(id="e2", time=T0 + 1, data={"lat": 7.0, "lon": 8.0}))])

    assert one.snapshot() is not first
    assert first.tables["shipment"].column("lat").tolist() == [1.0]
    assert one.snapshot().tables["shipment"].column("lat").tolist() == [7.0]
