"""`twin sql`: tables for people, JSON, CSV and Parquet for programs, and what it refuses."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cluster import cli
from tests.serving.querying import querying
from tests.serving.several import position, several
from tests.serving.test_sql import moment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    with several(folder, 1) as twin, querying(folder), twin.client() as client:
        client.ingest([position(f"e{i}", f"S{i}", lat=i + 0.5) for i in range(5)])
        yield folder


def twin(folder, *words, typed=None):
    return CliRunner().invoke(cli.twin, ["sql", *words, "--folder", str(folder)], input=typed)


def test_an_answer_is_a_table_that_says_how_many_rows_it_has(folder):
    done = twin(folder, "select id, lat, position_as_of, status from shipments order by id limit 2")

    lines = done.output.splitlines()
    assert lines[0].split() == ["id", "lat", "position_as_of", "status"]
    assert lines[1].split() == ["S0", "0.5", "2023-11-14T22:13:19Z", "-"]
    assert lines[-1].split() == ["shown", "2", "now", "2023-11-14T22:13:20Z"]


def test_a_statement_is_read_from_standard_input(folder):
    done = twin(folder, "-", typed="select count(*) as n\nfrom shipments\n")

    assert done.output.split()[:2] == ["n", "5"]


def test_json_has_rows_and_how_they_came_about(folder):
    told = json.loads(twin(folder, "select id, lat from shipments order by id", "--json").output)

    assert told["rows"][1] == {"id": "S1", "lat": 1.5}
    assert (told["shown"], told["truncated"], told["mode"]) == (5, False, "normal")
    assert told["offsets"]["shipment/east/0"] == 5


def test_csv_and_parquet_are_for_other_programs(folder, tmp_path):
    text = "select id, position_as_of from shipments order by id"
    file = tmp_path / "some.parquet"

    rows = list(csv.DictReader(io.StringIO(twin(folder, text, "--csv").output)))
    done = twin(folder, text, "--parquet", str(file))

    assert [row["id"] for row in rows] == [f"S{n}" for n in range(5)]
    assert done.output == f"  5 rows in {file}\n"
    assert pq.read_table(file)["position_as_of"][0].as_py() == moment(1_699_999_999_999_000)


def test_rows_that_are_left_out_are_told_of(folder):
    done = twin(folder, "select id from shipments", "--limit", "2")

    assert "shown 2, and there are more (--limit)" in done.output
    assert twin(folder, "select id from shipments", "--region", "west", "--json").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("selec", 'SQL_SYNTAX: syntax error at or near "selec", line 1, column 1; correct it.'),
        ("select nope from stock", "SQL_UNKNOWN: there is no column nope;"),
        ("drop table stock", "SQL_FORBIDDEN: this is no query, or changes something;"),
        ("select 1 where", "SQL_SYNTAX"),
    ],
)
def test_refusals_are_told_on_stderr_with_status_1(folder, text, said, capsys):
    status = cli.run(["sql", text, "--folder", str(folder)])

    assert status == 1
    assert capsys.readouterr().err.startswith(said)


def test_a_time_that_is_none_is_refused(folder, capsys):
    assert cli.run(["sql", "select 1", "--as-of", "soon", "--folder", str(folder)]) == 1
    assert "soon" in capsys.readouterr().err
