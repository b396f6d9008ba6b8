"""A process that fails the N-th system call of a shard, for N = 1.. until none is hit.

    python -m tests.actors.failing FOLDER CALL once|always write|start

Each N has a journal of its own and a forked process that writes, or starts, with the fault; it
tells what was acknowledged through a pipe and ends as a shard does. Then a sound process recovers
from the real files. Prints, as JSON, how many faults happened and what was lost.
"""

import errno
import json
import os
import struct
import sys
from pathlib import Path

from actors import journal_file
from actors.disk import OsDisk
from tests.actors.shards import claimed, firsts, named, offer, shard
from twin.errors import DiskFull, JournalFailed

EVENTS = 9


class Failing:
    """The module `os`, of which one call fails from the `nth` on, once or always."""

    def __init__(self, call, nth, code, always):
        self._left, self._code, self._always = nth, code, always
        self.hit = 0
        setattr(self, call, lambda *args: self._fail(getattr(os, call), args))

    def __getattr__(self, name):
        return getattr(os, name)

    def _fail(self, call, args):
        self._left -= 1
        if self._left == 0 or (self._left < 0 and self._always):
            self.hit += 1
            raise OSError(self._code, os.strerror(self._code))
        return call(*args)


def write(folder, system, pipe):
    one = shard(folder, 1, disk=OsDisk(system))
    for number in range(EVENTS):
        try:
            ((_, _, at),) = offer(one, *named(f"e{number}"))
        except DiskFull:
            continue
        os.write(pipe, struct.pack("<q", at))
        if number == EVENTS // 2:
            one.checkpoint()


def start(folder, system, pipe):
    """Write without a fault, then start anew under one."""
    write(folder, os, pipe)
    shard(folder, 2, disk=OsDisk(system))


def forked(folder, act, system):
    """Run `act` in a process of its own; return the offsets it told, and whether a fault hit."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            act(folder, system, writing)
        except (JournalFailed, OSError, DiskFull):
            status = 1
        finally:
            os._exit(status + 2 * bool(system.hit))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return [at for (at,) in struct.iter_unpack("<q", told)], status


def main():
    folder, call, often, name = Path(sys.argv[1]), *sys.argv[2:]
    journal_file.SMALLEST = 4096
    act = {"write": write, "start": start}[name]
    faults = lost = ended = 0
    for nth in range(1, 1000):
        home = folder / str(nth)
        told, status = forked(home, act, Failing(call, nth, errno.EIO, often == "always"))
        ended += status & 1
        epochs = [int(path.name[6:]) for path in home.glob("epoch-*")]
        again = claimed(home, max(epochs, default=0) + 1)
        found = firsts(again)
        lost += found[: len(told)] != told or found != list(range(len(found)))
        lost += len(found) > EVENTS
        if not status & 2:
            break
        faults += 1
    told = {"faults": faults, "ended": ended, "lost": lost, "hit": status & 2}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
