"""The client's SQL: a statement's answer as one Arrow table, which says how it came about."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.client_search import Asking, extra
from serving.records import when
from serving.wire import twin_pb2 as pb

WAIT_S = 60.0  # for the whole answer; the statement itself has less


class Statements:
    """SQL of one connection. It raises what the twin refuses with, as a TwinError."""

    def __init__(self, asking: Asking) -> None:
        self._pieces = asking.pieces

    def sql(
        self, text: str, region: str = "", limit: int = 0, *, as_of: int = 0, known_at: int = 0
    ) -> Any:
        """Return the answer to a read-only statement as a pyarrow.Table. Needs the extra `arrow`.

        `limit`: rows at most, 100,000 if 0. `as_of`, `known_at`: us, as of when. The metadata of
        the table's schema: b"twin" -> JSON of mode, now (us), offsets, truncated, missing.
        """
        arrow = extra()
        request = pb.SqlRequest(sql=text, region=region, limit=limit, when=when(as_of, known_at))
        raw, last = [], pb.SqlReply()
        for reply in self._pieces("Sql", request, WAIT_S):
            raw.append(reply.arrow)
            last = reply
        told = {
            "mode": pb.Mode.Name(last.mode).lower(),
            "now": last.now,
            "offsets": dict(last.offsets),
            "truncated": last.truncated,
            "missing": list(last.missing),
        }
        table = arrow.table(b"".join(raw))
        return table.replace_schema_metadata({"twin": msgspec.json.encode(told)})


def told(table: Any) -> dict[str, Any]:
    """Return how the answer of `sql` came about: mode, now, offsets, truncated, missing."""
    found: dict[str, Any] = msgspec.json.decode(table.schema.metadata[b"twin"])
    return found
