"""Plots: distributions as inline SVG, without a script and without any other file.

A picture says nothing that the tables beside it do not; its title says it in words.
"""

from __future__ import annotations

from html import escape

import numpy as np

from scenarios.history import Floats

WIDTH, HEIGHT, MARGIN, FOOT = 420, 150, 10, 24
BINS = 32


def two(base: Floats, shock: Floats, title: str, low: str, high: str) -> str:
    """Return base and shock as histograms over one axis, whose ends are labelled."""
    edges = _edges(np.concatenate([base, shock]))
    counts = [np.histogram(values, edges)[0] for values in (base, shock)]
    top = max(1, int(max(count.max() for count in counts)))
    drawn = [_bars(count, top, kind) for count, kind in zip(counts, ("base", "shock"), strict=True)]
    return _svg("".join(drawn), title, low, high)


def one(diff: Floats, interval: tuple[float, float], title: str, low: str, high: str) -> str:
    """Return paired differences as a histogram, with zero and the interval of their mean."""
    edges = _edges(np.append(diff, 0.0))
    count = np.histogram(diff, edges)[0]
    left, right = (_x(value, edges) for value in interval)
    marks = (
        f'<rect class="ci" x="{left:.1f}" y="{MARGIN}" width="{max(1.5, right - left):.1f}"'
        f' height="{HEIGHT - MARGIN - FOOT}"/>'
        f'<line class="zero" x1="{_x(0.0, edges):.1f}" x2="{_x(0.0, edges):.1f}" y1="{MARGIN}"'
        f' y2="{HEIGHT - FOOT}"/>'
    )
    return _svg(_bars(count, max(1, int(count.max())), "diff") + marks, title, low, high)


def ends(values: Floats) -> tuple[float, float]:
    """Return the ends of the axis that `values` are drawn on."""
    edges = _edges(values)
    return float(edges[0]), float(edges[-1])


def _edges(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(1.0, abs(low)):  # one value: a bar in the middle
        low, high = low - max(0.5, abs(low) * 1e-3), high + max(0.5, abs(high) * 1e-3)
    return np.linspace(low, high, BINS + 1)


def _x(value: float, edges: Floats) -> float:
    share = (value - float(edges[0])) / float(edges[-1] - edges[0])
    return MARGIN + share * (WIDTH - 2 * MARGIN)


def _bars(count: np.ndarray[tuple[int], np.dtype[np.int64]], top: int, kind: str) -> str:
    wide, tall = (WIDTH - 2 * MARGIN) / BINS, HEIGHT - MARGIN - FOOT
    parts = []
    for i, held in enumerate(count.tolist()):
        if held:
            high = tall * held / top
            parts.append(
                f"M{MARGIN + i * wide:.1f} {HEIGHT - FOOT}v{-high:.1f}h{wide:.1f}v{high:.1f}z"
            )
    return f'<path class="{kind}" d="{"".join(parts)}"/>'


def _svg(inside: str, title: str, low: str, high: str) -> str:
    foot = HEIGHT - 7
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inside}"
        f'<line class="axis" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{HEIGHT - FOOT}"'
        f' y2="{HEIGHT - FOOT}"/>'
        f'<text x="{MARGIN}" y="{foot}">{escape(low)}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{foot}" text-anchor="end">{escape(high)}</text></svg>'
    )
