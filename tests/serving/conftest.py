"""Fixtures of the HTTP surface."""

from pathlib import Path

import pytest

from tests.serving.http_surface import Surface


@pytest.fixture
def surface(tmp_path: Path) -> Surface:
    return Surface(tmp_path)
