"""Code words: every one that the source can answer with is explained by `twin error`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors_text import TEXTS
from twin.outcomes import Reason

ROOT = Path(__file__).parents[2]
PACKAGES = ("twin", "actors", "training", "serving", "scenarios", "cluster")
WORD = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+")  # as every code word of more than one is written
# Words of that form in the source that nobody is answered with: the names of variables, of gRPC's
# statuses where they are compared, and rows of tables for codes that are not raised (yet).
OTHERS = (
    "MADV_",
    "RAY_",
    "TWIN_",
    "SUPPLY_TWIN_",
    "SC_",
    "NO_COLOR",
    "PERMISSION_DENIED",
    "MALLOC_",
)
TABLES = ("TABLE", "_STATUS", "__all__")  # code word -> HTTP or gRPC status; names of constants
ONE_WORD = ("MALFORMED", "OVERLOADED", "FENCED", "INTERNAL", "UNAVAILABLE")


def sources() -> Iterator[ast.Module]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "wire" not in path.parts and path.name != "errors_text.py":
                yield ast.parse(path.read_text(encoding="utf-8"))


def words() -> Iterator[str]:
    """Yield every code word in the source: texts of that form, and the codes of error classes."""
    for tree in sources():
        rows = {id(row) for row in tabled(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in rows and spelt(node.value):
                yield node.value
            yield from of_class(node)


def tabled(tree: ast.Module) -> Iterator[ast.expr | None]:
    """Yield the rows of TABLES, as they stand in the source."""
    for node in tree.body:
        target = getattr(node, "target", None) or next(iter(getattr(node, "targets", [])), None)
        if isinstance(target, ast.Name) and target.id in TABLES:
            table = getattr(node, "value", None)
            yield from getattr(table, "keys", getattr(table, "elts", ()))


def spelt(text: object) -> bool:
    return isinstance(text, str) and bool(WORD.fullmatch(text)) and not text.startswith(OTHERS)


def of_class(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        for line in node.body:
            names = [t.id for t in getattr(line, "targets", []) if isinstance(t, ast.Name)]
            if names == ["code"] and isinstance(line.value, ast.Constant):
                yield str(line.value.value)


@pytest.mark.parametrize("word", sorted({*words(), *ONE_WORD}))
def test_every_code_word_in_the_source_is_explained(word: str) -> None:
    assert word in TEXTS


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.NONE])
def test_every_reason_to_park_or_reject_is_explained(reason: Reason) -> None:
    assert reason.name in TEXTS


@pytest.mark.parametrize("word", sorted(TEXTS))
def test_a_cause_and_a_remedy_are_one_sentence_each(word: str) -> None:
    for text in (TEXTS[word].cause, TEXTS[word].remedy):
        assert text.strip() == text != ""
        assert not re.search(r"[a-z]\. [A-Z]", text)
