"""Fields: what can be asked of a kind, by name, and read from a snapshot for one tenant.

    FIELD                 a field of the kind, or a virtual one that is computed from others
    region                of the shard; `id` is no column, see twin.predicates
    age(GROUP)            seconds since as_of; as_of(GROUP), confidence(GROUP), source(GROUP)
    stale(GROUP)          older than the SLA class of the group; `stale`: of any known group
    green_but_stale       nothing is wrong with the twin, as far as its silent feed can tell

Absent is absent: every column comes with where it is known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.contracts import DAY_US
from twin.errors import UnknownField
from twin.kinds import ABSENT, KINDS, Dtype, Group, Milestone
from twin.spans import Span
from twin.transition import Snapshot

Column = NDArray[Any]
Mask = NDArray[np.bool_]
# A test of words -> what it said of each code: 0 not asked yet, 1 it passes, 2 it does not.
Tried = MutableMapping[object, NDArray[np.int8]]
NO_SETS: Mapping[str, Sequence[str]] = MappingProxyType({})
OF_GROUP = ("age", "as_of", "confidence", "source", "stale")
SURE_DIGITS = 6  # of a confidence, on every surface
_CALL = re.compile(r"([a-z_]+)\(([A-Za-z_][A-Za-z0-9_]*)\)")
_RESOLVED = "resolved"  # of an exception_state
_CLOCKS = frozenset(("now", "today", "current_date", "current_time", "current_timestamp"))


class Values(NamedTuple):
    """One column of some view, and where it is known. Texts are codes."""

    column: Column
    known: Mask
    dtype: Dtype
    group: Group | None  # whose provenance the values have


class Virtual(NamedTuple):
    """A field computed from others; it has the provenance of `group`."""

    dtype: Dtype
    group: str
    unit: str
    inputs: tuple[str, ...]
    compute: Callable[..., Column]


class Scope(NamedTuple):
    """One kind of a snapshot, all rows or `only` some; `sets`: what sub-queries found."""

    snapshot: Snapshot
    kind: str
    tenant: str
    region: str
    now_us: int
    sets: Mapping[str, Sequence[str]] = NO_SETS
    only: NDArray[np.int64] | None = None
    tried: Tried | None = None  # of who asks again and again of one lexicon

    @property
    def size(self) -> int:
        return self.snapshot.tables[self.kind].size if self.only is None else self.only.size

    def column(self, name: str) -> Column:
        """Return one column of the table (size,), read only."""
        table = self.snapshot.tables[self.kind]
        if self.only is None:
            return table.column(name)
        if 2 * self.only.size > table.size:  # most of it: a pass is less than finding each row
            return table.column(name)[self.only]
        return table.take(name, self.only)

    def meet(self, spans: Sequence[tuple[str, Span]]) -> Mask:
        """Say where columns of the table are in their spans, all of them (size,)."""
        table = self.snapshot.tables[self.kind]
        if self.only is None:
            return table.meet(spans)
        found = np.ones(self.only.size, np.bool_)
        for name, (least, most) in spans:
            column = table.take(name, self.only)
            found &= (column >= least) & (column <= most)
        return found

    def sift(self, spans: Sequence[tuple[str, Span]]) -> NDArray[np.int64]:
        """Return the positions where columns of the table are in their spans, all of them."""
        if self.only is None:
            return self.snapshot.tables[self.kind].sift(spans)
        return np.flatnonzero(self.meet(spans))

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return what one column of the table holds."""
        return self.snapshot.tables[self.kind].dtype(name)

    def within(self, rows: NDArray[np.int64] | None) -> Scope:
        """Return the same, restricted to some of its rows by their numbers in the table."""
        return Scope(*self[:6], rows, self.tried)

    def values(self, name: str) -> Values:
        """Return what `name` is of every row. Raises UnknownField."""
        if (found := KINDS[self.kind].field(name)) is not None:
            column = self.column(name)
            return Values(column, known(column, found[1].dtype), found[1].dtype, found[0])
        if (virtual := VIRTUAL.get(self.kind, {}).get(name)) is not None:
            inputs = [self.values(i) for i in virtual.inputs]
            both = np.logical_and.reduce([i.known for i in inputs])
            column = virtual.compute(*(i.column for i in inputs))
            return Values(column, both, virtual.dtype, group_of(self.kind, virtual.group))
        if name == "region":
            code = np.full(self.size, self.snapshot.lexicon.code(self.region), np.int32)
            return Values(code, np.ones(self.size, np.bool_), Dtype.TEXT, None)
        if name in FLAGS:
            flags = FLAGS[name](self).astype(np.int8)
            return Values(flags, np.ones(self.size, np.bool_), Dtype.FLAG, None)
        if (call := _CALL.fullmatch(name)) and call[1] in OF_GROUP:
            return _of_group(self, call[1], group_of(self.kind, call[2]))
        raise unknown_field(self.kind, name)


def _of_group(scope: Scope, what: str, group: Group) -> Values:
    as_of = scope.column(f"{group.name}.as_of")
    told = as_of != ABSENT
    if what == "as_of":
        return Values(as_of, told, Dtype.TIME, group)
    if what == "age":
        return Values((scope.now_us - as_of) / 1e6, told, Dtype.NUMBER, group)
    if what == "stale":
        return Values(old(scope, group, as_of).astype(np.int8), told, Dtype.FLAG, group)
    column = scope.column(f"{group.name}.{what}")
    if what == "confidence":
        return Values(surety(column), told, Dtype.NUMBER, group)
    return Values(column, told, Dtype.TEXT, group)


def surety(column: Column) -> Column:
    """Return confidences, held in 32 bits, as they were said: 0.9, and not a little less."""
    told: Column = np.round(column.astype(np.float64), SURE_DIGITS)
    return told


def old(scope: Scope, group: Group, as_of: Column) -> Mask:
    """Say which values are known and older than their SLA class, in whole milliseconds."""
    found: Mask = (as_of != ABSENT) & (as_of < scope.now_us - int(group.sla_s * 1e6) - 999)
    return found


def _any_stale(scope: Scope) -> Mask:
    found = np.zeros(scope.size, np.bool_)
    for group in KINDS[scope.kind].groups:
        found |= _silent(scope, group.name)
    return found


def _green_but_stale(scope: Scope) -> Mask:
    if (rule := GREEN.get(scope.kind)) is None:
        return np.zeros(scope.size, np.bool_)
    fine, feeds = rule
    silent = np.logical_or.reduce([_silent(scope, feed) for feed in feeds])
    found: Mask = fine(scope) & silent
    return found


def _silent(scope: Scope, name: str) -> Mask:
    """Say where a group is known, and older than its SLA class."""
    if scope.snapshot.tables[scope.kind].blank(f"{name}.as_of"):
        return np.zeros(scope.size, np.bool_)
    return old(scope, group_of(scope.kind, name), scope.column(f"{name}.as_of"))


def _moving(scope: Scope) -> Mask:
    """Say which shipments are under way and no open exception holds them up."""
    status = scope.column("status")
    state = scope.column("exception_state")
    fine = (state < 0) | (state == scope.snapshot.lexicon.code(_RESOLVED))
    found: Mask = (status >= 0) & (status < Milestone.CANCELLED) & fine
    return found


def _says(word: str) -> Callable[[Scope], Mask]:
    def fine(scope: Scope) -> Mask:
        code = scope.snapshot.lexicon.code(word)
        status = scope.column("status")
        found: Mask = (status == code) & (status >= 0)
        return found

    return fine


def _counted(scope: Scope) -> Mask:
    found: Mask = scope.column("on_hand") > 0  # more than ABSENT, which is the least
    return found


def _on_time(delivered: Column, promised: Column) -> Column:
    on_time: Column = (delivered // DAY_US <= promised // DAY_US).astype(np.int8)
    return on_time


def _delay_days(delivered: Column, promised: Column) -> Column:
    days: Column = (delivered // DAY_US - promised // DAY_US).astype(np.float64)
    return days


VIRTUAL: dict[str, dict[str, Virtual]] = {
    "shipment": {
        "on_time": Virtual(Dtype.FLAG, "delivery", "", ("delivered_at", "promised_at"), _on_time),
        "delay_days": Virtual(
            Dtype.NUMBER, "delivery", "d", ("delivered_at", "promised_at"), _delay_days
        ),
    }
}
FLAGS: dict[str, Callable[[Scope], Mask]] = {
    "stale": _any_stale,
    "green_but_stale": _green_but_stale,
}
# Of each kind: which twins look fine, and the feeds that would tell if they were not.
GREEN: dict[str, tuple[Callable[[Scope], Mask], tuple[str, ...]]] = {
    "shipment": (_moving, ("position", "condition")),
    "stock": (_counted, ("level",)),
    "site": (_says("open"), ("status",)),
    "supplier": (_says("active"), ("status",)),
}


def known(column: Column, dtype: Dtype) -> Mask:
    """Say where a column holds a value."""
    if dtype is Dtype.NUMBER:
        return ~np.isnan(column)
    if dtype in {Dtype.TIME, Dtype.INTEGER}:
        return np.asarray(column != ABSENT, np.bool_)
    return np.asarray(column >= 0, np.bool_)


def least_of(dtype: np.dtype[Any]) -> float:
    """Return the least value that a column holds where it holds one."""
    if dtype.kind == "f":
        return -np.inf
    return ABSENT + 1 if dtype.itemsize == 8 else 0


def dtype_of(kind: str, name: str) -> Dtype:
    """Return how a name of `kind` is held; of `id` a text. Raises UnknownField."""
    if (found := KINDS[kind].field(name)) is not None:
        return found[1].dtype
    if (virtual := VIRTUAL.get(kind, {}).get(name)) is not None:
        return virtual.dtype
    if name in {"id", "region"}:
        return Dtype.TEXT
    if name in FLAGS:
        return Dtype.FLAG
    if (call := _CALL.fullmatch(name)) and call[1] in OF_GROUP:
        group_of(kind, call[2])
        return {"as_of": Dtype.TIME, "source": Dtype.TEXT, "stale": Dtype.FLAG}.get(
            call[1], Dtype.NUMBER
        )
    raise unknown_field(kind, name)


def reads(kind: str, name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the fields, and the groups whose provenance, that a name is computed from."""
    if (virtual := VIRTUAL.get(kind, {}).get(name)) is not None:
        return frozenset(virtual.inputs), frozenset()
    if name == "stale":
        return frozenset(), frozenset(group.name for group in KINDS[kind].groups)
    if name == "green_but_stale":
        state = {"shipment": ("status", "exception_state"), "stock": ("on_hand",)}
        feeds = GREEN[kind][1] if kind in GREEN else ()
        return frozenset(state.get(kind, ("status",)) if feeds else ()), frozenset(feeds)
    if (call := _CALL.fullmatch(name)) and call[1] in OF_GROUP:
        return frozenset(), frozenset((call[2],))
    return frozenset((name,)), frozenset()


def timed(name: str) -> bool:
    """Say whether what `name` is changes as time passes, though nothing happens."""
    return name in FLAGS or name.startswith(("age(", "stale("))


def check_field(kind: str, name: str) -> None:
    """Raise UnknownField unless `name` can be asked of `kind`."""
    dtype_of(kind, name)


def unit(kind: str, name: str) -> str:
    if (found := KINDS[kind].field(name)) is not None:
        return found[1].unit
    if name.startswith("age("):
        return "s"
    if name.startswith("as_of("):
        return "us"
    virtual = VIRTUAL.get(kind, {}).get(name)
    return virtual.unit if virtual else ""


def group_of(kind: str, name: str) -> Group:
    """Return the group of a kind that is called `name`. Raises UnknownField."""
    for group in KINDS[kind].groups:
        if group.name == name:
            return group
    if (found := KINDS[kind].field(name)) is not None:
        raise UnknownField(
            f"{kind} has no group {name}; the field {name} is of the group {found[0].name}"
        )
    names = ", ".join(group.name for group in KINDS[kind].groups)
    raise UnknownField(f"{kind} has no group {name}; it has {names}")


def unknown_field(kind: str, name: str) -> UnknownField:
    """Return the error for a name that nothing of `kind` has; it says what may be meant."""
    if name.lower() in _CLOCKS:
        return UnknownField(f"{kind} has no field {name}; the twin's clock is written now()")
    names = [f.name for f in KINDS[kind].fields]
    names += [*VIRTUAL.get(kind, {}), *FLAGS, "id", "region"]
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(names)}"
    return UnknownField(f"{kind} has no field {name}{hint}")
