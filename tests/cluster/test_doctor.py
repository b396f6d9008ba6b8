"""The doctor: what it finds on this machine and in a configuration."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster import cli, doctor
from cluster.config import Config
from cluster.doctor import FAIL, OK, Check
from tests.system.running import free_base


def found(name: str, folder: Path, config: Config | None = None) -> list[Check]:
    checks = doctor.checks(config or Config(base_port=free_base(), serve=False), folder)
    return [check for check in checks if check.name == name]


def test_every_check_that_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    checks = list(doctor.checks(Config(base_port=free_base()), tmp_path / ".twin"))

    assert {"python", "ray", "memory", "disk", "fsync", "ports", "clock"} <= {
        c.name for c in checks
    }
    assert all(check.remedy for check in checks if check.verdict != OK)


def test_a_held_port_is_named_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        checks = found("port", tmp_path, Config(base_port=port, serve=False))

    assert [check.verdict for check in checks] == [FAIL]
    assert f"{port} (HTTP and dashboard of east) is held by" in checks[0].found
    assert "PORT_IN_USE" in checks[0].remedy


def test_measuring_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    (check,) = found("fsync", tmp_path)

    assert check.found.startswith("p50 ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_yet_is_looked_at_where_it_will_be(tmp_path: Path) -> None:
    (check,) = found("folder", tmp_path / "a" / "b")

    assert (check.verdict, check.found) == (OK, f"{tmp_path / 'a' / 'b'} will be made")


def test_a_model_without_a_manifest_is_told(tmp_path: Path) -> None:
    (tmp_path / "models" / "eta").mkdir(parents=True)
    (tmp_path / "models" / "eta" / "current").write_text("3\n")

    (check,) = found("model", tmp_path)

    assert check.found == "eta@3 has no manifest"
    assert "twin train" in check.remedy


def test_the_command_prints_each_value_and_where_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = free_base()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWIN_BASE_PORT", str(base))
    (tmp_path / "twin.toml").write_text("speed = 60.0\n")

    shown = CliRunner().invoke(cli.twin, ["doctor"])
    as_json = CliRunner().invoke(cli.twin, ["doctor", "--json"])

    assert shown.output.rstrip().endswith("result: ready")
    told = json.loads(as_json.output)
    sources = {row["key"]: (row["value"], row["source"]) for row in told["config"]}
    assert sources["base_port"] == (base, "TWIN_BASE_PORT")
    assert sources["speed"] == (60.0, "twin.toml")
    assert sources["tenant"][1] == "default"
    assert told["result"] == "ready"
