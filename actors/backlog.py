"""The backlog: what a shard changed before the ring reaches back, read in its journal.

A private state is rebuilt as of the offset to begin with, from the newest checkpoint that is not
beyond it, and goes on frame by frame as the live one did. Nothing that the shard has not committed
is read: a fenced writer's last words are behind `until`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from actors.ring import Moment, moment_of
from actors.shard import Shard, replay
from twin.changes import Needs
from twin.errors import BadRequest, JournalCorrupt
from twin.journal import read_frame
from twin.newer import require_known
from twin.transition import State


def state_at(shard: Shard, offset: int) -> State:
    """Return a state of its own as of an offset, which must be the end of a frame.

    Raises BadRequest CURSOR_INVALID where it is none; Compacted, JournalCorrupt.
    """
    state = shard.checkpoints.before(shard.rule, offset)
    replay(state, shard.journal, offset)
    if state.next != offset:
        raise BadRequest(
            f"{shard.name} has no commit that ends at {offset}; subscribe anew", "CURSOR_INVALID"
        )
    return state


def onwards(
    shard: Shard,
    state: State,
    until: int,
    needs: Callable[[], Mapping[str, Needs]],
) -> Iterator[tuple[int, Moment | None]]:
    """Yield (the offset behind it, what it changed) of each frame from `state` on, up to `until`.

    `needs` is asked before each frame. Raises JournalCorrupt where one is missing.
    """
    read = partial(read_frame, shard.journal)
    for frame in shard.frames(state.next):
        if frame.first >= until:
            return
        require_known(frame)
        if not frame.size:
            continue
        if frame.first != state.next:
            raise JournalCorrupt(
                f"offset {state.next} is missing, {frame.first} follows; restore the journal"
            )
        outcome = state.commit(frame, read)
        yield state.next, moment_of(state, needs(), frame, outcome)
