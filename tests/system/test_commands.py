"""Commands against the running twin: what is wrong has a code, a next step and an exit status."""

import shlex

import pytest

from serving.access import ensure_key
from tests.system.running import free_base
from tests.test_docs import blocks, typed

FAILED, USAGE, DENIED = 1, 2, 4
NAMING = ("get ", "impact ", "receipt ")  # commands that fail where there is no such thing
SITES = """id,name,country,function,lat,lon
t-good,Good,NL,port,51.9,4.5
t-bad,Bad,NL,port,north,4.5
t-short,Short,NL
"""

pytestmark = pytest.mark.ray


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "sites.csv"
    file.write_text(SITES)
    return str(file)


@pytest.mark.parametrize(
    ("words", "status", "code", "hint"),
    [
        (("get", "no-such"), FAILED, "ENTITY_NOT_FOUND", "twin search"),
        (("receipt", "shipment/east/0/99999999"), FAILED, "INVALID_ARGUMENT", "the next one is"),
        (
            ("search", "shipment", "colour = 'red'"),
            FAILED,
            "FIELD_UNKNOWN",
            "did you mean country?\n",
        ),
        (("search", "shipment", "lat >"), FAILED, "INVALID_ARGUMENT", "docs/filters.md"),
        (("predict", "no-such"), FAILED, "ENTITY_NOT_FOUND", "check the id"),
        (("ingest", "FILE", "--mapping", "plases"), FAILED, "MAPPING_UNKNOWN", "places"),
        (("ingest", "FILE", "--mapping", "scms"), FAILED, "COLUMN_UNKNOWN", "use one of id"),
        (("ingest", "no-such.csv", "--mapping", "places"), FAILED, "FILE_UNREADABLE", "check"),
        (("search", "lorry"), USAGE, "", "shipment"),
        (("get",), USAGE, "", "Missing argument"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_and_what_to_do(
    twin, rows, words, status, code, hint
):
    told = twin.twin(*(rows if word == "FILE" else word for word in words))

    assert (told.status, told.out) == (status, "")
    assert told.err.startswith(f"{code}: " if code else "Usage: ")
    assert hint in told.err


def test_rows_that_cannot_be_mapped_are_parked_and_counted_and_the_others_are_taken(twin, rows):
    first = twin.twin("ingest", rows, "--mapping", "places", "--json")
    again = twin.twin("ingest", rows, "--mapping", "places", "--json")

    assert (first.status, again.status) == (3, 3)
    assert (first.json["rows"], first.json["sent"], first.json["outcomes"]["APPLIED"]) == (3, 1, 1)
    assert again.json["outcomes"]["DUPLICATE"] == 1
    assert [(row["line"], row["reason"], row["column"]) for row in first.json["parked_rows"]] == [
        (3, "VALUE_UNREADABLE", "lat"),
        (4, "ROW_MALFORMED", ""),
    ]
    assert twin.twin("get", "t-good", "--kind", "site", "--json").status == 0


def test_an_event_that_breaks_its_contract_is_parked_and_shown_with_its_reason(twin, tmp_path):
    file = tmp_path / "pole.csv"
    file.write_text("id,name,country,function,lat,lon\nt-pole,Pole,NL,port,95.0,4.5\n")

    told = twin.twin("ingest", str(file), "--mapping", "places", "--json")
    shown = twin.twin("quarantine", "--json", "--limit", "1000")

    assert told.json["reasons"] == {"OUT_OF_RANGE": 1}
    (one,) = [row for row in shown.json["parked"] if row["id"] == "t-pole:registered"]
    assert one["reason"] == "OUT_OF_RANGE"


def test_a_key_of_another_twin_opens_nothing(twin, tmp_path):
    for name in ("gateways.json", "config.json"):
        (tmp_path / name).write_bytes((twin.folder / name).read_bytes())
    ensure_key(tmp_path / "key")

    told = twin.twin("status", folder=tmp_path)

    assert told.status == DENIED
    assert told.err.startswith("TOKEN_INVALID: ")


def test_no_twin_in_a_folder_is_said_with_the_next_step(twin, tmp_path):
    told = twin.twin("status", folder=tmp_path)

    assert (told.status, told.err.partition(":")[0]) == (FAILED, "NOT_RUNNING")
    assert "`twin up`" in told.err


def test_a_second_up_is_refused_with_the_pid_of_the_first(twin):
    before = twin.recorded()

    told = twin.twin("up", "--demo")

    (host,) = twin.pids("host")
    assert (told.status, told.out) == (FAILED, "")
    assert told.err.startswith("ALREADY_RUNNING: ")
    assert f"(pid {host})" in told.err
    assert "`twin down`" in told.err
    assert {one.pid for one in before} <= {one.pid for one in twin.recorded()}


def test_a_port_in_use_is_named_with_its_holder_and_nothing_is_left(twin, tmp_path):
    (gateway,) = twin.pids("gateway east")

    told = twin.twin("up", folder=tmp_path / "other")
    clash = twin.twin(
        "up", folder=tmp_path / "third", TWIN_BASE_PORT=str(twin.config.http_port("west"))
    )

    assert (told.status, told.out) == (FAILED, "")
    port = twin.config.base_port
    assert told.err.startswith(
        f"PORT_IN_USE: port {port} (HTTP and dashboard of east) is held by cluster.gateway "
        f"(pid {gateway})"
    )
    assert "TWIN_BASE_PORT" in told.err
    assert clash.err.startswith("PORT_IN_USE: ")
    assert not (tmp_path / "other" / "pids.json").exists()


def test_a_key_of_the_configuration_that_nobody_knows_is_refused_with_the_nearest(twin, tmp_path):
    told = twin.twin("up", folder=tmp_path / "other", TWIN_BASE_PROT=str(free_base()))

    assert (told.status, told.err.partition(":")[0]) == (FAILED, "CONFIG_UNKNOWN")
    assert "did you mean TWIN_BASE_PORT?" in told.err


def test_status_tells_people_and_programs_the_same(twin):
    people, programs = twin.twin("status"), twin.twin("status", "--json")

    assert people.status == programs.status
    names = {shard["name"] for shard in programs.json["shards"]}
    assert len(names) == 8
    assert all(name in people.out for name in names)
    assert programs.json["mode"] in people.out


@pytest.mark.parametrize(
    "line", sorted(line for line in typed(blocks("README.md")) if line.startswith(NAMING))
)
def test_what_the_readme_asks_about_by_its_name_is_there(running, line):
    told = running.twin(*shlex.split(line))

    assert (told.status, told.err) == (0, "")
