"""Figures: what a benchmark says, and how it is set beside a peer or a bare limit.

A ratio is the project's median over the other's, of runs that took turns on one machine; without
a sound other there is no ratio.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SOUND = 0.7  # of the figure that a peer is known for: below that it was disturbed
Run = Callable[[], float]


class Beside(NamedTuple):
    """Runs of something else in the same unit. `known`: its rate when undisturbed; 0: no such."""

    name: str
    runs: list[float]
    known: float = 0.0


class Figure(NamedTuple):
    """One line of a benchmark: its runs, and what they are compared with."""

    bench: str
    case: str
    unit: str
    runs: list[float]
    peer: Beside | None = None
    limit: Beside | None = None

    def line(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        ours = statistics.median(self.runs)
        return {
            "bench": self.bench,
            "case": self.case,
            "unit": self.unit,
            "runs": [_short(run) for run in self.runs],
            "median": _short(ours),
            "peer": _compared(ours, self.peer),
            "limit": _compared(ours, self.limit),
            "machine": machine(),
        }


class Asked(NamedTuple):
    """What to measure, how long, and where its files go."""

    case: str  # "" for all
    seconds: float  # a run takes at least
    repeats: int
    events: int  # a run offers at least; 0: as many as the seconds take
    twins: int  # 0: as many as the case is about
    folder: Path
    say: Callable[[str], None]  # progress
    note: Callable[[str], None]  # what a reader of the figures must know

    def wants(self, case: str) -> bool:
        return self.case in {"", case}


class Sizes(NamedTuple):
    """How large a peer's own job is; as measured, unless a test asks for less."""

    events: int = 100_000
    entities: int = 20_000


def take_turns(
    asked: Asked, what: str, ours: Run, other: Run | None = None
) -> tuple[list[float], list[float]]:
    """Run both by turns, `repeats` times each; return their figures."""
    mine, others = [], []
    for turn in range(1, asked.repeats + 1):
        if other is not None:
            asked.say(f"{what}: run {turn} of {asked.repeats}, the other")
            others.append(other())
        asked.say(f"{what}: run {turn} of {asked.repeats}")
        mine.append(ours())
    return mine, others


def disturbed(beside: Beside) -> bool:
    """Say whether it ran too slowly to be compared with."""
    return statistics.median(beside.runs) < SOUND * beside.known


def counted(n: int) -> str:
    """Return a count as cases are named: 1M, 200k."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if n >= size:
            return f"{n / size:g}{unit}"
    return str(n)


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages * page / 2**30, 1),
        "load1": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def told(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Return the rows of a table: case, unit, median, runs, against what, its runs, ratio."""
    rows: list[tuple[str, ...]] = []
    for figure in figures:
        line = figure.line()
        other = figure.peer or figure.limit
        said = line["peer"] or line["limit"]
        ratio = said["ratio"] if said else None
        rows.append(
            (
                figure.case,
                figure.unit,
                _text(line["median"]),
                " ".join(map(_text, line["runs"])),
                other.name if other else "-",
                " ".join(map(_text, other.runs)) if other else "-",
                f"{ratio:.2f}" if ratio is not None else "-",
            )
        )
    return rows


def _compared(ours: float, beside: Beside | None) -> dict[str, Any] | None:
    if beside is None or not beside.runs:
        return None
    theirs = statistics.median(beside.runs)
    sound = theirs > 0 and not disturbed(beside)
    ratio = float(f"{ours / theirs:.4g}") if sound else None
    return {"name": beside.name, "median": _short(theirs), "ratio": ratio}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _text(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.4g}"
