"""Showing: times, spans, tables; how a value looks on the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import show
from serving.client import TwinState, Value
from twin.kinds import ABSENT

DAY_US = 86_400_000_000


def value(held: object, as_of: int = DAY_US, unit: str = "") -> Value:
    return Value(held, as_of, 1.0, 0.9, "scms/orders", 7, "live", unit)


def test_an_instant_is_rfc_3339_and_a_midnight_only_its_day() -> None:
    assert show.instant(1_377_993_600_000_000) == "2013-09-01"
    assert show.instant(1_377_993_601_000_000) == "2013-09-01T00:00:01Z"
    assert show.instant(ABSENT) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.84, "1.8 s"), (119.0, "119.0 s"), (720.0, "12 min"), (4 * 3600, "4 h"), (4.4e6, "51 d")],
)
def test_a_span_has_one_unit(seconds: float, text: str) -> None:
    assert show.span(seconds) == text


def test_what_is_absent_is_a_dash_and_never_a_number() -> None:
    assert show.plain("promised_at", ABSENT, "us") == "-"
    assert show.plain("quantity", ABSENT) == "-"
    assert show.plain("status", None) == "-"


def test_values_are_shown_by_their_unit() -> None:
    assert show.plain("eta_p50", DAY_US, "us") == "1970-01-02"
    assert show.plain("value_cents", 1_234_567) == "1 234 567"
    assert show.plain("lat", -3.3822) == "-3.3822"
    assert show.plain("aggregator", True) == "yes"


def test_the_freshest_value_is_the_one_decided_last() -> None:
    values = {"a": value(1, DAY_US), "b": value(2, 3 * DAY_US), "c": value(3, 2 * DAY_US)}
    twin = TwinState("k", "i", "east", values, "shipment/east/0", 9, 1)

    assert show.freshest(twin) == values["b"]
    assert show.freshest(twin._replace(values={})) is None


def test_json_gives_times_as_text_and_keeps_the_rest() -> None:
    values = {"promised_at": value(DAY_US, unit="us"), "quantity": value(5)}

    told = show.state(TwinState("k", "i", "east", values, "shipment/east/0", 9, 1))

    assert told["values"]["promised_at"]["value"] == "1970-01-02"
    assert told["values"]["quantity"]["value"] == 5
    assert told["values"]["quantity"]["as_of"] == "1970-01-02"


def test_figures_are_set_to_the_right_and_words_to_the_left() -> None:
    lines = show.lines(("name", "count"), [("a", "5"), ("bcd", "1 000")])

    assert lines == ["  name  count", "  a         5", "  bcd   1 000"]


@given(
    st.lists(
        st.tuples(st.text("ab1- ", min_size=1, max_size=70), st.text("x9", min_size=1)), max_size=6
    )
)
def test_a_table_has_a_line_for_each_row(rows: list[tuple[str, str]]) -> None:
    cells = [[show.clipped(cell) for cell in row] for row in rows]

    lines = show.lines(("first", "second"), cells)

    assert len(lines) == len(rows) + 1
    assert all(len(line) <= 2 + 2 + 2 * show.WIDEST for line in lines)


def test_colours_are_off_without_a_terminal_and_with_no_color(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert show.warn("x") == "x"

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "")

    assert show.warn("x") == "x"
