"""Scanned rows say what rows decoded one by one say; what the scan cannot read, it leaves."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.histories import T0, event, row
from twin.errors import TwinError
from twin.events import PAYLOAD, columns_of, decode_rows, parse_rows
from twin.joining import joined
from twin.kinds import Dtype
from twin.rowscan import scan_rows

pack = msgspec.msgpack.encode
MOST = 1_000_000
texts = st.text(max_size=12) | st.sampled_from(["", "a", "shp-1", "east", "carrier/north"])
whole = st.integers(-(2**70), 2**70).filter(lambda v: -(2**63) <= v < 2**64)
whole = whole | st.integers(-200, 200) | st.sampled_from([T0, 2**62, 2**62 - 1, -(2**62)])
fractions = st.floats() | st.integers(-1000, 1000)
anything = st.none() | st.booleans() | texts | whole | st.floats()
SOUND = {
    Dtype.TEXT: texts,
    Dtype.NUMBER: fractions,
    Dtype.FLAG: st.booleans(),
    Dtype.INTEGER: whole,
    Dtype.TIME: whole,
}


@st.composite
def payloads(draw):
    names = draw(st.lists(st.sampled_from(sorted(PAYLOAD)), unique=True, max_size=5))
    return {name: draw(st.none() | SOUND[PAYLOAD[name]]) for name in names}


def extensions():
    return st.fixed_dictionaries(
        {},
        optional={
            "tenant": texts,
            "confidence": st.none() | fractions,
            "corrects": st.none() | texts,
            "retracts": st.none() | texts,
        },
    )


@st.composite
def sound_rows(draw):
    head = [draw(st.none() | texts), draw(texts), draw(texts), draw(st.none() | st.integers(0, 9))]
    head += [draw(texts), draw(st.none() | texts), draw(st.none() | whole), draw(payloads())]
    return [*head, draw(extensions())] if draw(st.booleans()) else head


@st.composite
def odd_rows(draw):
    """A row with anything anywhere: of another length, type or name."""
    given = draw(sound_rows())
    at = draw(st.integers(0, len(given) - 1))
    change = draw(st.sampled_from(["value", "length", "name", "nest"]))
    if change == "value":
        given[at] = draw(anything)
    elif change == "length":
        given = given[:at]
    elif change == "name" and isinstance(given[7], dict):
        given[7][draw(texts)] = draw(anything)
    elif isinstance(given[7], dict):
        given[7]["lat"] = [draw(anything)]
    return given


def told(offered):
    """Everything that offered events say, apart from how it lies in memory."""
    lists = {name: getattr(offered, name).list() for name in ("id", "subject", "target")}
    for name in ("version", "time", "confidence", "does", "strange"):
        lists[name] = getattr(offered, name).tobytes()
    heads = {name: getattr(offered, name) for name in ("source", "type", "region", "tenant")}
    spelled = {
        name: [column.words[c] if c >= 0 else None for c in column.codes.tolist()]
        for name, column in {**heads, **{f"data.{n}": w for n, w in offered.words.items()}}.items()
    }
    numbers = {
        name: (column.values.tobytes(), column.present.tolist(), column.sound.tolist())
        for name, column in offered.numbers.items()
    }
    return lists, spelled, numbers


def plainly(message):
    try:
        return told(columns_of(parse_rows(message)))
    except TwinError as e:
        return type(e), e.code


def scanned(message):
    try:
        return told(decode_rows(message))
    except TwinError as e:
        return type(e), e.code


@given(st.lists(sound_rows() | odd_rows(), max_size=6))
def test_a_scanned_message_says_what_its_rows_say(rows):
    message = pack(rows)

    assert scanned(message) == plainly(message)


@given(st.lists(sound_rows(), min_size=1, max_size=4), st.data())
def test_no_byte_of_a_message_makes_the_scan_say_something_else(rows, data):
    raw = bytearray(pack(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    message = bytes(raw[: data.draw(st.integers(1, len(raw)))])

    assert scanned(message) == plainly(message)


def test_what_a_sound_producer_sends_is_scanned():
    rows = [row(event(id=f"e{i}")) for i in range(3)]

    assert scan_rows(pack(rows), MOST) is not None


@pytest.mark.parametrize("n", [15, 16, 70_000])
def test_messages_of_every_length_form_are_scanned(n):
    assert scan_rows(pack([row(event())] * n), MOST) is not None


def test_a_scanned_row_is_kept_as_it_came():
    rows = [row(event(id=f"e{i}")) for i in range(3)]

    assert decode_rows(pack(rows)).raws(np.array([2, 0])) == [pack(rows[2]), pack(rows[0])]


@given(st.lists(st.lists(sound_rows() | odd_rows(), min_size=1, max_size=4), max_size=4))
def test_messages_that_are_joined_say_what_they_say_apart(messages):
    parts = []
    for rows in messages:
        try:
            parts.append((decode_rows(pack(rows)), rows))
        except TwinError:
            continue
    if not parts:
        return
    together = joined([part for part, _ in parts])

    assert said(together) == [one for part, _ in parts for one in said(part)]
    raws = [raw for part, _ in parts for raw in part.raws(np.arange(part.size))]
    assert together.raws(np.arange(together.size)) == raws


def said(offered):
    """What each event says, field by field."""
    lists, spelled, _ = told(offered)
    rows = []
    for i in range(offered.size):
        one = {name: values[i] for name, values in spelled.items() if values[i] is not None}
        for name in ("id", "subject", "target"):
            one[name] = lists[name][i]
        for name in ("version", "time", "confidence", "does", "strange"):
            one[name] = getattr(offered, name)[i].tobytes()
        for name, column in offered.numbers.items():
            if column.present[i]:
                one[f"number.{name}"] = column.values[i].tobytes(), bool(column.sound[i])
        rows.append(one)
    return rows
