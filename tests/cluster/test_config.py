"""Configuration: files, variables, and what is said about a mistake."""

from pathlib import Path

import pytest

from cluster.config import KEYS, Config, flat, load
from twin.errors import BadRequest


def test_without_a_file_every_value_is_the_default_and_says_so(tmp_path: Path) -> None:
    loaded = load(tmp_path / "twin.toml", {})

    assert loaded.config == Config()
    assert set(loaded.sources) == set(KEYS)
    assert set(loaded.sources.values()) == {"default"}


def test_a_variable_wins_over_the_file_and_the_option_over_both(tmp_path: Path) -> None:
    file = tmp_path / "twin.toml"
    file.write_text('base_port = 8000\nfolder = "a"\nspeed = 60.0\n[shards]\nsite = 3\n')
    environ = {"TWIN_BASE_PORT": "9000", "TWIN_FOLDER": "b", "TWIN_SHARDS_SHIPMENT": "4"}

    loaded = load(file, environ, Path("c"))

    assert loaded.config.base_port == 9000
    assert loaded.config.folder == "c"
    assert (loaded.config.shards.shipment, loaded.config.shards.site) == (4, 3)
    assert loaded.sources["base_port"] == "TWIN_BASE_PORT"
    assert loaded.sources["shards.site"] == "twin.toml"
    assert loaded.sources["folder"] == "--folder"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bas_port = 1", "did you mean base_port?"),
        ("[shards]\nshipmnt = 2", "did you mean shards.shipment?"),
        ('[storage]\nulr = "file:///a"', "did you mean storage.url?"),
        ("[retention]\nsegment_s = 1", "did you mean retention.segments_s?"),
        ("zzz = 1", "there are folder, base_port"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_known_one(
    tmp_path: Path, text: str, hint: str
) -> None:
    file = tmp_path / "twin.toml"
    file.write_text(text)

    with pytest.raises(BadRequest, match="is no key") as raised:
        load(file, {})

    assert raised.value.code == "CONFIG_UNKNOWN"
    assert hint in str(raised.value)


def test_an_unknown_variable_is_an_error_and_a_clients_variable_is_not(tmp_path: Path) -> None:
    missing = tmp_path / "twin.toml"

    load(missing, {"TWIN_URL": "http://x", "TWIN_TOKEN": "t"})
    with pytest.raises(BadRequest, match="did you mean TWIN_SPEED"):
        load(missing, {"TWIN_SPED": "3"})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("base_port = 80", ">= 1024"),
        ('base_port = "many"', "Expected `int`"),
        ("regions = []", "regions has 0 names"),
        ('regions = ["east", "east"]', "twice"),
        ('regions = ["../x"]', "no name for a region"),
        ('regions = ["a","b","c","d","e","f"]', "6 names"),
        ("speed = 0", "> 0"),
        ("[shards]\nsite = 0", ">= 1"),
        ('tenant = "a/b"', "no name for a tenant"),
        ("speed = = 1", "no TOML"),
        ('[storage]\nurl = "/a/folder"', "names no storage"),
        ('[storage]\nurl = "s3://"', "names no storage"),
        ('[storage]\nurl = "ftp://a/b"', "names no storage"),
        ('[storage]\nurl = "file:///a"\nevery_s = 0', "> 0"),
        ("[retention]\nsegments_s = 60", "names no archive"),
        ('[storage]\nurl = "file:///a"\n[retention]\nsegments_s = -1', ">= 0"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "twin.toml"
    file.write_text(text)

    with pytest.raises(BadRequest) as raised:
        load(file, {})

    assert raised.value.code == "CONFIG_INVALID"
    assert word in str(raised.value)


def test_a_bad_variable_is_named_in_its_refusal(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="TWIN_BASE_PORT: Expected `int`"):
        load(tmp_path / "twin.toml", {"TWIN_BASE_PORT": "many"})


def test_every_region_has_its_own_ports_and_none_is_taken_twice() -> None:
    config = Config(base_port=7400, regions=("east", "west"))

    assert (config.http_port("east"), config.grpc_port("east")) == (7400, 7401)
    assert (config.http_port("west"), config.grpc_port("west")) == (7420, 7421)
    assert config.serve_port == 7500
    assert {7400, 7401, 7420, 7421, 7500, 7501, 7502} <= set(config.ports)
    assert not any(port >= 7500 for port in Config(serve=False).ports)


def test_nested_keys_are_flat_with_a_dot() -> None:
    assert flat(Config())["shards.supplier"] == 1


def test_storage_is_read_from_the_file_and_from_variables(tmp_path: Path) -> None:
    file = tmp_path / "twin.toml"
    file.write_text('[storage]\nurl = "s3://bucket/{region}"\n[retention]\nsegments_s = 86400\n')

    config = load(file, {"TWIN_STORAGE_EVERY_S": "5"}).config

    assert (config.storage.url, config.storage.every_s) == ("s3://bucket/{region}", 5.0)
    assert config.retention.segments_s == 86_400.0
    assert Config().storage.url == ""
    assert Config().retention.segments_s == 0.0
