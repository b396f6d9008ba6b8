"""Rehearsals: the answers a twin would give, without one. Admission is pure, so it can run here.

What needs the twin's own state stays open: whether an event is superseded, or known already from
elsewhere. What breaks its contract, names no region of this twin, or repeats itself in the file is
found as the twin would find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from serving.client import Event, Receipt
from serving.wire import twin_pb2 as pb
from twin.admission import Rule, admit, repeats
from twin.dedup import Seen
from twin.errors import BadRequest
from twin.events import decode_arrow
from twin.kinds import KINDS
from twin.outcomes import Outcome


class Rehearsal:
    """A sink that journals nothing. `regions`: of the twin that is rehearsed for."""

    def __init__(self, regions: Sequence[str], tenant: str, now_us: int) -> None:
        self._rules = [Rule(region, tuple(KINDS), 0, 1) for region in regions]
        self._seen = {rule.region: Seen() for rule in self._rules}
        self._tenant, self._now = tenant, now_us

    def stream(self, batches: Iterable[Sequence[Event]]) -> Iterator[list[Receipt]]:
        raise BadRequest("a rehearsal takes Arrow messages; offer them with `bulk`")

    def bulk(self, messages: Iterable[bytes]) -> Iterator[pb.IngestReply]:
        """Yield what would be answered; APPLIED is what keeps its contract."""
        for number, raw in enumerate(messages):
            offered = decode_arrow(raw)
            outcome = np.full(offered.size, Outcome.REJECTED, np.uint8)
            reason = np.zeros(offered.size, np.uint8)
            words = [*offered.region.words, ""]
            for turn, rule in enumerate(self._rules):
                seen = self._seen[rule.region]
                one = admit(offered, self._tenant, seen, rule, self._now)
                here = np.array([word == rule.region for word in words])[offered.region.codes]
                one.outcome[~here] = Outcome.REJECTED
                repeats([one])
                mine = here if turn else here | ~self._known(offered.region.codes, words)
                outcome[mine], reason[mine] = one.outcome[mine], one.reason[mine]
                kept = np.isin(one.outcome, [Outcome.APPLIED, Outcome.PARKED])
                places = seen.size + np.arange(int(kept.sum()))
                seen.add(
                    one.hash[kept],
                    one.content[kept],
                    places,
                    one.outcome[kept],
                    one.reason[kept],
                )
            yield pb.IngestReply(batch=number, outcomes=outcome.tobytes(), reasons=reason.tobytes())

    def _known(self, codes: np.ndarray, words: Sequence[str]) -> np.ndarray:
        """Say of each event whether its region is one of this twin's."""
        return np.array([word in self._seen for word in words])[codes]
