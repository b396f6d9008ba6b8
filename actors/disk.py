"""The disk port: the few things a journal asks of a file system, one call each.

Nothing is durable before its sync: a file's bytes by `sync`, a folder's names by `sync_folder`.
Tests put a simulated disk here that crashes inside any call.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Protocol

from twin.errors import DiskFull

ZEROES = bytes(1 << 20)
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

    def create(self, path: Path, content: bytes) -> bool:
        """Make a new file, whole and durable, or return False if one is there already."""

    def replace(self, path: Path, content: bytes) -> None:
        """Put a whole, durable file in the place of another, or of none."""

    def note(self, path: Path, content: bytes) -> None:
        """Put `content` at the start of a file, in place and not synced: it may be lost."""

    def allocate(self, path: Path, size: int) -> File:
        """Make a new file of `size` zeroes, durable, and open it. Raises DiskFull."""

    def sync_file(self, path: Path) -> None: ...

    def sync_folder(self, path: Path) -> None: ...

    def remove(self, path: Path) -> None: ...


class OsFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, at: int, content: bytes) -> None:
        view = memoryview(content)
        while view:
            done = os.pwrite(self._descriptor, view, at)
            view, at = view[done:], at + done

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class OsDisk:
    def make_folder(self, path: Path) -> None:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            self.sync_folder(folder.parent.parent)  # who made the parent may have died before
            folder.mkdir(exist_ok=True)
        self.sync_folder(path.parent)

    def names(self, folder: Path) -> list[str]:
        try:
            return os.listdir(folder)
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        return os.path.exists(path)

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        with path.open("rb", 0) as file:
            file.seek(start)
            return file.read(length)

    def create(self, path: Path, content: bytes) -> bool:
        draft = self._draft(path, content)
        try:
            os.link(draft, path)  # unlike a rename, never replaces
        except FileExistsError:
            return False
        finally:
            draft.unlink()
            self.sync_folder(path.parent)
        return True

    def replace(self, path: Path, content: bytes) -> None:
        self._draft(path, content).rename(path)
        self.sync_folder(path.parent)

    def note(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.pwrite(descriptor, content, 0)
        finally:
            os.close(descriptor)

    def allocate(self, path: Path, size: int) -> File:
        try:
            return self._allocate(path, size)
        except OSError as e:
            if e.errno in NO_SPACE:
                raise DiskFull("no room for a journal segment; free disk space", 5.0) from e
            raise

    def _allocate(self, path: Path, size: int) -> File:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        file = OsFile(descriptor)
        try:
            for at in range(0, size, len(ZEROES)):
                file.write(at, ZEROES[: size - at])
            os.fsync(descriptor)
            self.sync_folder(path.parent)
        except OSError:
            file.close()
            path.unlink()
            raise
        return file

    def sync_file(self, path: Path) -> None:
        _sync(path)

    def sync_folder(self, path: Path) -> None:
        _sync(path)

    def remove(self, path: Path) -> None:
        path.unlink()

    def _draft(self, path: Path, content: bytes) -> Path:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # pids repeat between machines
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return draft


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
