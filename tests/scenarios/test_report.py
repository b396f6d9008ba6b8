"""The report: alone it says everything, and nothing in it is run."""

from html.parser import HTMLParser

import pytest

from scenarios.report import html, slug, write
from scenarios.run import run
from tests.scenarios.forks import forked, past, port, scenario, shipment

REPEAT = "twin scenario run port.toml --snapshot 7c1e --futures 20 --seed 7"
LEAVES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.leaves, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.leaves += [value for name, value in attrs if name in LEAVES]
        if tag not in ("meta", "br", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def study(*rows, supplier="acme"):
    state = forked(shipment("a", supplier=supplier), *rows, *past([0] * 12))
    return run(port(), state, futures=20, days=90, seed=7)


def test_a_report_needs_no_other_file_and_no_script():
    page = Page(html(study(), REPEAT))

    assert not page.leaves
    assert "script" not in page.tags
    assert page.tags.count("svg") == 6
    assert not page.open


def test_a_report_says_what_it_assumed_and_how_to_repeat_it():
    done = study()
    text = html(done, REPEAT)

    for said in (REPEAT, done.state.name, "shipment/east/0@13", "seed 7", "replay", "paired-t"):
        assert said in text


def test_names_from_outside_are_text_and_never_markup():
    text = html(study(supplier="<img src=x onerror=alert(1)>"), "<script>")

    assert "<img" not in text
    assert "<script>" not in text
    assert "&lt;img src=x" in text


def test_a_report_of_nothing_says_so():
    state = forked(*past([0] * 12))
    text = html(run(port(), state, futures=20, days=90, seed=7), REPEAT)

    assert "there is nothing to disrupt" in text


def test_a_report_is_named_for_its_scenario_and_seed(tmp_path):
    file = write(study(), tmp_path / "reports", REPEAT)

    assert file.name == "test-7.html"
    assert [found.name for found in (tmp_path / "reports").iterdir()] == ["test-7.html"]


@pytest.mark.parametrize(
    ("name", "file"), [("a+b", "a+b"), ("../../etc", "etc"), ("..", "scenario"), ("a b", "a-b")]
)
def test_no_name_leaves_the_folder(name, file):
    assert slug(name) == file


def test_every_arm_of_a_study_is_in_its_report():
    what = scenario(
        '[[port_delay]]\nname = "slow"\ncountries = ["KE"]\nextra_h = { shape = "constant",'
        ' value = 9 }\n[[supplier_loss]]\nname = "gone"\nsuppliers = ["acme"]\n'
    )
    state = forked(shipment("a"), *past([0] * 12))

    text = html(run(what, state, futures=20, days=90, seed=7), REPEAT)

    assert [arm for arm in ("slow", "gone", "both") if f"<h2>{arm}</h2>" in text] == [
        "slow",
        "gone",
        "both",
    ]
