"""Derived events: what a fact about one twin makes true of another, as a function of its state.

A shipment that was delivered brings packs to the stock of its site, and counts in its supplier's
record. What is derived depends on the state alone, whichever events led there and in whatever
order: when a fact that decides it changes, the same cause gets a greater revision, and of a cause
only the greatest revision counts (twin.revisions). Only the twin itself may offer such events.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.admission import Admitted, good_ids
from twin.alerts import ALERT
from twin.chunks import Table
from twin.contracts import CONTRACTS
from twin.events import Offered
from twin.kinds import ABSENT
from twin.outcomes import Outcome, Reason
from twin.promises import DAY_US
from twin.sources import OWN
from twin.texts import hashes, texts

Column = NDArray[Any]
DELIVERER = f"{OWN}outbox"  # the named identity under which derived events are offered
MADE_UP = "demo/"  # what follows from something made up says so as well
STOCK, SUPPLIER = 0, 1  # effects, by number: the order of EFFECTS
NOWHERE = -1


class Effect(NamedTuple):
    """What a delivery does to a twin of `kind`: offers `type`, its amounts in `amounts`."""

    kind: str
    type: str
    amounts: tuple[str, ...]


EFFECTS = (
    Effect("stock", "stock.delivered", ("packs",)),
    Effect("supplier", "supplier.delivered", ("delivered_shipments", "late_shipments")),
)
_TYPES = {effect.type for effect in EFFECTS}
# What nobody but the twin may say; what of it counts by revision is derived.
IS_RESERVED = np.array([c.type in _TYPES or c.kind == ALERT for c in CONTRACTS] + [False])
IS_DERIVED = np.array([contract.type in _TYPES for contract in CONTRACTS] + [False])
# Events that can change what follows from a shipment.
DECIDES = np.array(
    [
        contract.kind == "shipment" and bool({"order", "promise", "delivery"} & set(contract.sets))
        for contract in CONTRACTS
    ]
    + [False]
)


class Delivered(NamedTuple):
    """What follows from some shipments as they stand: a value for each, codes of their lexicon.

    A target is NOWHERE while the shipment was not delivered, or does not say where it belongs.
    """

    time: Column  # when it was delivered; ABSENT
    targets: NDArray[np.int32]  # (n, 2 effects, 2): site and product; supplier and 0
    packs: Column
    late: NDArray[np.bool_]
    confidence: Column
    offset: Column  # of the event that says it was delivered
    sources: NDArray[np.int32]  # (n, 2): of the delivery and of the order


def delivered(table: Table, rows: Column) -> Delivered:
    """Return what follows from some rows of a shipment table."""
    time = table.take("delivered_at", rows)
    packs = table.take("quantity", rows)
    promised = table.take("promised_at", rows)
    site, product = table.take("site", rows), table.take("product_group", rows)
    supplier = table.take("supplier", rows)
    known = time != ABSENT
    targets = np.full((rows.size, len(EFFECTS), 2), NOWHERE, np.int32)
    brought = known & (site >= 0) & (product >= 0) & (packs != ABSENT)
    targets[brought, STOCK] = np.stack([site, product], 1)[brought]
    counted = known & (supplier >= 0)
    targets[counted, SUPPLIER, 0], targets[counted, SUPPLIER, 1] = supplier[counted], 0
    return Delivered(
        time,
        targets,
        packs,
        known & (promised != ABSENT) & (time // DAY_US > promised // DAY_US),
        np.fmin(table.take("delivery.confidence", rows), table.take("order.confidence", rows)),
        table.take("delivery.offset", rows),
        np.stack([table.take("delivery.source", rows), table.take("order.source", rows)], 1),
    )


@lru_cache(maxsize=65_536)
def stock_id(site: str, product: str) -> str:
    """Return the id of the stock of a product (a group of them, as sites count) at a site."""
    plain = unicodedata.normalize("NFKD", product).encode("ascii", "ignore").decode().lower()
    return f"{site}:{re.sub(r'[^a-z0-9]+', '-', plain).strip('-')}"


def subjects(effect: int, words: Sequence[tuple[str, str]]) -> list[str]:
    """Return the id of the twin that each target names; "" where no id can be made of it."""
    names = [stock_id(*pair) if effect == STOCK else pair[0] for pair in words]
    good = good_ids(texts(names)).tolist()
    return [name if fine else "" for name, fine in zip(names, good, strict=True)]


def causes(keys: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return for each KEY OF A SHIPMENT/EFFECT/TARGET its hash: as a text, and as 62 bits of it."""
    pairs = hashes(texts(keys))
    return [f"{high:016x}{low:016x}" for high, low in pairs.tolist()], cause_of(pairs).tolist()


def cause_of(pairs: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (pairs[:, 0] >> np.uint64(2)).astype(np.int64)  # integers of events are below 2**62


def reserve(one: Admitted, offered: Offered, writer: str) -> None:
    """Refuse what only the twin itself may say, and whatever speaks in its name."""
    if writer == DELIVERER:
        return
    ours = [word.startswith((OWN, MADE_UP + OWN)) for word in offered.source.words]
    refused = IS_RESERVED[one.contract]
    if any(ours):
        refused = refused | np.array([*ours, False])[offered.source.codes]
    if refused.any():
        refused &= (one.outcome != Outcome.REJECTED) | (one.reason == Reason.NOT_OWNER)
        one.outcome[refused], one.reason[refused] = Outcome.REJECTED, Reason.TYPE_RESERVED
