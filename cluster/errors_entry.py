"""What is told of one code word."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """`again`: whether sending the same request again can help."""

    cause: str
    remedy: str
    again: bool = False
