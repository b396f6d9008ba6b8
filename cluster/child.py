"""Children: plain processes that a host starts, and starts again when they die.

Only so often: a child that dies five times in a minute is left dead, and that is said.
"""

from __future__ import annotations

import os
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from cluster.process import Process, end, identify

MOST, WITHIN_S = 5, 60.0
STEADY_S = 300.0  # without a death: the last one is no news any more


class Child:
    """One child process. `argv`: what to run; its output is appended to `log`.

    `finite`: it may end by itself, with status 0, and is then not started again.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path, *, finite: bool = False) -> None:
        self.name = name
        self.log = log
        self.finite = finite
        self.gave_up = False
        self._argv = list(argv)
        self._running: subprocess.Popen[bytes] | None = None
        self._starts: deque[float] = deque(maxlen=MOST)

    def start(self, now_s: float) -> None:
        with self.log.open("ab") as out:
            self._running = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in a terminal is the host's to handle
            )
        self._starts.append(now_s)

    @property
    def pid(self) -> int:
        return self._running.pid if self._running else 0

    @property
    def running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def steady(self, now_s: float) -> bool:
        """Whether it has run for so long that its last death is no news."""
        return self.running and now_s - self._starts[-1] > STEADY_S

    def look(self, now_s: float) -> str:
        """Start it again if it died. Return what happened in words, "" if nothing did."""
        if self.running or self.gave_up or self._running is None:
            return ""
        status = self._running.returncode
        if status == 0 and self.finite:
            self._running = None
            return ""
        if len(self._starts) == MOST and now_s - self._starts[0] < WITHIN_S:
            self.gave_up = True
            return f"{self.name} died {MOST} times in {WITHIN_S:.0f} s and is left; see {self.log}"
        self.start(now_s)
        return f"{self.name} died (status {status}) and was started again as pid {self.pid}"

    def stop(self, grace_s: float) -> None:
        """Ask it to end, kill it after `grace_s`, reap it."""
        child, self._running = self._running, None
        if child is None:
            return
        process = identify(child.pid, self.name)
        if process is not None:
            end([process], grace_s)
        child.wait()

    def process(self) -> Process | None:
        """Return it by pid and start time, for the record; None if it does not run."""
        return identify(self.pid, self.name) if self.running else None


def tail(log: Path, lines: int = 3) -> str:
    """Return the last lines of a log, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return " | ".join(text.strip().splitlines()[-lines:])
