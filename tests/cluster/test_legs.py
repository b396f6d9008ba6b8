"""The transport legs: real rows at volume, several events each, clocks of many zones."""

import csv
import io
from collections import Counter
from importlib.resources import as_file, files

import numpy as np
import pyarrow as pa
import pytest

from cluster import load, mapping
from cluster.expressions import micros
from cluster.rehearsal import Rehearsal
from cluster.tally import Tally
from tests.cluster.recorder import unpacked
from twin.delays import REASONS

NOW = micros("2015-01-01")


@pytest.fixture(scope="module")
def file():
    with as_file(files("cluster") / "assets" / "legs.csv.zst") as path:
        yield load.opened(path, mapping.find("legs"))


@pytest.fixture(scope="module")
def rehearsed(file):
    """Every row, mapped and judged."""
    tally, found = Tally(), []

    def kept():
        for message in load.mapped(file, mapping.find("legs")):
            found.append(message)
            yield message

    load.offer(Rehearsal(("east", "west"), "demo", NOW), kept(), tally, lambda _: None)
    return tally, found


@pytest.fixture(scope="module")
def first(rehearsed):
    """The events of the first rows, by leg and what they say."""
    _, messages = rehearsed
    events = [event for message in messages[:2] for event in unpacked(message.arrow)]
    return {(event.subject, event.id.rpartition(":")[2]): event for event in events}


def test_every_row_becomes_its_events_and_every_event_keeps_its_contract(rehearsed, file):
    tally, _ = rehearsed
    expected = Counter[str]()
    with pa.input_stream(file.source.path) as packed:
        rows = list(csv.DictReader(io.StringIO(packed.read().decode())))
    for row in rows:
        late = bool(row["dep_delay"]) and float(row["dep_delay"]) >= 60
        expected["shipment.promised"] += bool(row["arr_time"] and row["arr_delay"])
        expected["shipment.departed"] += bool(row["dep_time"])
        expected["shipment.arrived"] += bool(row["arr_time"])
        expected["shipment.exception"] += late + bool(late and row["arr_time"])
        expected["shipment.cancelled"] += not row["dep_time"]
    expected["supplier.registered"] = len({row["carrier"] for row in rows})

    assert tally.whole
    assert tally.rows == len(rows) == 136_759
    assert tally.types == expected
    assert tally.outcomes["APPLIED"] == tally.events == expected.total() > 2 * len(rows)


def test_a_message_is_bounded_whatever_the_file(rehearsed):
    _, messages = rehearsed

    assert max(message.lines.size for message in messages) <= load.MESSAGE
    assert max(len(message.arrow) for message in messages) < 4 << 20


def test_a_leg_that_left_after_midnight_left_on_the_next_day(first):
    # 2014-01-01,AS,145,N508AS,PDX,ANC: showed 0001, 96 minutes late; arrived 0235, 70 late
    leg = "AS145-2014-01-01-PDX"

    assert first[leg, "departed"].time == micros("2014-01-02T00:01-08:00")
    assert first[leg, "arrived"].time == micros("2014-01-02T02:35-09:00")
    assert first[leg, "promised"].data["promised_at"] == micros("2014-01-02T01:25-09:00")
    assert first[leg, "arrived"].data == {"arrived_place": "USANC"}


def test_a_leg_lives_in_the_region_of_its_destination(first):
    assert first["AS145-2014-01-01-PDX", "departed"].region == "west"
    assert first["US1830-2014-01-01-SEA", "departed"].region == "east"


def test_a_late_leg_is_an_exception_with_a_code_of_the_delay_list_until_it_arrives(first):
    late = {subject for subject, what in first if what == "late"}
    opened = first["AS145-2014-01-01-PDX", "late"]
    resolved = first["AS145-2014-01-01-PDX", "resolved"]

    assert "US1830-2014-01-01-SEA" not in late
    assert opened.data["exception_code"] in REASONS
    assert (opened.data["exception_state"], opened.data["exception_place"]) == ("open", "USPDX")
    assert (resolved.data["exception_state"], resolved.time > opened.time) == ("resolved", True)


def test_departures_and_arrivals_agree_with_the_time_in_the_air(file):
    maker = load.Maker(mapping.find("legs"), file.header)
    air = file.header.index("air_time")
    odd = 0
    for rows in file.batches():
        made = maker.derived(rows)
        known = made["arrived"].known & np.asarray(rows.columns[air].is_valid())
        arrived, departed = (
            np.asarray(made[name].values.fill_null(0)) for name in ("arrived", "departed")
        )
        flown = np.asarray(rows.columns[air].fill_null("0").cast("double"))
        ground = (arrived - departed)[known] / 60e6 - flown[known]
        odd += int(((ground < 0) | (ground > 180)).sum())

    assert odd == 4  # on the night of a change of clocks
