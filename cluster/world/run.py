"""The world's process: `python -m cluster.world.run --folder .twin`, until it is told to end.

It tells what it does in world.json, and what it sent is written there only once all of it was
answered: killed at any moment, it begins again where nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from actors import lean
from cluster import clock, load
from cluster.expressions import EPOCH
from cluster.world.load import START_US, history
from cluster.world.replay import Replay
from serving.client import connect
from twin.errors import BadRequest, TwinError

FILE = "world.json"
SEED = 2013
TICK_S = 0.5
PATIENCE_S = 120.0  # a killed shard recovers in seconds; a twin that is gone for longer stays gone
REPLAYING, ENDED, STOPPED = "replaying", "real rows ended", "stopped"
_log = structlog.get_logger("world")


class State(msgspec.Struct, frozen=True):
    """What world.json holds. `sent`: events by source, `counts`: by outcome, of this process;
    `sim_us`: everything up to then was sent and answered. `moving`: with a synthetic position."""

    state: str
    text: str
    sim: str
    sim_us: int
    real_rows_left: int
    open: int
    moving: int
    counts: dict[str, int]
    sent: dict[str, int]
    seed: int
    pid: int
    at_us: int  # wall clock


class Stopped(Exception):
    """Raised inside a wait when the process is to end."""


class World:
    """Sends what the replay makes due, and writes down how far it came. One thread."""

    def __init__(
        self, sink: load.Sink, replay: Replay, folder: Path, stop: threading.Event
    ) -> None:
        self._sink = sink
        self._replay = replay
        self._folder = folder
        self._stop = stop
        self._counts: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._ended = False

    def tick(self, now_us: int) -> None:
        """Send everything due by `now_us`. Raises a Retryable that outlasts its patience."""
        events = self._replay.advance(now_us)
        sent = load.send(self._sink, events, patience_s=PATIENCE_S, wait=self._wait)
        self._counts.update(sent.outcomes)
        self._sent.update(event.source for event in events)
        if sent.reasons:
            _log.warning("events refused", reasons=sent.reasons)
        self.note(now_us)

    def note(self, now_us: int, stopped: bool = False) -> None:
        """Write world.json."""
        standing = self._replay.standing(now_us)
        ended = not standing.real_rows_left
        if ended and not self._ended:
            self._ended = True
            _log.info(_text(self._replay, ended))
        state = State(
            STOPPED if stopped else ENDED if ended else REPLAYING,
            _text(self._replay, ended),
            _day(now_us),
            now_us,
            standing.real_rows_left,
            standing.open,
            standing.moving,
            dict(self._counts),
            dict(self._sent),
            self._replay.seed,
            os.getpid(),
            clock.wall_us(),
        )
        draft = self._folder / f".{FILE}.{os.getpid()}"
        draft.write_bytes(msgspec.json.encode(state))
        draft.replace(self._folder / FILE)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


def read(folder: Path) -> State | None:
    """Return what world.json says, None if no world has run in `folder`."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError):
        return None


def run(
    folder: Path,
    stop: threading.Event,
    *,
    duration_s: float = 0.0,
    seed: int = SEED,
    ticked: Callable[[int], None] | None = None,
) -> None:
    """Keep the world of `folder` going until `stop` is set, or for `duration_s` if that is given.

    Raises BadRequest CLOCK_MISSING without a replay clock, and whatever ends the connection.
    """
    if clock.read(folder) is None:
        message = f"{folder} runs by the wall clock; start the demo with `twin up --demo`"
        raise BadRequest(message, "CLOCK_MISSING")
    until = time.monotonic() + duration_s if duration_s else float("inf")
    before = read(folder)
    now = clock.Clock(folder)
    replay = Replay(history().events, START_US, before.sim_us if before else START_US, seed)
    _log.info("world begins", seed=seed, since=_day(before.sim_us if before else START_US))
    at = 0
    with connect(folder, name="world") as client:
        world = World(client, replay, folder, stop)
        try:
            while not stop.is_set() and time.monotonic() < until:
                begun = time.monotonic()
                at = now.now_us()
                world.tick(at)
                if ticked:
                    ticked(at)
                stop.wait(max(0.01, TICK_S - (time.monotonic() - begun)))
        except Stopped:
            _log.info("told to end while waiting for an answer; what is unanswered is sent again")
            return
        if at:
            world.note(at, stopped=True)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM; return 0, or 1 after an error that retrying does not mend."""
    parser = ArgumentParser(prog="python -m cluster.world.run", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".twin"), help="data directory")
    parser.add_argument(
        "--duration", type=float, default=0.0, help="seconds; until told to end if 0"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the synthetic part")
    args = parser.parse_args(argv)
    lean.settled()
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        run(args.folder, stop, duration_s=args.duration, seed=args.seed)
    except TwinError as e:
        _log.error("world ends", code=e.code, cause=str(e))
        return 1
    return 0


def _text(replay: Replay, ended: bool) -> str:
    last = _day(replay.real_end_us)[:10]
    if ended:
        return f"the real rows ended on {last}; what goes on is synthetic, source demo/..."
    return (
        f"real rows until {last}; positions, temperatures and stock are synthetic, source demo/..."
    )


def _day(us: int) -> str:
    whole = EPOCH.timestamp() + us / 1_000_000
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(whole))


if __name__ == "__main__":
    sys.exit(main())
