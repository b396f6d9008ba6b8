"""Fixtures that several pages of tests share; a page that needs another `twin` has its own."""

from pathlib import Path

import pytest

from tests.serving.alerting import watched
from tests.serving.http_surface import Surface
from tests.serving.receiving import Receiver


@pytest.fixture
def surface(tmp_path: Path) -> Surface:
    return Surface(tmp_path)


@pytest.fixture
def twin(tmp_path):
    """A twin that watches its shipments by one rule, `warm`."""
    with watched(tmp_path / "twin") as twin:
        yield twin


@pytest.fixture
def client(twin):
    with twin.client() as client:
        yield client


@pytest.fixture
def receiver():
    """Begin receivers of webhooks, as many as a test asks for."""
    made = []

    def make(*says):
        made.append(Receiver(*says))
        return made[-1]

    yield make
    for one in made:
        one.close()
