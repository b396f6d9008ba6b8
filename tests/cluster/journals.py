"""Journals on a real disk, written by the product, for those who read them a second time."""

from __future__ import annotations

from pathlib import Path

from tests.actors.shards import named, offer, shard
from twin import frames

BROKEN = {"lat": 1000.0, "lon": 2.0}


def written(home: Path, *epochs: int) -> Path:
    """Write epochs of so many frames each, three events a frame, one in five frames parked."""
    for epoch, count in enumerate(epochs, 1):
        one = shard(home, epoch)
        for number in range(count):
            names = [f"e{epoch}-{number}-{i}" for i in range(3)]
            events = named(*names)
            offer(one, *({**e, "subject": f"S{i}"} for i, e in enumerate(events)))
            if number % 5 == 0:
                offer(one, {**named(f"bad{epoch}-{number}")[0], "data": BROKEN})
        one._journal.close()
    return home


def segments(home: Path) -> list[Path]:
    return sorted(home.glob("e*/seg-*.twj"))


def places(path: Path) -> list[tuple[int, int]]:
    """Return where the frames of a segment begin and end, as the product reads them."""
    content = memoryview(path.read_bytes())
    return [(found.start, found.end) for found in frames.scan(content)]


def flip(path: Path, byte: int, bits: int = 0x10) -> None:
    with path.open("r+b") as file:
        file.seek(byte)
        (was,) = file.read(1)
        file.seek(byte)
        file.write(bytes([was ^ bits]))
