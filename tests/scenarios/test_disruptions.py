"""What a scenario may say, and how it is refused."""

from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.disruptions import (
    MOST_BYTES,
    Constant,
    Exponential,
    History,
    Triangular,
    Uniform,
    parse,
    sample,
)
from tests.scenarios.forks import loss, port, scenario
from twin.errors import BadRequest

NONE = np.empty(0)
HEAD = '[[port_delay]]\nname = "a"\ncountries = ["KE"]\n'
EXTRA = 'extra_h = { shape = "constant", value = 1 }\n'


@pytest.mark.parametrize(
    "file", sorted((files("scenarios") / "examples").iterdir()), ids=lambda file: file.name
)
def test_every_example_is_a_scenario_named_like_its_file(file):
    assert parse(file.read_bytes(), file.name).name == file.name.removesuffix(".toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it has no disruption"),
        ("[[port_delays]]\n", "did you mean port_delay?"),
        (HEAD + EXTRA + "probabilty = 1\n", "did you mean probability?"),
        (HEAD + EXTRA + "probability = 1.5\n", "at port_delay[0].probability"),
        (HEAD + EXTRA + "from_day = -1\n", "at port_delay[0].from_day"),
        (HEAD + EXTRA + "from_day = nan\n", "at port_delay[0].from_day"),
        (HEAD + EXTRA + "from_day = inf\n", "at port_delay[0].from_day"),
        (HEAD + EXTRA + "from_day = 9\nuntil_day = 9\n", "until_day is not after from_day"),
        (HEAD + EXTRA + 'from_day = "soon"\n', "at port_delay[0].from_day"),
        (HEAD, "missing required field `extra_h`"),
        (HEAD + 'extra_h = { shape = "constnat", value = 1 }\n', "did you mean 'constant'?"),
        (HEAD + "extra_h = { value = 1 }\n", "extra_h.shape is None"),
        (HEAD + 'extra_h = { shape = "history" }\n', "at port_delay[0].extra_h"),
        (HEAD + 'extra_h = { shape = "uniform", low = 2, hihg = 3 }\n', "did you mean high?"),
        (HEAD + 'extra_h = { shape = "uniform", low = 3, high = 2 }\n', "is not in order"),
        (HEAD + 'extra_h = { shape = "constant", value = -4 }\n', "at port_delay[0].extra_h.value"),
        (HEAD + "extra_h = 72\n", "at port_delay[0].extra_h"),
        ('[[port_delay]]\nname = "a"\n' + EXTRA, "port_delay[0] names no place"),
        (HEAD + EXTRA + HEAD + EXTRA, "two disruptions are named 'a'"),
        (HEAD.replace('"a"', '"base"') + EXTRA, "'base' is the name of an arm"),
        ('[supplier_loss]\nname = "a"\n', "write [[supplier_loss]], with two brackets"),
        ('[[supplier_loss]]\nname = "a"\nsuppliers = []\n', "suppliers is empty"),
        ("port_delay = 3\n", "at port_delay"),
        ("name = 2\n", "it is no TOML"),
    ],
)
def test_a_wrong_field_is_named_with_a_remedy(text, says):
    with pytest.raises(BadRequest) as raised:
        scenario(text)

    assert raised.value.code == "SCENARIO_INVALID"
    assert says in str(raised.value)
    assert str(raised.value).startswith("test.toml: ")
    assert "; " in str(raised.value)


@pytest.mark.parametrize("raw", [b"\x80\x04\x95 pickled", b"import os", b"\xff\xfe"])
def test_what_is_no_toml_is_refused(raw):
    with pytest.raises(BadRequest, match="it is no TOML") as raised:
        parse(raw, "test.toml")

    assert raised.value.code == "SCENARIO_INVALID"


def test_a_scenario_that_is_too_long_or_has_too_many_disruptions_is_too_large():
    many = "".join(HEAD.replace('"a"', f'"{i}"') + EXTRA for i in range(9))

    for text in (many, "#" * MOST_BYTES):
        with pytest.raises(BadRequest) as raised:
            scenario(text)

        assert raised.value.code == "SCENARIO_TOO_LARGE"


def test_whole_numbers_are_spans_too():
    assert port('{ shape = "constant", value = 72 }') == port(
        '{ shape = "constant", value = 72.0 }'
    )
    assert loss("from_day = 3").supplier_loss[0].from_day == 3.0


@settings(deadline=None)
@given(st.floats(0, 0.999), st.tuples(*[st.floats(0, 100)] * 3).map(sorted))
def test_a_draw_stays_within_its_distribution(share, ends):
    low, mode, high = ends
    for shape in (Uniform(low, high), Triangular(low, mode, high)):
        drawn = float(sample(shape, np.array([share]), NONE)[0])

        assert low - 1e-9 <= drawn <= high + 1e-9


@pytest.mark.parametrize(
    ("shape", "mean"),
    [
        (Constant(5.0), 5.0),
        (Uniform(2.0, 6.0), 4.0),
        (Triangular(0.0, 3.0, 6.0), 3.0),
        (Triangular(24.0, 72.0, 168.0), 88.0),
        (Triangular(2.0, 2.0, 2.0), 2.0),
        (Exponential(8.0), 8.0),
        (History(), 20.0),
    ],
)
def test_a_distribution_has_the_mean_of_its_closed_form(shape, mean):
    share = (np.arange(100_000) + 0.5) / 100_000

    drawn = sample(shape, share, np.array([10.0, 20.0, 30.0]))

    assert drawn.mean() == pytest.approx(mean, rel=1e-3)


def test_an_even_share_is_the_median_of_an_exponential():
    drawn = sample(Exponential(8.0), np.array([0.5]), NONE)

    assert drawn[0] == pytest.approx(8.0 * np.log(2))
