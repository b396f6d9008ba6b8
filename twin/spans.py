"""Spans: comparisons of a column with a number, as the least and the greatest value that pass.

What is absent is less than anything a span begins with, or NaN, so it never passes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twin.kinds import ABSENT, NO_CODE

Span = tuple[Any, Any]
NONE: Span = (1, 0)


def span(dtype: np.dtype[Any], sign: str, value: float) -> Span:
    """Return what passes `sign value`, sign one of = < <= > >=, both ends included."""
    if dtype.kind == "f":
        return _real(sign, float(value))
    most = int(np.iinfo(dtype).max)
    least = (ABSENT if dtype.itemsize == 8 else NO_CODE) + 1
    if isinstance(value, float) and not math.isfinite(value):
        passes = value > 0 if sign in {"<", "<="} else value < 0 and sign != "="
        return (least, most) if passes else NONE
    down, up = math.floor(value), math.ceil(value)
    low = {"=": up, ">=": up, ">": down + 1}.get(sign, least)
    high = {"=": down, "<=": down, "<": up - 1}.get(sign, most)
    low, high = max(low, least), min(high, most)
    return (low, high) if low <= high else NONE


def _real(sign: str, value: float) -> Span:
    if (sign, value) in {("<", -math.inf), (">", math.inf)}:
        return NONE
    above, below = math.nextafter(value, math.inf), math.nextafter(value, -math.inf)
    low = {"=": value, ">=": value, ">": above}.get(sign, -math.inf)
    high = {"=": value, "<=": value, "<": below}.get(sign, math.inf)
    return low, high
