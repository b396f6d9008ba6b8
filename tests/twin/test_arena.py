"""Arenas take the memory that is written, and no more."""

import sys
from pathlib import Path

import numpy as np
import pytest

from twin.arena import HUGE, LEAST, untouched

MIB = 1 << 20


def resident():
    """Return the bytes that this process alone has in memory."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))


@pytest.mark.parametrize("size", [0, 8, LEAST, 2 * LEAST, HUGE])
def test_an_arena_is_of_zeroes_and_can_be_written(size):
    arena = untouched((2, size // 16), np.int64)

    assert arena.shape == (2, size // 16)
    assert not arena.any()
    arena[:1] = 7
    assert arena[0].all()
    assert not arena[1].any()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is in memory")
def test_what_is_never_written_takes_no_memory_and_what_is_freed_is_given_back():
    before = resident()
    arena = untouched(64 * MIB, np.uint8)
    assert resident() - before < 16 * MIB

    arena[: 48 * MIB] = 1
    assert resident() - before > 32 * MIB

    del arena
    assert resident() - before < 16 * MIB
