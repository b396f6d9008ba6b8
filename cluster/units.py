"""Units: a value in the unit of a file, exactly in the unit of its contract.

Factors are fractions, not floats: what can be said exactly in the contract's unit is. A whole
field takes only what comes out whole; a fraction is rounded once, at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from cluster.expressions import unknown
from cluster.vectors import number
from twin.errors import BadRequest
from twin.kinds import Dtype


class Unit(NamedTuple):
    """One unit is `factor` of its dimension's first unit, plus `shift`."""

    dimension: str
    factor: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)


def _of(dimension: str, **factors: Fraction | int) -> dict[str, Unit]:
    return {name: Unit(dimension, Fraction(factor)) for name, factor in factors.items()}


_POUND = Fraction(45_359_237, 100_000_000)  # in kg, by the agreement of 1959
_INCH = Fraction(254, 10_000)  # in m
UNITS: dict[str, Unit] = {
    **_of("mass", kg=1, g=Fraction(1, 1000), t=1000, lb=_POUND, oz=_POUND / 16),
    **_of("length", m=1, cm=Fraction(1, 100), mm=Fraction(1, 1000), km=1000),
    **{"in": Unit("length", _INCH)},
    **_of("length", ft=12 * _INCH, yd=36 * _INCH, mi=63_360 * _INCH, nmi=1852),
    **_of("volume", l=1, ml=Fraction(1, 1000), m3=1000, gal=Fraction(473_176_473, 125_000_000)),
    **_of("time", d=1, h=Fraction(1, 24), min=Fraction(1, 1440), s=Fraction(1, 86_400), week=7),
    "us": Unit("time", Fraction(1, 86_400_000_000)),
    "degC": Unit("temperature"),
    "K": Unit("temperature", Fraction(1), Fraction(-27_315, 100)),
    "degF": Unit("temperature", Fraction(5, 9), Fraction(-160, 9)),
    "1": Unit("share"),
    "%": Unit("share", Fraction(1, 100)),
    "permille": Unit("share", Fraction(1, 1000)),
    "USD": Unit("US dollars"),
    "USD 0.01": Unit("US dollars", Fraction(1, 100)),
    "cent": Unit("US dollars", Fraction(1, 100)),
    **_of("count", pack=1, dozen=12, gross=144, thousand=1000),
    "shipment": Unit("shipments"),
    "pack/month": Unit("rate"),
    "pack/year": Unit("rate", Fraction(1, 12)),
    "pack/quarter": Unit("rate", Fraction(1, 3)),
    "deg": Unit("angle"),
    "arcmin": Unit("angle", Fraction(1, 60)),
    "arcsec": Unit("angle", Fraction(1, 3600)),
}


def converter(name: str, to: str, dtype: Dtype, field: str) -> Callable[[str], int | float | None]:
    """Return what converts a text in unit `name` to a value in unit `to`; None if it cannot.

    Raises BadRequest MAPPING_INVALID for an unknown unit, or one of another dimension.
    """
    if name not in UNITS:
        alike = [unit for unit in UNITS if unit.lower() == name.lower()]
        raise unknown(name, alike or UNITS, "unit", "MAPPING_INVALID")
    if dtype not in {Dtype.INTEGER, Dtype.NUMBER} or to not in UNITS:
        message = f"{field} has no unit to convert {name} to; leave the unit out"
        raise BadRequest(message, "MAPPING_INVALID")
    source, target = UNITS[name], UNITS[to]
    if source.dimension != target.dimension:
        message = (
            f"{name} measures {source.dimension}, and {field} is in {to} ({target.dimension}); "
            "use a unit of that"
        )
        raise BadRequest(message, "MAPPING_INVALID")
    factor = source.factor / target.factor
    shift = (source.shift - target.shift) / target.factor

    def convert(text: str) -> int | float | None:
        given = number(text)
        if given is None:
            return None
        exact = Fraction(given) * factor + shift
        if dtype is Dtype.NUMBER:
            return float(exact)
        return int(exact) if exact.denominator == 1 else None

    return convert
