"""The delivery rows, read again by another hand: the csv module, and none of the product's code."""

import csv
import gzip
import io
from datetime import UTC, datetime
from typing import NamedTuple

from tests.system.running import ROOT

START = "2013-09-01"
ORDER_DATES = ("pq first sent to client date", "po sent to vendor date")
DELIVERED, RECORDED = "delivered to client date", "delivery recorded date"


class Line(NamedTuple):
    """One row. Days are texts, "" where the row has none."""

    id: str
    ordered: str
    known: str  # from which day on anybody knew of the order
    delivered: str
    recorded: str
    row: dict[str, str]


def lines() -> list[Line]:
    packed = (ROOT / "cluster" / "assets" / "scms.csv.gz").read_bytes()
    text = gzip.decompress(packed).decode("utf-8-sig")
    found = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        ordered = min((row[name] for name in ORDER_DATES if is_day(row[name])), default="")
        known = ordered or row[RECORDED]
        found.append(Line(row["id"], ordered, known, row[DELIVERED], row[RECORDED], row))
    return found


def is_day(text: str) -> bool:
    return len(text) == 10 and text[:2] == "20"


def day_us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000
