"""A simulated operating system under the real disk: it forgets what was never synced.

Bytes and names are durable only after their sync. A power cut keeps any subset of the rest, by
sectors and by names; it can come inside every call. A failed sync drops what it should have kept.
"""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

SECTOR = 64  # bytes that reach the disk together; small, so that frames tear


class Crash(BaseException):
    """The power is gone. No except clause of the project may catch it."""


class Node:
    """A file: what is read from it, what is on the disk, and writes in between."""

    def __init__(self, content=b""):
        self.now = bytearray(content)
        self.durable = bytes(content)
        self.pending = []  # (at, bytes)

    def write(self, at, content):
        self.now.extend(bytes(max(0, at + len(content) - len(self.now))))
        self.now[at : at + len(content)] = content
        self.pending.append((at, bytes(content)))

    def sync(self):
        self.durable = laid(self.durable, self.pending)
        self.pending = []

    def lose(self, rng):
        kept = []
        for at, content in self.pending:
            for start in range(0, len(content), SECTOR):
                if rng.random() < 0.5:
                    kept.append((at + start, content[start : start + SECTOR]))
        self.durable = laid(self.durable, kept)
        self.now, self.pending = bytearray(self.durable), []


def laid(base, writes):
    end = max([len(base), *(at + len(content) for at, content in writes)])
    out = bytearray(base.ljust(end, b"\0"))
    for at, content in writes:
        out[at : at + len(content)] = content
    return bytes(out)


class Folder:
    """Names: what is seen, what is on the disk, and changes in between."""

    def __init__(self):
        self.now, self.durable, self.pending = {}, {}, []

    def change(self, **names):
        """Set or, with None, remove names: all of one change reach the disk together."""
        self.pending.append(names)
        put(self.now, names)

    def sync(self):
        for names in self.pending:
            put(self.durable, names)
        self.pending = []

    def lose(self, rng):
        for names in self.pending:
            if rng.random() < 0.5:
                put(self.durable, names)
        self.now, self.pending = dict(self.durable), []


def put(folder, names):
    for name, node in names.items():
        if node is None:
            folder.pop(name, None)
        else:
            folder[name] = node


class SimOs:
    """The calls of `os` that a disk makes. `room`: how many bytes its files may have."""

    def __init__(self, rng, room=1 << 40):
        self.root = Folder()
        self.left = None  # calls until the power goes
        self.calls = 0
        self.faults = {}  # name of a call -> (how many go well before, errno)
        self.hit = 0  # faults and cuts that happened
        self.room = room
        self.on_call = lambda name, path: None
        self._rng = rng
        self._dead = False
        self._open = {}

    def power_cut(self):
        """Lose what was not synced, and every process."""
        self._each(self.root, lambda node: node.lose(self._rng))
        self.revive()

    def revive(self):
        """Start anew after all processes died; what was written is still there."""
        self._dead, self.left, self._open, self.faults = False, None, {}, {}

    def file(self, path):
        """Return the node of a path, to damage it."""
        return self._node(path)

    def open(self, path, flags, mode=0o777):
        self._call("open", path)
        folder, name = self._parent(path)
        node = folder.now.get(name) if name else folder
        if node is not None and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "there", str(path))
        if node is None and not flags & os.O_CREAT:
            raise FileNotFoundError(errno.ENOENT, "not there", str(path))
        if node is None:
            node = Node()
            folder.change(**{name: node})
        descriptor = self.calls
        self._open[descriptor] = node, path
        return descriptor

    def close(self, fd):
        if not self._dead:
            self._open.pop(fd, None)

    def pread(self, fd, length, offset):
        self._call("pread", self._path(fd))
        return bytes(self._at(fd).now[offset : offset + length])

    def pwrite(self, fd, content, offset):
        node = self._at(fd)
        try:
            self._call("pwrite", self._path(fd))
        except Crash:
            node.write(offset, bytes(content[: self._rng.randrange(len(content) + 1)]))
            raise
        grown = max(0, offset + len(content) - len(node.now))
        if grown > self.room:
            content = content[: max(0, len(content) - grown + self.room)]
            if not content:
                raise OSError(errno.ENOSPC, "no room")
            grown = self.room
        elif len(content) > 1 and self._rng.random() < 0.1:
            content = content[: len(content) // 2]  # a short write is no error
            grown = max(0, offset + len(content) - len(node.now))
        self.room -= grown
        node.write(offset, bytes(content))
        return len(content)

    def fstat(self, fd):
        return SimpleNamespace(st_size=len(self._at(fd).now))

    def fsync(self, fd):
        node = self._at(fd)
        try:
            self._call("fsync", self._path(fd))
        except OSError:
            if isinstance(node, Node):
                node.pending = []  # the pages are dropped: a later sync succeeds without them
            raise
        node.sync()

    fdatasync = fsync

    def link(self, source, target):
        self._call("link", target)
        folder, name = self._parent(target)
        if name in folder.now:
            raise FileExistsError(errno.EEXIST, "there", str(target))
        folder.change(**{name: self._node(source)})

    def rename(self, source, target):
        self._call("rename", target)
        folder, name = self._parent(target)
        folder.change(**{Path(source).name: None, name: self._node(source)})

    def unlink(self, path):
        self._call("unlink", path)
        folder, name = self._parent(path)
        if name not in folder.now:
            raise FileNotFoundError(errno.ENOENT, "not there", str(path))
        folder.change(**{name: None})

    def mkdir(self, path):
        self._call("mkdir", path)
        folder, name = self._parent(path)
        if name in folder.now:
            raise FileExistsError(errno.EEXIST, "there", str(path))
        folder.change(**{name: Folder()})

    def listdir(self, path):
        self._call("listdir", path)
        return list(self._node(path).now)

    def access(self, path, mode):
        self._call("access", path)
        try:
            self._node(path)
        except FileNotFoundError:
            return False
        return True

    def _call(self, name, path):
        """Count a call; cut the power or fail it when its turn has come."""
        if self._dead:
            raise Crash
        self.on_call(name, path)
        self.calls += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self._dead = True
                self.hit += 1
                raise Crash
        if name in self.faults:
            well, code = self.faults[name]
            self.faults[name] = well - 1, code
            if well <= 0:
                del self.faults[name]
                self.hit += 1
                raise OSError(code, os.strerror(code), str(path))

    def _at(self, fd):
        if fd not in self._open:
            raise Crash if self._dead else OSError(errno.EBADF, "a process that died had it open")
        return self._open[fd][0]

    def _path(self, fd):
        return self._open[fd][1]

    def _node(self, path):
        node = self.root
        for part in Path(path).parts[1:]:
            if not isinstance(node, Folder) or part not in node.now:
                raise FileNotFoundError(errno.ENOENT, "not there", str(path))
            node = node.now[part]
        return node

    def _parent(self, path):
        path = Path(path)
        return (self.root, "") if path == path.parent else (self._node(path.parent), path.name)

    def _each(self, folder, act):
        act(folder)
        for node in folder.now.values():
            if isinstance(node, Folder):
                self._each(node, act)
            else:
                act(node)
