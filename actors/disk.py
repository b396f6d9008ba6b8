"""The disk port: the few things a journal asks of a file system, one call each.

Nothing is durable before its sync: a file's bytes by `sync`, a folder's names by `sync_folder`.
Tests put a simulated disk here that crashes inside any call.
"""

from __future__ import annotations

import mmap
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from twin.errors import DiskFull

ZEROES = bytes(1 << 20)
MAPPED = 256 << 10  # bytes from which on mapping a file costs less than copying it
POPULATE = 22  # of madvise: MADV_POPULATE_READ, Linux 5.14
NO_SPACE = {28, 122}  # ENOSPC, EDQUOT


class File(Protocol):
    """A segment that is being written. Every method raises OSError when the disk does."""

    def write(self, at: int, content: bytes) -> None:
        """Put all of `content` at byte `at`, or raise."""

    def sync(self) -> None:
        """Make what was written durable (fdatasync)."""

    def close(self) -> None: ...


class Disk(Protocol):
    def make_folder(self, path: Path) -> None:
        """Have a durable folder, and durable ones above it."""

    def names(self, folder: Path) -> list[str]:
        """Return what is in a folder, or nothing if there is no such folder."""

    def exists(self, path: Path) -> bool: ...

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        """Return `length` bytes of a file from `start` on, or all that follow."""

    def view(self, path: Path, start: int, length: int) -> memoryview:
        """Return bytes of a file that never change, and never go: copied only where that helps."""

    def create(self, path: Path, content: bytes) -> bool:
        """Make a new file, whole and durable, or return False if one is there already."""

    def replace(self, path: Path, content: bytes) -> None:
        """Put a whole, durable file in the place of another, or of none."""

    def note(self, path: Path, content: bytes) -> None:
        """Put `content` at the start of a file, in place and not synced: it may be lost."""

    def allocate(self, path: Path, size: int) -> File:
        """Make a new file of `size` zeroes, durable, and open it. Raises DiskFull."""

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name right beside it, durably; nothing has that name."""

    def rewrite(self, path: Path, at: int, content: bytes) -> None:
        """Write what was read at byte `at` once more, durably.

        After a sync that failed, the system still shows bytes that are not on the disk, and its
        next sync succeeds without them (fsyncgate); only writing them again helps.
        """

    def sync_folder(self, path: Path) -> None: ...

    def remove(self, path: Path) -> None: ...


class System(Protocol):
    """The system calls that a disk makes: the module `os`, or a simulation that crashes in them."""

    def open(self, path: Path, flags: int, mode: int = ...) -> int: ...

    def close(self, fd: int) -> None: ...

    def pread(self, fd: int, length: int, offset: int) -> bytes: ...

    def pwrite(self, fd: int, content: bytes | memoryview, offset: int) -> int: ...

    def fstat(self, fd: int) -> os.stat_result: ...

    def fsync(self, fd: int) -> None: ...

    def fdatasync(self, fd: int) -> None: ...

    def link(self, source: Path, target: Path) -> None: ...

    def rename(self, source: Path, target: Path) -> None: ...

    def unlink(self, path: Path) -> None: ...

    def mkdir(self, path: Path) -> None: ...

    def listdir(self, path: Path) -> list[str]: ...

    def access(self, path: Path, mode: int) -> bool: ...


class OsFile:
    def __init__(self, system: System, descriptor: int) -> None:
        self._os = system
        self._descriptor = descriptor

    def write(self, at: int, content: bytes) -> None:
        view = memoryview(content)
        while view:
            done = self._os.pwrite(self._descriptor, view, at)
            view, at = view[done:], at + done

    def sync(self) -> None:
        self._os.fdatasync(self._descriptor)

    def close(self) -> None:
        self._os.close(self._descriptor)


class OsDisk:
    def __init__(self, system: System = os) -> None:
        self._os = system

    def make_folder(self, path: Path) -> None:
        missing = [folder for folder in (path, *path.parents) if not self.exists(folder)]
        for folder in reversed(missing):
            self.sync_folder(folder.parent.parent)  # who made the parent may have died before
            with suppress(FileExistsError):
                self._os.mkdir(folder)
        self.sync_folder(path.parent)

    def names(self, folder: Path) -> list[str]:
        try:
            return self._os.listdir(folder)
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        return self._os.access(path, os.F_OK)

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        descriptor = self._os.open(path, os.O_RDONLY)
        try:
            left = length if length >= 0 else self._os.fstat(descriptor).st_size - start
            pieces: list[bytes] = []
            while left > 0 and (piece := self._os.pread(descriptor, left, start)):
                pieces.append(piece)
                start, left = start + len(piece), left - len(piece)
        finally:
            self._os.close(descriptor)
        return b"".join(pieces)

    def view(self, path: Path, start: int, length: int) -> memoryview:
        if self._os is not os or length < MAPPED:
            return memoryview(self.read(path, start, length))
        descriptor = os.open(path, os.O_RDONLY)
        try:
            length = max(0, min(length, os.fstat(descriptor).st_size - start))
            lead = start % mmap.ALLOCATIONGRANULARITY
            pages = mmap.mmap(descriptor, lead + length, prot=mmap.PROT_READ, offset=start - lead)
            pages.madvise(POPULATE)  # a disk that fails says so here, and ends no process later
        except (OSError, ValueError):
            return memoryview(self.read(path, start, length))
        finally:
            os.close(descriptor)
        return memoryview(pages)[lead:]

    def create(self, path: Path, content: bytes) -> bool:
        draft = self._draft(path, content)
        try:
            self._os.link(draft, path)  # unlike a rename, never replaces
        except FileExistsError:
            return False
        finally:
            self._os.unlink(draft)
            self.sync_folder(path.parent)
        return True

    def replace(self, path: Path, content: bytes) -> None:
        self._os.rename(self._draft(path, content), path)
        self.sync_folder(path.parent)

    def note(self, path: Path, content: bytes) -> None:
        descriptor = self._os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            OsFile(self._os, descriptor).write(0, content)
        finally:
            self._os.close(descriptor)

    def allocate(self, path: Path, size: int) -> File:
        try:
            return self._allocate(path, size)
        except OSError as e:
            if e.errno in NO_SPACE:
                raise DiskFull("no room for a journal segment; free disk space", 5.0) from e
            raise

    def rename(self, source: Path, target: Path) -> None:
        self._os.rename(source, target)
        self.sync_folder(target.parent)

    def rewrite(self, path: Path, at: int, content: bytes) -> None:
        descriptor = self._os.open(path, os.O_WRONLY)
        try:
            OsFile(self._os, descriptor).write(at, content)
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def sync_folder(self, path: Path) -> None:
        self._sync(path)

    def remove(self, path: Path) -> None:
        self._os.unlink(path)

    def _allocate(self, path: Path, size: int) -> File:
        descriptor = self._os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        file = OsFile(self._os, descriptor)
        try:
            for at in range(0, size, len(ZEROES)):
                file.write(at, ZEROES[: size - at])
            self._os.fsync(descriptor)
            self.sync_folder(path.parent)
        except OSError:
            file.close()
            self._os.unlink(path)
            raise
        return file

    def _draft(self, path: Path, content: bytes) -> Path:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # pids repeat between machines
        descriptor = self._os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            OsFile(self._os, descriptor).write(0, content)
            self._os.fsync(descriptor)
        except OSError:
            self._os.unlink(draft)
            raise
        finally:
            self._os.close(descriptor)
        return draft

    def _sync(self, path: Path) -> None:
        descriptor = self._os.open(path, os.O_RDONLY)
        try:
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)
