"""Small forks for tests: shipments as short rows, and a scenario as the text of a file."""

import numpy as np

from scenarios.disruptions import parse
from scenarios.fork import fork
from twin.kinds import ABSENT, Milestone
from twin.lanes import DAY_US

TODAY = 16_000  # days since 1970: 2013-10-22
NOW = TODAY * DAY_US
TEXTS = ("id", "region", "supplier", "country", "mode", "site", "product", "product_group")
INTEGERS = ("promised_at", "delivered_at", "departed_at", "ordered_at", "value_cents")


def day(number):
    """Return midnight of the day `number` days after today, ABSENT for None."""
    return ABSENT if number is None else (TODAY + number) * DAY_US


def shipment(name, promised=10, **facts):
    """Return an open shipment promised `promised` days from today."""
    row = dict.fromkeys(TEXTS, "") | dict.fromkeys(INTEGERS, ABSENT)
    row |= {"id": name, "region": "east", "supplier": "acme", "country": "KE", "mode": "air"}
    row |= {"promised_at": day(promised), "value_cents": 100_00, "status": Milestone.ORDERED}
    return row | facts


def delivered(name, delay, promised=-400, **facts):
    """Return a shipment that came `delay` days after its promise."""
    row = shipment(name, promised, delivered_at=day(promised + delay), **facts)
    return row | {"status": Milestone.DELIVERED}


def past(delays, **facts):
    """Return a delivered shipment for each of `delays`, of one lane."""
    tag = "".join(str(value) for value in facts.values())
    return [delivered(f"p{tag}{i}", delay, **facts) for i, delay in enumerate(delays)]


def columns(rows):
    held = {name: np.array([row[name] for row in rows], object) for name in TEXTS}
    held |= {name: np.array([row[name] for row in rows], np.int64) for name in INTEGERS}
    extra = {name for row in rows for name in row} - held.keys() - {"status"}
    held |= {name: np.array([row.get(name, "") for row in rows], object) for name in extra}
    return held | {"status": np.array([row["status"] for row in rows], np.int8)}


def forked(*rows, now=NOW, aggregators=(), stock=None, offsets=None):
    suppliers = None
    if aggregators:
        names = [*aggregators, "acme"]
        suppliers = {
            "id": np.array(names, object),
            "aggregator": np.array([1] * len(aggregators) + [0], np.int8),
        }
    return fork(
        columns(rows),
        offsets or {"shipment/east/0": len(rows)},
        now,
        clock="replay",
        suppliers=suppliers,
        stock=stock,
    )


def scenario(text):
    return parse(f'name = "test"\n{text}'.encode(), "test.toml")


def port(extra='{ shape = "constant", value = 72.0 }', where='countries = ["KE"]', more=""):
    return scenario(f'[[port_delay]]\nname = "port"\n{where}\nextra_h = {extra}\n{more}')


def loss(more="", suppliers='["acme"]'):
    return scenario(f'[[supplier_loss]]\nname = "loss"\nsuppliers = {suppliers}\n{more}')
