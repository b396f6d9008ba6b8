"""Inference: when will a shipment come? The model answers, else the lane table, and it says which.

Inputs are read from the region's own shards at the moment of asking. No answer leaves without who
gave it, how sure it is, how old its inputs are, and the plain baseline beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from serving import oip
from serving.client import ColumnSet, Event, Receipt, TwinState
from serving.http_json import rfc3339
from serving.inference_models import Held, Shelf
from training.artifact import forward
from twin.errors import BadRequest, TooLarge, TwinError, UnknownKey
from twin.features import INPUTS
from twin.forecast import RULE, Arrival, Forecast, arrival, lane_forecast
from twin.kinds import ABSENT, SHIPMENT, Dtype
from twin.lanes import Columns, Lanes, measure

LANES_S = 60.0  # for which a lane table counted from the region's own deliveries is used
OUTCOMES = ("delivered_at", "recorded_at")
FROM_GROUPS = ("order", "promise")  # where INPUTS come from
KEY_ERRORS = ("ENTITY_NOT_FOUND", "ENTITY_AMBIGUOUS", "ALREADY_DELIVERED")


class TwinPort(Protocol):
    """What inference needs of a gateway. `serving.client.Client` is one."""

    def get(self, kind: str, id: str, region: str = "") -> TwinState: ...

    def columns(
        self, kind: str, fields: Sequence[str] = (), where: str = "", region: str = ""
    ) -> ColumnSet: ...

    def ingest(self, events: Sequence[Event]) -> list[Receipt]: ...


class Outlook(NamedTuple):
    """Forecasts of n shipments as of `now_us`, one row each. Times int64 us, ABSENT if unknown."""

    forecast: Forecast
    arrival: Arrival
    baseline: Any  # int64 (n,): the lane's median delay added to the promise
    promised_at: Any  # int64 (n,)
    now_us: int


class Inputs(NamedTuple):
    """Where the inputs of one shipment are from."""

    age_ms: int  # of the oldest group among them
    confidence: float  # of the least sure one
    lineage: list[str]  # receipts of the deciding events: shard/offset


def outlook(held: Held, lanes: Lanes, columns: Columns, now_us: int) -> Outlook:
    """What is to be expected of shipments not delivered yet. `columns`: plain, at least INPUTS.

    The model answers if one is held, else the lane table; the baseline is always the table's.
    """
    promised = np.asarray(columns["promised_at"], dtype=np.int64)
    rule = lane_forecast(lanes, columns, now_us)
    answer = held.artifact.forecast(columns, now_us) if held.artifact else rule
    baseline = arrival(rule, promised).p50
    return Outlook(answer, arrival(answer, promised), baseline, promised, now_us)


def gather(states: Sequence[TwinState]) -> dict[str, Any]:
    """The values of twins as plain columns: INPUTS, absent where a twin has none."""
    columns: dict[str, Any] = {}
    for name in INPUTS:
        found = SHIPMENT.field(name)
        assert found is not None
        text = found[1].dtype is Dtype.TEXT
        values = [state.values[name].value if name in state.values else None for state in states]
        blank: Any = "" if text else ABSENT
        filled = [blank if value is None else value for value in values]
        columns[name] = np.array(filled, dtype=object if text else np.int64)
    return columns


def inputs_of(state: TwinState) -> Inputs:
    """Age, confidence and lineage of the values a forecast of this shipment reads."""
    read = {
        group.name: state.values[field.name]
        for group in SHIPMENT.groups
        if group.name in FROM_GROUPS
        for field in group.fields
        if field.name in state.values and field.name in INPUTS
    }
    return Inputs(
        int(max((value.age_s for value in read.values()), default=0.0) * 1000),
        min((value.confidence for value in read.values()), default=0.0),
        [f"{state.shard}/{value.offset}" for value in read.values()],
    )


def keys_of(body: Mapping[str, Any]) -> list[str]:
    """The ids that the body of a prediction names: {"id": ...} or {"ids": [...]}."""
    if len(body) != 1 or not body.keys() <= {"id", "ids"}:
        raise BadRequest('the body names no shipment; send {"id": "..."} or {"ids": [...]}')
    ids = [body["id"]] if "id" in body else body["ids"]
    if not isinstance(ids, list) or not ids:
        raise BadRequest("`ids` must be a list of at least one id; send it so")
    if len(ids) > oip.MOST_IDS:
        raise TooLarge(f"{len(ids)} ids at once; send at most {oip.MOST_IDS}")
    return [oip.check_id(one) for one in ids]


class Inference:
    """Answers of one region. `now_us`: the twin's clock, microseconds UTC.

    `by_rule`: why no model is asked here; the lane table then answers, and says so.
    """

    def __init__(
        self,
        region: str,
        twin: TwinPort,
        shelf: Shelf,
        now_us: Callable[[], int],
        *,
        by_rule: BadRequest | None = None,
    ) -> None:
        self.region = region
        self.shelf = shelf
        self.now_us = now_us
        self._twin = twin
        self._by_rule = by_rule
        self._counted: tuple[float, Lanes] | None = None
        self._counting = threading.Lock()

    @property
    def held(self) -> Held:
        held = self.shelf.held
        return held if self._by_rule is None else Held(None, held.lanes, self._by_rule)

    def lanes(self, held: Held) -> Lanes:
        """The table of the model, of the newest version, or else of the region's own deliveries."""
        if held.lanes is not None:
            return held.lanes
        with self._counting:
            if self._counted is None or time.monotonic() - self._counted[0] > LANES_S:
                found = self._twin.columns("shipment", (*INPUTS, *OUTCOMES), region=self.region)
                table = measure(_complete(found.columns), self.now_us())
                self._counted = (time.monotonic(), table)
            return self._counted[1]

    def expect(self, columns: Columns, held: Held) -> Outlook:
        """Forecast shipments whose columns are at hand, as of now, by what is held."""
        return outlook(held, self.lanes(held), columns, self.now_us())

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer `POST /v1/predict/eta`.

        One id: its prediction; raises UnknownKey, or BadRequest ALREADY_DELIVERED. Several: a list
        in their order, where an id that has no prediction has `code` and `detail` instead.
        """
        ids, held = keys_of(body), self.held  # held once: a new version may come meanwhile
        if "id" in body:
            return self._answers([self._open(ids[0])], held)[0]
        found = [self._tried(one) for one in ids]
        answers = iter(self._answers([one for one in found if isinstance(one, TwinState)], held))
        rows = [
            next(answers)
            if isinstance(one, TwinState)
            else {"id": id, "code": one.code, "detail": str(one)}
            for id, one in zip(ids, found, strict=True)
        ]
        return {"predictions": rows, "shown": len(rows), "total": len(ids), **signature(held)}

    def infer(self, asked: oip.Asked, version: str = "") -> dict[str, Any]:
        """Answer an Open Inference request. Raises BadRequest MODEL_MISSING, MODEL_UNKNOWN."""
        held = self.held
        self.require(version, held)
        if asked.rows is not None:
            if held.artifact is None:
                raise missing(held)
            p10, p50, p90, late = forward(held.artifact.tensors, asked.rows).T
            raw = {"p10": p10, "p50": p50, "p90": p90, "late_p": late}
            parameters: dict[str, str | float | bool] = {"answered_by": held.artifact.answered_by}
            return oip.reply(asked, self.shelf.name, held.artifact.version, raw, parameters)
        states = [self._open(key) for key in asked.keys]
        expected = self.expect(gather(states), held)
        oldest = max(inputs_of(state).age_ms for state in states)
        parameters = {**_words(signature(held)), "inputs_age_ms": oldest}
        number = held.artifact.version if held.artifact else ""
        return oip.reply(asked, self.shelf.name, number, _tensors(expected), parameters)

    def require(self, version: str, held: Held) -> None:
        """Refuse a version that does not answer here. "" is any."""
        here = held.artifact.version if held.artifact else ""
        if version and version != here:
            what = f"there is {here}" if here else "no version answers"
            raise BadRequest(f"{self.shelf.name} has no such version here; {what}", "MODEL_UNKNOWN")

    def _tried(self, id: str) -> TwinState | TwinError:
        try:
            return self._open(id)
        except TwinError as e:
            if e.code not in KEY_ERRORS:
                raise
            return e

    def _open(self, id: str) -> TwinState:
        """The shipment, if it is still to come."""
        try:
            state = self._twin.get("shipment", id, self.region)
        except UnknownKey as e:
            raise UnknownKey(f"{self.region} knows no shipment {id}; check the id") from e
        delivered = state.values.get("delivered_at")
        if delivered is not None and delivered.value is not None:
            when = rfc3339(int(delivered.value))
            raise BadRequest(
                f"shipment {id} was delivered at {when}; ask for one that is still to come",
                "ALREADY_DELIVERED",
            )
        return state

    def _answers(self, states: Sequence[TwinState], held: Held) -> list[dict[str, Any]]:
        if not states:
            return []
        expected, signed = self.expect(gather(states), held), signature(held)
        return [
            _answer(state, expected, row, self.region) | signed for row, state in enumerate(states)
        ]


def signature(held: Held) -> dict[str, Any]:
    """Who answers, and if it is not the model, why: mode normal or degraded."""
    if held.artifact is not None:
        return {"answered_by": held.artifact.answered_by, "mode": "normal"}
    why = missing(held)
    return {"answered_by": RULE, "mode": "degraded", "reason": why.code, "remedy": str(why)}


def missing(held: Held) -> BadRequest:
    """Why no model answers."""
    return held.fault or BadRequest("no model is promoted yet; run `twin train`", "MODEL_MISSING")


def _answer(state: TwinState, expected: Outlook, row: int, region: str) -> dict[str, Any]:
    inputs, forecast = inputs_of(state), expected.forecast
    when, delays = expected.arrival, (forecast.p10, forecast.p50, forecast.p90)
    return {
        "id": state.id,
        "region": region,
        "promised_at": rfc3339(int(expected.promised_at[row])),
        "eta_p10": rfc3339(int(when.p10[row])),
        "eta_p50": rfc3339(int(when.p50[row])),
        "eta_p90": rfc3339(int(when.p90[row])),
        "eta_baseline": rfc3339(int(expected.baseline[row])),
        "delay_days": dict(
            zip(("p10", "p50", "p90"), (_number(days[row]) for days in delays), strict=True)
        ),
        "late_p": _number(forecast.late_p[row]),
        "confidence": _number(forecast.confidence[row]),
        "inputs_confidence": inputs.confidence,
        "inputs_age_ms": inputs.age_ms,
        "lineage": inputs.lineage,
        "as_of": rfc3339(expected.now_us),
    }


def _tensors(expected: Outlook) -> dict[str, Any]:
    forecast, when = expected.forecast, expected.arrival
    days = {"p10": forecast.p10, "p50": forecast.p50, "p90": forecast.p90}
    times = {"eta_p10": when.p10, "eta_p50": when.p50, "eta_p90": when.p90}
    return {**days, "late_p": forecast.late_p, **times, "eta_baseline": expected.baseline}


def _complete(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns of a region without shipments are none at all; the table of it is empty."""
    if columns:
        return columns
    empty: dict[str, Any] = {}
    for name in (*INPUTS, *OUTCOMES):
        found = SHIPMENT.field(name)
        assert found is not None
        empty[name] = np.array([], dtype=object if found[1].dtype is Dtype.TEXT else np.int64)
    return empty


def _number(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _words(signature: dict[str, Any]) -> dict[str, str | float | bool]:
    return {name: str(value) for name, value in signature.items()}
