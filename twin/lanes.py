"""Lanes: how late each lane has been, counted from deliveries already recorded.

A row is in a table only if its delivery was recorded before the table's cut: whoever reads
the table at the cut, or later, never sees an outcome that was not known then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.kinds import ABSENT

Columns = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]

DAY_US = 86_400_000_000
STATS = ("p10", "p50", "p90", "late", "count")
# From fine to coarse. The last level answers whatever the others do not know.
LEVELS: dict[str, tuple[str, ...]] = {
    "lane": ("supplier", "country", "mode"),
    "country_mode": ("country", "mode"),
    "country": ("country",),
    "all": (),
}
# Not part of the back-off: statistics of one text alone, read by the features.
SIDES: dict[str, tuple[str, ...]] = {
    "supplier": ("supplier",),
    "origin": ("origin",),
    "product_group": ("product_group",),
}
LEAST = 3  # fewer deliveries than this say nothing about a tail: the next coarser level answers


class Level(NamedTuple):
    """Statistics by key. `rows`: key -> row of `stats`, shape (m, 5), columns as in STATS."""

    by: tuple[str, ...]
    rows: dict[tuple[str, ...], int]
    stats: Floats


class Lanes(NamedTuple):
    """`cut_us`: outcomes recorded from then on are not in here."""

    cut_us: int
    levels: dict[str, Level]

    def __len__(self) -> int:
        return len(self.levels["lane"].rows)


class Found(NamedTuple):
    """What a look-up gives per row. `stats`: (n, 5), NaN (count 0) where nothing is known;
    `depth`: (n,), index into LEVELS of the level that answered, len(LEVELS) for none."""

    stats: Floats
    depth: npt.NDArray[np.int64]


def delay_days(delivered_at: npt.NDArray[np.int64], promised_at: npt.NDArray[np.int64]) -> Floats:
    """Whole days from the promised day to the day of delivery; NaN where either is absent."""
    known = (delivered_at != ABSENT) & (promised_at != ABSENT)
    delay = np.full(len(known), np.nan)
    delay[known] = delivered_at[known] // DAY_US - promised_at[known] // DAY_US
    return delay


def measure(columns: Columns, cut_us: int) -> Lanes:
    """Count every level over the rows recorded before `cut_us`.

    A delivery without a time of recording counts as recorded when it was delivered.
    """
    recorded = recorded_at(columns)
    delay = delay_days(columns["delivered_at"], columns["promised_at"])
    known = np.flatnonzero(~np.isnan(delay) & (recorded != ABSENT) & (recorded < cut_us))
    delays = delay[known]
    return Lanes(
        cut_us,
        {
            name: _level(by, _keys(columns, by, known), delays)
            for name, by in (LEVELS | SIDES).items()
        },
    )


def recorded_at(columns: Columns) -> npt.NDArray[np.int64]:
    """When each outcome became known, us; ABSENT while it is not. Shape (n,)."""
    delivered = np.asarray(columns["delivered_at"], dtype=np.int64)
    recorded = np.asarray(columns["recorded_at"], dtype=np.int64)
    return np.where(recorded == ABSENT, delivered, recorded)


def look_up(lanes: Lanes, columns: Columns, *, least: int = LEAST) -> Found:
    """The finest level with at least `least` deliveries, per row; the coarsest has no minimum."""
    size = len(columns["supplier"])
    stats = np.full((size, len(STATS)), np.nan)
    stats[:, -1] = 0.0
    depth = np.full(size, len(LEVELS), dtype=np.int64)
    for index, name in enumerate(LEVELS):
        open_rows = np.flatnonzero(depth == len(LEVELS))
        if not len(open_rows):
            break
        found = at_level(lanes, name, columns, open_rows)
        enough = found[:, -1] >= (least if LEVELS[name] else 1)
        stats[open_rows[enough]] = found[enough]
        depth[open_rows[enough]] = index
    return Found(stats, depth)


def at_level(
    lanes: Lanes, name: str, columns: Columns, rows: npt.NDArray[np.int64] | None = None
) -> Floats:
    """One level's statistics, shape (len(rows), 5); NaN and count 0 where the key is unknown."""
    level = lanes.levels[name]
    if rows is None:
        rows = np.arange(len(columns["supplier"]))
    places = np.array(
        [level.rows.get(key, -1) for key in _keys(columns, level.by, rows)], dtype=np.int64
    )
    stats = np.full((len(rows), len(STATS)), np.nan)
    stats[:, -1] = 0.0
    hit = places >= 0
    stats[hit] = level.stats[places[hit]]
    return stats


def to_plain(lanes: Lanes) -> dict[str, Any]:
    """Plain lists and numbers, as JSON wants them. `from_plain` is its inverse."""
    return {
        "cut_us": lanes.cut_us,
        "levels": {
            name: {
                "by": list(level.by),
                "rows": [
                    [list(key), [round(float(value), 6) for value in level.stats[row]]]
                    for key, row in level.rows.items()
                ],
            }
            for name, level in lanes.levels.items()
        },
    }


def from_plain(plain: Mapping[str, Any]) -> Lanes:
    """The table that `to_plain` wrote. KeyError or ValueError where the form is another."""
    levels: dict[str, Level] = {}
    for name, by in (LEVELS | SIDES).items():
        rows = plain["levels"][name]["rows"]
        keys = {tuple(str(part) for part in key): row for row, (key, _) in enumerate(rows)}
        stats = np.array([stats for _, stats in rows], dtype=np.float64)
        levels[name] = Level(by, keys, stats.reshape(len(rows), len(STATS)))
    return Lanes(int(plain["cut_us"]), levels)


def _keys(
    columns: Columns, by: tuple[str, ...], rows: npt.NDArray[np.int64]
) -> list[tuple[str, ...]]:
    if not by:
        return [()] * len(rows)
    return list(zip(*(columns[name][rows].tolist() for name in by), strict=True))


def _level(by: tuple[str, ...], keys: list[tuple[str, ...]], delays: Floats) -> Level:
    """An empty text is a key of its own: "mode unknown" has a history too."""
    rows: dict[tuple[str, ...], int] = {}
    codes = np.array([rows.setdefault(key, len(rows)) for key in keys], dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    groups = np.split(delays[order], np.cumsum(np.bincount(codes, minlength=len(rows)))[:-1])
    stats = np.empty((len(rows), len(STATS)))
    for row, group in enumerate(groups[: len(rows)]):
        stats[row, :3] = np.quantile(group, (0.1, 0.5, 0.9))
        stats[row, 3:] = (group > 0).mean(), len(group)
    return Level(by, rows, stats)
