"""What a shard answers about the past: each question read, then worked out in a thread of its own.

Of a twin that is not the asker's, or was not there, every answer is the same: ENTITY_NOT_FOUND.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from serving import course, explain, preview
from serving.access import Identity
from serving.cells import require_region, why_absent
from serving.difference import of_one, of_table
from serving.past import Then, asked
from serving.rulebook import Rulebook
from serving.sets import opened
from serving.wire import twin_pb2 as pb
from twin.errors import BadRequest, UnknownKey
from twin.kinds import Kind
from twin.rules import Ready


class PastOfShard:
    """One shard's. `kind`: the kind that a request names, if the shard holds it."""

    def __init__(self, then: Then, kind: Callable[[str], Kind]) -> None:
        self._then = then
        self._kind = kind
        self._rulebook: Rulebook | None = None

    def begin(self, folder: Path) -> None:
        """Judge previews by the rules of a data directory."""
        self._rulebook = Rulebook(folder)

    async def history(self, request: pb.HistoryRequest, who: Identity) -> pb.HistoryReply:
        return await self._about(course.history, request, who)

    async def first_true(self, request: pb.FirstTrueRequest, who: Identity) -> pb.FirstTrueReply:
        return await self._about(course.first_true, request, who)

    async def explain(self, request: pb.ExplainRequest, who: Identity) -> pb.ExplainReply:
        return await self._about(explain.answer, request, who)

    async def preview(self, request: pb.PreviewRequest, who: Identity) -> pb.PreviewReply:
        return await self._then.walk(
            partial(preview.answer, self._then, request, who.tenant, self._rules)
        )

    async def diff(self, request: pb.DiffRequest, who: Identity) -> pb.DiffReply:
        kind = self._kind(request.kind)
        if bool(request.id) == bool(request.where):
            raise BadRequest("name one twin by `id`, or many by `where`")
        if not (asked(request.before) or asked(request.after)):
            raise BadRequest("say with `before` and `after` which two moments; one may be now")
        if request.id:
            return await self._about(of_one, request, who)
        before = await self._then.view(kind.name, who.tenant, request.before)
        after = await self._then.view(kind.name, who.tenant, request.after)
        before, after = before.told(opened(request.sets_before)), after.told(opened(request.sets))
        work = partial(of_table, self._then, kind, request, before, after)
        return await self._then.walk(work)

    async def _about(self, work: Callable[..., Any], request: Any, who: Identity) -> Any:
        kind, shard = self._kind(request.kind), self._then.shard
        require_region(shard, request.region)
        try:
            return await self._then.walk(partial(work, self._then, kind, request, who.tenant))
        except UnknownKey as e:
            raise why_absent(shard, kind.name, who.tenant, request.id, e) from e

    def _rules(self) -> Sequence[Ready]:
        return self._rulebook.book().ready if self._rulebook is not None else ()
