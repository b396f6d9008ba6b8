"""Lengths: no file over 400 lines, no function over 60. The maxima are what is enforced."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_FILE, MOST_FUNCTION = 400, 60
ROOTS = ("twin", "actors", "training", "serving", "scenarios", "cluster", "tests", "tools", "bench")
GENERATED = "serving/wire"


def too_long(path: Path) -> Iterator[str]:
    """Yield what is too long in one file, with its line."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MOST_FILE:
        yield f"{path}: {lines} lines, {MOST_FILE} at most; split it by noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_FUNCTION:
                place = f"{path}:{node.lineno}: {node.name}"
                yield f"{place} has {length} lines, {MOST_FUNCTION} at most"


def main() -> int:
    """Check every module that people write; return how many findings there are, 1 at most."""
    root = Path(__file__).parent.parent
    files = [path for name in ROOTS for path in sorted((root / name).rglob("*.py"))]
    files = [path.relative_to(root) for path in files if GENERATED not in path.as_posix()]
    found = [line for path in files for line in too_long(path)]
    sys.stdout.write("".join(f"{line}\n" for line in found) or f"lengths: {len(files)} files ok\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
