"""docs/filters.md: every filter on it is asked, every command typed, every limit as it says."""

import re
import shlex
from pathlib import Path

import pytest

from cluster.cli import run
from serving.client import Event
from tests.serving.chain import chain, search
from tests.serving.several import NOW
from twin import where
from twin.fields import OF_GROUP
from twin.filters import compile_filter
from twin.terms import BUCKETS

PAGE = (Path(__file__).parents[1] / "docs" / "filters.md").read_text(encoding="utf-8")
SQL = re.compile(r"^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^twin (.*)$", re.MULTILINE)


def filters():
    kind = ""
    for line in "".join(SQL.findall(PAGE)).splitlines():
        if line.startswith("-- "):
            kind = line.removeprefix("-- ")
        else:
            yield kind, line


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with chain(tmp_path_factory.mktemp("page") / "t") as world:
        said, name = {"status": "active"}, "scms-from-rdc"  # whom the demo knows
        world.client().ingest([Event("supplier.status", "test/a", name, NOW, said, "p", "east")])
        yield world


@pytest.mark.parametrize(("kind", "text"), list(filters()))
def test_a_filter_of_the_page_is_answered(world, kind, text):
    assert search(world.client(), kind=kind, where=text, limit=3).shown <= 3


@pytest.mark.parametrize("line", TYPED.findall(PAGE))
def test_a_command_of_the_page_can_be_typed(world, line, capsys):
    assert run([*shlex.split(line), "--folder", str(world.folder)]) == 0
    assert "shown" in capsys.readouterr().out or "impact" in line


def test_the_page_names_the_limits_and_the_functions_that_there_are():
    for number in (where.LONGEST, where.MOST_COMPARISONS, where.MOST_LITERALS, where.DEEPEST):
        assert f"{number:,}" in PAGE
    for name in (*(f"{name}(GROUP)" for name in OF_GROUP), *BUCKETS, "in_box", "near", "stale"):
        assert name in PAGE


def test_the_page_has_enough_examples():
    kinds = {kind for kind, _ in filters()}

    assert kinds == {"shipment", "supplier", "site"}
    assert len({text for _, text in filters()}) > 25
    assert all(compile_filter(kind, text).predicate is not None for kind, text in filters())
