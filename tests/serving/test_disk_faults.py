"""Disks that fail or are full, under a shard that serves: what its callers are told.

The faults are the system's own: a library that fails calls, a small file system that fills up.
"""

import errno
import os
import shutil
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest

from actors.disk import OsDisk
from actors.supervisor import Supervisor
from cluster.deploy import answers
from serving.client import Event
from tests.serving.lone import NOW, LoneHost, client, made, spec
from tests.serving.test_zombies import fact
from tests.system.running import until
from twin.errors import DiskFull, Retryable

SOURCE = Path(__file__).with_name("failing_sync.c")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library that fails system calls, compiled here."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to compile the faulty calls")
    built = tmp_path_factory.mktemp("library") / "failing.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", built, SOURCE, "-ldl"]
    subprocess.run(command, check=True)
    return built


@pytest.fixture
def hosts():
    with ExitStack() as stack:

        def start(**environ):
            host = LoneHost(**environ)
            stack.callback(host.kill)
            return host

        yield start


FEW = [("fdatasync", 1), ("fdatasync", 4), ("pwrite", 3)]
MANY = [(call, nth) for call in ("fdatasync", "pwrite") for nth in range(1, 9)]


@pytest.mark.parametrize(
    ("call", "nth"),
    FEW + [pytest.param(*one, marks=pytest.mark.slow) for one in MANY if one not in FEW],
)
def test_row_52_after_a_call_that_failed_the_process_ends_and_what_it_acknowledged_is_there(
    tmp_path, library, hosts, call, nth
):
    folder = made(tmp_path / ".twin")
    failing = hosts(LD_PRELOAD=str(library), FAIL_CALL=f"{call}:{nth}")
    successor, told = hosts(), []

    with suppress(ConnectionError):  # it may fail while the first segment is made
        begun = failing.begin(spec(folder, 1), 60)
        with client(folder, begun.address) as asking, pytest.raises(Retryable) as refused:  # noqa: PT012
            for number in range(20):
                told += asking.ingest([fact(f"e{number}")])
        assert refused.value.code == "SHARD_UNAVAILABLE"
    assert failing.status() == 1

    begun = successor.begin(spec(folder, 2), 60)
    with client(folder, begun.address) as asking:
        again = asking.ingest([fact(f"e{number}") for number in range(20)])
    assert [r.offset for r in again[: len(told)]] == [r.offset for r in told]
    assert {r.outcome for r in again[: len(told)]} <= {"DUPLICATE"}
    assert {r.outcome for r in again} <= {"DUPLICATE", "APPLIED", "SUPERSEDED"}


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request, tmp_path):
    """A file system of 12 MiB of its own."""
    home = tmp_path / "small"
    home.mkdir()
    if request.param == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", home]
    else:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(12 << 20)
        made_it = subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=False)
        if made_it.returncode:
            pytest.skip("no ext4 can be made here")
        command = ["mount", "-o", "loop", image, home]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no {request.param} can be mounted here: {mounted.stderr.strip()}")
    yield home
    subprocess.run(["umount", home], check=True)


def filled(home, leave=0):
    """Write a file until not one block is left, but for so many bytes."""
    (home / "left").write_bytes(bytes(leave))
    with (home / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
                    os.fsync(file.fileno())
    (home / "left").unlink()


def full(home):
    """Say whether nothing more fits."""
    try:
        (home / "probe").write_bytes(bytes(4096))
    except OSError as e:
        return e.errno == errno.ENOSPC
    finally:
        (home / "probe").unlink(missing_ok=True)
    return False


def batch(number):
    """Return some 200 KiB of events."""
    return [
        Event(
            "shipment.exception",
            "test",
            f"S{number}",
            NOW,
            {"reason": "".join(chr(97 + (number + i + j) % 26) for j in range(100))},
            f"e{number}-{i}",
            "east",
        )
        for i in range(1000)
    ]


@pytest.mark.parametrize("small", ["tmpfs"], indirect=True)
def test_row_52_a_shard_that_found_no_room_to_start_in_starts_once_there_is(small, hosts):
    folder = made(small / ".twin")
    said = []
    keeper = Supervisor(
        [spec(folder, 0)],
        OsDisk(),
        lambda _: hosts(),
        lambda routes: said.append(routes["shipment/east/0"]),
        answers,
    )
    OsDisk().make_folder(folder / "journal" / "east" / "shipment" / "0")
    OsDisk().make_folder(folder / "journal" / "supervisor")
    (folder / "journal" / "supervisor" / "epoch-1").write_bytes(b"")
    starting = threading.Thread(target=keeper.start)
    try:
        filled(small, leave=4096)  # for the supervisor's own marker
        starting.start()
        until(lambda: said and said[-1].note.startswith("DISK_FULL"), "a start without room", 60)
        (small / "filler").unlink()
        until(lambda: said[-1].state == "serving", "a start with room", 60)
    finally:
        starting.join(60)
        keeper.stop()


def test_row_52_on_a_full_disk_writes_wait_reads_go_on_and_a_successor_can_start(small, hosts):
    folder = made(small / ".twin")
    first, second = hosts(), hosts()
    begun = first.begin(spec(folder, 1), 60)
    told = []
    with client(folder, begun.address) as asking:
        told += asking.ingest([fact("a")])
        filled(small)
        with pytest.raises(DiskFull) as refused:  # noqa: PT012 - up to the next segment it writes
            for number in range(200):
                told += asking.ingest(batch(number))
        assert refused.value.code == "DISK_FULL"
        assert refused.value.retry_after > 0
        status = refused.value.__cause__
        assert status is None or status.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert asking.get("shipment", "S1").offset > 0
        assert len(told) > 1

    filled(small)
    assert full(small)
    first.kill()
    begun = second.begin(spec(folder, 2), 60)
    with client(folder, begun.address) as asking:
        assert asking.get("shipment", "S1").offset > 0
        with pytest.raises(DiskFull):
            asking.ingest([fact("b")])
        (small / "filler").unlink()
        assert asking.ingest([fact("b")])[0].outcome in {"APPLIED", "SUPERSEDED"}
        ids = [receipt.id for receipt in told]
        parts = [ids[at : at + 1000] for at in range(0, len(ids), 1000)]
        seen = [one for part in parts for one in asking.receipts("test", part)]
    assert [one.offset for one in seen] == [receipt.offset for receipt in told]
