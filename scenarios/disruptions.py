"""Disruptions: one injected cause each, read from TOML.

A scenario is refused when it is submitted, naming the field, or it runs: nothing in it is
ignored, and it is data only, never code.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from twin.errors import BadRequest

Floats = npt.NDArray[np.float64]
LARGEST = "largest"  # as the name of a country or a supplier: the one with most open value

MOST_BYTES = 65_536  # of a scenario file
MOST_DISRUPTIONS = 8
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
_Names = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=1000)]
_Span = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Day = Annotated[float, msgspec.Meta(ge=0, le=36_500)]


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="shape"):
    """A distribution, given by its quantile function; its unit is that of the field it is in."""


class Constant(_Shape, frozen=True, tag="constant"):
    value: _Span


class Uniform(_Shape, frozen=True, tag="uniform"):
    low: _Span
    high: _Span


class Triangular(_Shape, frozen=True, tag="triangular"):
    low: _Span
    mode: _Span
    high: _Span


class Exponential(_Shape, frozen=True, tag="exponential"):
    mean: _Span


class History(_Shape, frozen=True, tag="history"):
    """What other suppliers' orders took in this fork, order to delivery. Days only."""


Extra = Constant | Uniform | Triangular | Exponential
Replacement = Constant | Uniform | Triangular | Exponential | History


class PortDelay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arrivals at a place take longer, by `extra_h` hours each.

    A shipment is hit if every list that is given names it, it would arrive in
    [from_day, until_day) days after the fork, and it is among the `share` that is. `probability`
    is the chance, per future, that the disruption happens at all.
    """

    name: _Name
    extra_h: Extra
    countries: _Names = ()
    sites: _Names = ()
    modes: _Names = ()
    from_day: _Day = 0.0
    until_day: _Day = 36_500.0
    probability: _Share = 1.0
    share: _Share = 1.0


class SupplierLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Suppliers deliver nothing more that has not left them by `from_day` days after the fork.

    What is lost is ordered elsewhere at that time and comes `replacement_d` days later, or when
    it would have come anyway if that is later; without `replacement_d` it never comes.
    """

    name: _Name
    suppliers: _Names
    from_day: _Day = 0.0
    replacement_d: Replacement | None = None
    probability: _Share = 1.0


Disruption = PortDelay | SupplierLoss


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name, and the disruptions of its arms."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")]
    port_delay: tuple[PortDelay, ...] = ()
    supplier_loss: tuple[SupplierLoss, ...] = ()

    @property
    def disruptions(self) -> tuple[Disruption, ...]:
        """All of them: supplier losses first, as they happen upstream of a port."""
        return (*self.supplier_loss, *self.port_delay)


_FIELDS: dict[str, tuple[str, ...]] = {
    "": Scenario.__struct_fields__,
    "port_delay": PortDelay.__struct_fields__,
    "supplier_loss": SupplierLoss.__struct_fields__,
}
_SHAPES = {
    str(shape.__struct_config__.tag): shape
    for shape in (Constant, Uniform, Triangular, Exponential, History)
}


def parse(text: bytes, where: str) -> Scenario:
    """Return the scenario that the TOML `text` of file `where` describes.

    Raises BadRequest SCENARIO_INVALID naming the field, SCENARIO_TOO_LARGE over MOST_BYTES or
    MOST_DISRUPTIONS.
    """
    if len(text) > MOST_BYTES:
        raise BadRequest(
            f"{where} has {len(text)} bytes, the most is {MOST_BYTES}; shorten it",
            "SCENARIO_TOO_LARGE",
        )
    try:
        plain = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise _invalid(where, f"it is no TOML: {e}", "correct it") from e
    _spelling(plain, where)
    try:
        scenario = msgspec.convert(plain, Scenario)
    except msgspec.ValidationError as e:
        raise _invalid(where, str(e), "correct that field") from e
    _check(scenario, where)
    return scenario


def sample(shape: Extra | Replacement, share: Floats, history: Floats) -> Floats:
    """Return the quantile of `shape` at `share` in [0, 1), any shape.

    Triangular: S. Kotz and J. R. van Dorp, "Beyond Beta", 2004, section 1.1; exponential:
    -mean ln(1 - share). `history`: sorted observations of which History draws one each.
    """
    match shape:
        case Constant(value):
            return np.full(share.shape, value)
        case Uniform(low, high):
            return np.asarray(low + share * (high - low))
        case Exponential(mean):
            return np.asarray(-mean * np.log1p(-share))
        case History():
            return np.asarray(history[(share * history.size).astype(np.int64)])
        case Triangular(low, mode, high):
            width = high - low
            rising = low + np.sqrt(share * width * (mode - low))
            falling = high - np.sqrt((1 - share) * width * (high - mode))
            return np.asarray(np.where(share * width < mode - low, rising, falling))


def text(shape: Extra | Replacement, unit: str) -> str:
    """Return a distribution in words: "24 to 168 h, most often 72 h"."""
    match shape:
        case Constant(value):
            return f"{value:g} {unit}"
        case Uniform(low, high):
            return f"{low:g} to {high:g} {unit}, all alike"
        case Exponential(mean):
            return f"{mean:g} {unit} on average, exponential"
        case History():
            return "as long as orders at other suppliers took"
        case Triangular(low, mode, high):
            return f"{low:g} to {high:g} {unit}, most often {mode:g} {unit}"


def _check(scenario: Scenario, where: str) -> None:
    """Refuse what the types alone let through."""
    disruptions = scenario.disruptions
    if not disruptions:
        raise _invalid(where, "it has no disruption", "add [[port_delay]] or [[supplier_loss]]")
    if len(disruptions) > MOST_DISRUPTIONS:
        raise BadRequest(
            f"{where} has {len(disruptions)} disruptions, the most is {MOST_DISRUPTIONS}; split it",
            "SCENARIO_TOO_LARGE",
        )
    names = [disruption.name for disruption in disruptions]
    if twice := [name for name in names if names.count(name) > 1]:
        raise _invalid(where, f"two disruptions are named {twice[0]!r}", "name each once")
    if reserved := [name for name in names if name in ("base", "both", "all")]:
        raise _invalid(where, f"{reserved[0]!r} is the name of an arm", "use another name")
    for i, port in enumerate(scenario.port_delay):
        at = f"port_delay[{i}]"
        if not (port.countries or port.sites or port.modes):
            raise _invalid(where, f"{at} names no place", "give countries, sites or modes")
        if port.until_day <= port.from_day:
            raise _invalid(where, f"{at}.until_day is not after from_day", "widen the window")
        _ordered(port.extra_h, f"{at}.extra_h", where)
    for i, loss in enumerate(scenario.supplier_loss):
        if not loss.suppliers:
            raise _invalid(where, f"supplier_loss[{i}].suppliers is empty", "give ids or 'largest'")
        _ordered(loss.replacement_d, f"supplier_loss[{i}].replacement_d", where)


def _ordered(shape: Extra | Replacement | None, at: str, where: str) -> None:
    low, mode, high = 0.0, 0.0, 0.0
    match shape:
        case Uniform(low, high):
            mode = low
        case Triangular(low, mode, high):
            pass
    if not low <= mode <= high:
        raise _invalid(where, f"{at} is not in order", "give low <= mode <= high")


def _spelling(plain: dict[str, Any], where: str) -> None:
    """Refuse a key nobody knows, with the nearest one that is known."""
    _known(plain, _FIELDS[""], "", where)
    for kind in ("port_delay", "supplier_loss"):
        tables = plain.get(kind, [])
        if isinstance(tables, dict):
            raise _invalid(where, f"{kind} is one table", f"write [[{kind}]], with two brackets")
        for i, table in enumerate(tables if isinstance(tables, list) else []):
            if not isinstance(table, dict):
                continue
            _known(table, _FIELDS[kind], f"{kind}[{i}].", where)
            for field in ("extra_h", "replacement_d"):
                inner = table.get(field)
                if isinstance(inner, dict):
                    _shape(inner, f"{kind}[{i}].{field}.", where)


def _shape(inner: dict[str, Any], at: str, where: str) -> None:
    shape = inner.get("shape")
    if not isinstance(shape, str) or shape not in _SHAPES:
        near = difflib.get_close_matches(str(shape), _SHAPES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_SHAPES)}"
        raise _invalid(where, f"{at}shape is {shape!r}", hint)
    _known(inner, ("shape", *_SHAPES[shape].__struct_fields__), at, where)


def _known(table: dict[str, Any], fields: tuple[str, ...], at: str, where: str) -> None:
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
            raise _invalid(where, f"{at}{key} is no field", hint)


def _invalid(where: str, what: str, remedy: str) -> BadRequest:
    what = re.sub(r" - at `\$\.?([^`]*)`", r", at \1", what)
    return BadRequest(f"{where}: {what}; {remedy}", "SCENARIO_INVALID")
