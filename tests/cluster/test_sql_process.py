"""Query processes as a host runs them: found by the gateway, killed, started again, ended."""

import socket
import time

import pytest

from cluster import process, queries
from cluster.config import Config
from cluster.host import check_ports
from serving.client import patiently
from tests.serving.several import REGIONS, position, several
from twin.errors import BadRequest, SqlAway


def free_base():
    """Return a base port at which a region's three ports are free, for both regions."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            base = probe.getsockname()[1]
        if base < 60_000 and not process.busy(
            [base + 20 * i + n for i in (0, 1) for n in range(3)]
        ):
            return base


@pytest.fixture
def config(tmp_path):
    return Config(str(tmp_path), free_base(), regions=REGIONS, serve=False)


@pytest.fixture
def children(config, tmp_path):
    (tmp_path / "logs").mkdir()
    found = queries.start(config, tmp_path)
    yield found
    for child in found:
        child.stop(5.0)


def test_a_killed_query_process_costs_answers_for_a_while_and_nothing_else(
    tmp_path, config, children
):
    with several(tmp_path) as twin, twin.client() as client:
        client.ingest([position(f"e{i}", f"S{i}") for i in range(20)])
        ask = lambda: client.sql("SELECT count(*) AS n FROM shipments").to_pylist()  # noqa: E731
        assert patiently(ask) == [{"n": 20}]
        east = children[0].process()

        process.end([east], 0.0)
        with pytest.raises(SqlAway):
            ask()
        assert client.get("shipment", "S1", "east").values["lat"].value == 1.0
        assert client.ingest([position("more", "NEW")])[0].outcome == "APPLIED"

        assert "was started again" in children[0].look(time.monotonic())
        assert patiently(ask) == [{"n": 21}]


def test_each_region_has_a_port_of_its_own(config):
    ports = [config.sql_port(region) for region in REGIONS]

    assert ports == [config.base_port + 2, config.base_port + 22]


def test_the_port_of_sql_is_one_that_must_be_free(config):
    with socket.socket() as held:
        held.bind(("127.0.0.1", config.sql_port("east")))
        held.listen()

        with pytest.raises(BadRequest, match="Arrow Flight SQL of east") as e:
            check_ports(config)

    assert e.value.code == "PORT_IN_USE"
