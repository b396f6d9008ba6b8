"""Letters: derived facts on their way out, as the events that the twins they are about will get.

The id is the hash of the cause and the revision: what is due twice within an epoch has the same
id and content, and what is due later has a greater revision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.derived import EFFECTS, MADE_UP, STOCK, SUPPLIER, causes, subjects
from twin.lexicon import Lexicon
from twin.sources import OWN
from twin.texts import Texts

Column = NDArray[Any]
EPOCH_BITS = 40  # of a revision: below are offsets, above epochs, and all of it is below 2**62


class Due(NamedTuple):
    """Facts on their way out, as of the offset `revision`; a value of each."""

    revision: int
    effect: NDArray[np.int64]
    row: NDArray[np.int64]
    target: NDArray[np.int32]  # (n, 2)
    revoked: NDArray[np.bool_]  # what the target was told is withdrawn
    moved: NDArray[np.bool_]  # ... because another target takes its place
    time: Column
    packs: Column
    late: NDArray[np.bool_]
    confidence: Column
    offset: Column
    sources: NDArray[np.int32]  # (n, 2)
    tenant: NDArray[np.int32]
    names: Texts  # tenant/id of the shipment

    @property
    def size(self) -> int:
        return self.row.size


class Letter(NamedTuple):
    """One derived event, and the twin it is for; `subject` is "" where no id can be made."""

    tenant: str
    kind: str
    subject: str
    event: list[Any]  # a row as twin.events reads it, its region still to be filled in


def letters(due: Due, lexicon: Lexicon, region: str, shard: str, epoch: int) -> list[Letter]:
    """Return what is due as events of the shard called `shard`, one for each.

    Revisions count within an epoch: a journal that came home from its archive may have lost its
    end, and gives the offsets there a second time.
    """
    revision = (epoch << EPOCH_BITS) + due.revision
    first, second = (lexicon.words(due.target[:, n]) for n in (0, 1))
    names = due.names.list()
    tenants = lexicon.words(due.tenant)
    words = [lexicon.words(due.sources[:, n]) for n in (0, 1)]
    wanted = list(zip(first, second, strict=True))
    effects = due.effect.tolist()
    ids = [""] * due.size
    for effect in (STOCK, SUPPLIER):
        at = [i for i, one in enumerate(effects) if one == effect]
        for i, id_ in zip(at, subjects(effect, [wanted[i] for i in at]), strict=True):
            ids[i] = id_
    shipments = [name.partition("/")[2] for name in names]
    targets = [
        f"stock/{site}/{product}" if effect == STOCK else f"supplier/{site}"
        for effect, (site, product) in zip(effects, wanted, strict=True)
    ]
    keys = [
        f"{tenant}/shipment/{region}/{shipment}/{target}"  # ids alone: two products can share one
        for tenant, shipment, target in zip(tenants, shipments, targets, strict=True)
    ]
    texts, numbers = causes(keys)
    found = []
    for i, (effect, id_, text, cause) in enumerate(zip(effects, ids, texts, numbers, strict=True)):
        made_up = any(column[i].startswith(MADE_UP) for column in words)
        facts: dict[str, Any] = {"cause": cause, "revision": revision}
        if effect == STOCK:
            facts |= {"site": first[i], "product": second[i]}
        more: dict[str, Any] = {}
        if not due.revoked[i]:
            facts["cause_offset"] = int(due.offset[i])
            more["confidence"] = float(due.confidence[i])
            if effect == STOCK:
                facts["packs"] = int(due.packs[i])
            else:
                facts |= {"delivered_shipments": 1, "late_shipments": int(due.late[i])}
        event = [
            f"{text}-{epoch}.{due.revision}",
            f"{MADE_UP if made_up else ''}{OWN}{shard}",
            EFFECTS[effect].type,
            1,
            id_,
            "",
            int(due.time[i]),
            facts,
            more,
        ]
        found.append(Letter(tenants[i], EFFECTS[effect].kind, id_, event))
    return found
