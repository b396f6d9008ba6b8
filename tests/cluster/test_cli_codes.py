"""Code words: every one that the source can answer with is explained by `twin error`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors_text import TEXTS
from twin.outcomes import Reason

ROOT = Path(__file__).parents[2]
PACKAGES = ("twin", "actors", "training", "serving", "scenarios", "cluster")
GIVEN = ("BadRequest", "Denied", "_refused", "_bad")  # errors whose code word is an argument


def words() -> Iterator[str]:
    """Yield the code words of the error classes and of the refusals in the source."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "wire" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield from of_class(node)
                yield from of_call(node)


def of_class(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        for line in node.body:
            names = [t.id for t in getattr(line, "targets", []) if isinstance(t, ast.Name)]
            if names == ["code"] and isinstance(line.value, ast.Constant):
                yield str(line.value.value)


def of_call(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in GIVEN:
        for argument in node.args[1:]:
            if isinstance(argument, ast.Constant) and str(argument.value).isupper():
                yield str(argument.value)


@pytest.mark.parametrize("word", sorted(set(words())))
def test_every_error_that_is_raised_is_explained(word: str) -> None:
    assert word in TEXTS


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.NONE])
def test_every_reason_to_park_or_reject_is_explained(reason: Reason) -> None:
    assert reason.name in TEXTS
