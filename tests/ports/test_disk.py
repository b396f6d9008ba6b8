"""The disk port: what every disk promises, the real one and the simulated one alike."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from actors.disk import OsDisk
from tests.ports.sim_disk import Crash, SimOs
from twin.errors import DiskFull


@pytest.fixture(params=["real", "simulated"])
def disk_and_folder(request, tmp_path, rng):
    if request.param == "real":
        return OsDisk(), tmp_path
    return OsDisk(SimOs(rng)), Path("/")


@pytest.fixture
def disk(disk_and_folder):
    return disk_and_folder[0]


@pytest.fixture
def folder(disk_and_folder):
    return disk_and_folder[1]


def test_a_folder_is_made_with_those_above_it_and_may_be_there(disk, folder):
    for _ in range(2):
        disk.make_folder(folder / "a" / "b" / "c")

    assert disk.names(folder / "a" / "b") == ["c"]
    assert disk.names(folder / "a" / "b" / "c") == []
    assert disk.names(folder / "nowhere") == []


def test_a_file_is_created_once(disk, folder):
    assert disk.create(folder / "f", b"first")
    assert not disk.create(folder / "f", b"second")

    assert disk.read(folder / "f") == b"first"
    assert disk.names(folder) == ["f"]  # no draft is left behind


def test_a_file_is_replaced_whole(disk, folder):
    for content in (b"a long first one", b"b"):
        disk.replace(folder / "f", content)

    assert disk.read(folder / "f") == b"b"
    assert disk.names(folder) == ["f"]


def test_a_part_of_a_file_is_read(disk, folder):
    disk.replace(folder / "f", b"0123456789")

    assert disk.read(folder / "f", 3, 4) == b"3456"
    assert disk.read(folder / "f", 8) == b"89"
    assert disk.read(folder / "f", 8, 100) == b"89"
    assert disk.read(folder / "f", 50, 1) == b""


def test_a_note_is_put_at_the_start_of_its_file(disk, folder):
    for content in (b"aaaa", b"bb"):
        disk.note(folder / "f", content)

    assert disk.read(folder / "f") == b"bbaa"


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) + 5])
def test_a_segment_is_zeroes_until_it_is_written(disk, folder, size):
    file = disk.allocate(folder / "f", size)
    assert disk.read(folder / "f") == bytes(size)

    file.write(2, b"xyz")
    file.sync()
    file.close()
    assert disk.read(folder / "f", 0, 6) == b"\0\0xyz\0"[: max(size, 5)]


def test_a_segment_is_made_once(disk, folder):
    disk.allocate(folder / "f", 8)

    with pytest.raises(FileExistsError):
        disk.allocate(folder / "f", 8)


def test_what_is_removed_is_gone(disk, folder):
    disk.create(folder / "f", b"x")
    assert disk.exists(folder / "f")
    disk.remove(folder / "f")

    assert not disk.exists(folder / "f")
    with pytest.raises(FileNotFoundError):
        disk.read(folder / "f")


def test_no_room_is_said_and_leaves_nothing_behind(rng):
    system = SimOs(rng, room=10_000)
    disk = OsDisk(system)

    with pytest.raises(DiskFull) as full:
        disk.allocate(Path("/f"), 20_000)
    assert full.value.retry_after > 0
    assert disk.names(Path("/")) == []


def test_a_full_filesystem_is_said_by_the_real_disk_too(tmp_path):
    class Full:
        def __getattr__(self, name):
            return getattr(os, name)

        def pwrite(self, *_):
            raise OSError(errno.ENOSPC, "no room")

    with pytest.raises(DiskFull):
        OsDisk(Full()).allocate(tmp_path / "f", 100)
    assert os.listdir(tmp_path) == []


ACTS = {
    "make_folder": lambda disk: disk.make_folder(Path("/a/b")),
    "create": lambda disk: disk.create(Path("/f"), b"x" * 200),
    "replace": lambda disk: disk.replace(Path("/old"), b"y" * 200),
    "allocate": lambda disk: disk.allocate(Path("/s"), 300),
}
AFTER = {
    "make_folder": lambda disk: disk.exists(Path("/a/b")),
    "create": lambda disk: disk.exists(Path("/f")) and disk.read(Path("/f")) == b"x" * 200,
    "replace": lambda disk: disk.read(Path("/old")) == b"y" * 200,
    "allocate": lambda disk: disk.exists(Path("/s")) and disk.read(Path("/s")) == bytes(300),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_a_call_returned_from_survives_a_power_cut(rng, act):
    for _ in range(50):
        system = SimOs(rng)
        disk = OsDisk(system)
        disk.replace(Path("/old"), b"o" * 200)
        ACTS[act](disk)
        system.power_cut()

        assert AFTER[act](disk)


@pytest.mark.parametrize("act", ACTS)
def test_a_power_cut_inside_any_call_leaves_all_or_nothing_under_a_final_name(rng, act):
    cuts = 0
    for left in range(40):
        for _ in range(10):
            system = SimOs(rng)
            disk = OsDisk(system)
            disk.replace(Path("/old"), b"o" * 200)
            system.left = left
            try:
                ACTS[act](disk)
            except Crash:
                cuts += 1
            system.power_cut()
            if disk.exists(Path("/f")):
                assert disk.read(Path("/f")) == b"x" * 200
            assert disk.read(Path("/old")) in {b"o" * 200, b"y" * 200}

    assert cuts >= 30


@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "rename", "link"])
def test_a_call_that_fails_is_an_error_and_leaves_no_draft(rng, call):
    for well in range(4):
        system = SimOs(rng)
        disk = OsDisk(system)
        disk.create(Path("/old"), b"o")
        for act in (ACTS["replace"], ACTS["create"]):
            system.faults = {call: (well, errno.EIO)}
            with suppress(OSError):
                act(disk)
        system.revive()
        assert disk.read(Path("/old")) in {b"o", b"y" * 200}


def test_bytes_that_were_not_synced_are_lost_in_any_subset(rng):
    seen = set()
    for _ in range(200):
        system = SimOs(rng)
        disk = OsDisk(system)
        file = disk.allocate(Path("/s"), 256)
        file.write(0, b"x" * 256)
        system.power_cut()
        seen.add(disk.read(Path("/s")))

    assert {bytes(256), b"x" * 256} < seen
    assert len(seen) >= 8


def test_a_failed_sync_drops_the_pages_and_the_next_one_succeeds_without_them(rng):
    system = SimOs(rng)
    disk = OsDisk(system)
    file = disk.allocate(Path("/s"), 4)
    file.write(0, b"lost")
    system.faults = {"fsync": (0, errno.EIO)}
    with pytest.raises(OSError, match="error"):
        file.sync()
    file.sync()

    assert disk.read(Path("/s")) == b"lost"
    system.power_cut()
    assert disk.read(Path("/s")) == bytes(4)


@pytest.mark.parametrize("start", [0, 1, 4096, 300_001])
def test_a_view_of_a_file_is_what_is_read_of_it(disk, folder, start):
    content = bytes(range(256)) * 4096
    disk.replace(folder / "file", content)

    for length in (0, 10, 400_000, len(content)):
        assert bytes(disk.view(folder / "file", start, length)) == content[start:][:length]
    with pytest.raises(FileNotFoundError):
        disk.view(folder / "nowhere", 0, 1 << 20)


def test_a_view_outlives_its_file(disk, folder):
    content = bytes(range(256)) * 4096
    disk.replace(folder / "file", content)

    view = disk.view(folder / "file", 5, 1 << 19)
    disk.remove(folder / "file")

    assert bytes(view) == content[5:][: 1 << 19]
