"""Versions: pyproject.toml and the newest entry of CHANGELOG.md name the same one."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def main() -> int:
    """Compare; return 0 if they agree."""
    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(
        r"^## \[?([0-9][^\] ]*)", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    newest = headings[0] if headings else "nothing"
    agree = newest == project
    verdict = "ok" if agree else f"but CHANGELOG.md begins with {newest}: add an entry"
    sys.stdout.write(f"version: {project} {verdict}\n")
    return int(not agree)


if __name__ == "__main__":
    sys.exit(main())
