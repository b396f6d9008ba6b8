"""What a study says it took for granted."""

import numpy as np
import pytest

from scenarios.run import run
from scenarios.wording import assumptions, number, span
from tests.scenarios.forks import delivered, forked, past, port, shipment
from twin.kinds import ABSENT, Milestone


def said(*rows, **options):
    done = run(port(), forked(*rows, *past([0] * 12), **options), futures=10, days=90, seed=7)
    return " ".join(assumptions(done))


@pytest.mark.parametrize(
    ("value", "unit", "signed", "text"),
    [
        (0.941, "1", False, "94.1 %"),
        (-0.105, "1", True, "-10.5 pp"),
        (1_204_311.4, "USD", False, "1 204 311"),
        (0.5, "USD", True, "+0"),
        (2.4, "days", True, "+2.40"),
        (float("nan"), "days", False, "-"),
    ],
)
def test_a_number_is_written_in_its_unit(value, unit, signed, text):
    assert number(value, unit, signed=signed) == text


def test_an_interval_of_shares_is_in_percentage_points():
    assert span(-0.11, -0.101, "1") == "[-11.0, -10.1] pp"


def test_synthetic_departures_deliveries_and_orders_are_called_so():
    text = said(
        shipment("a", status=Milestone.DEPARTED, departure_source="demo/telemetry"),
        shipment("b", order_source="demo/orders"),
        delivered("c", 4, delivery_source="demo/orders"),
    )

    assert "1 of the open shipments are known to have left their supplier (1 by synthetic" in text
    assert "1 of the open shipments are synthetic (demo/*)." in text
    assert "1 synthetic deliveries (demo/*) are left out." in text


def test_what_is_unknown_is_counted():
    text = said(shipment("a", value_cents=ABSENT))

    assert "The value of 1 measured shipments is unknown" in text
    assert "Suppliers are unknown" in text
    assert "Of 1 no transit time is known" in text


@pytest.mark.parametrize(
    ("on_hand", "text"),
    [
        ([4, 9], "None of 2 stock items is empty now"),
        ([0, 9], "Of 2 stock items 1 are empty now; none of them has an open shipment"),
        ([4, 0], "Of 2 stock items 1 are empty now; 1 of them have an open shipment"),
    ],
)
def test_stock_is_said_to_be_no_forecast(on_hand, text):
    stock = {
        "site": np.array(["TZDAR", "KEMBA"], object),
        "product": np.array(["ARV", "ARV"], object),
        "on_hand": np.array(on_hand, np.int64),
    }

    assert text in said(shipment("a", site="KEMBA", product_group="ARV"), stock=stock)
