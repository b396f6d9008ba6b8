"""The command line: its help, its errors, its statuses; nothing here needs a running twin."""

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from cluster import cli
from cluster.cli import COMMANDS, code_of, run, status_of, told
from cluster.errors_text import TEXTS
from serving.access import ensure_key
from twin.errors import BadRequest, Denied, Overloaded, UnknownKey

HEAVY = ("ray", "torch", "numpy", "pyarrow", "fastapi", "grpc", "numba")


def twin(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a shell does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWIN_")}
    return subprocess.run(
        [sys.executable, "-m", "cluster.cli", *words],
        env=clean | environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["error", "FENCED"]])
def test_help_version_and_errors_import_nothing_heavy(words: list[str]) -> None:
    program = (
        f"import sys; from cluster.cli import run; status = run({words!r});"
        f"print([m for m in {HEAVY!r} if m in sys.modules]); sys.exit(status)"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False, stdout=-1, text=True)

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("end", "status"),
    [("main(['error', 'FENCED'])", 0), ("sys.exit(run(['error', 'FENCED']))", -6)],
)
def test_a_status_is_not_lost_to_what_ends_with_the_interpreter(end: str, status: int) -> None:
    """Threads of grpc abort a process that is taken down, now and then; here something always."""
    program = (
        "import atexit, os, sys; from cluster.cli import main, run;"
        f"atexit.register(os.abort); {end}"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False, stdout=-1, text=True)

    assert done.returncode == status
    assert done.stdout.startswith("FENCED") or status


def test_a_reader_who_has_seen_enough_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "cluster.cli", "error"],
            check=False,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert (done.returncode, done.stderr) == (0, "")


def test_help_names_every_command_with_a_line() -> None:
    shown = CliRunner().invoke(cli.twin, ["--help"]).output

    for name, entry in COMMANDS.items():
        assert f"  {name}" in shown
        assert entry.summary.split()[0] in shown


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    done = CliRunner().invoke(cli.twin, [name, "--help"])

    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: twin {name}")


@pytest.mark.parametrize(
    "name", ["status", "get", "search", "aggregate", "receipt", "quarantine", "doctor", "error"]
)
def test_every_command_that_reads_can_print_json(name: str) -> None:
    assert "--json" in CliRunner().invoke(cli.twin, [name, "--help"]).output


def test_an_unknown_command_is_a_usage_error_with_the_nearest_known_one() -> None:
    done = twin("serach")

    assert done.returncode == 2
    assert "there is no command serach; did you mean search?" in done.stderr


@pytest.mark.parametrize("words", [["get"], ["search", "ship"], ["token", "--ttl", "soon"]])
def test_a_wrong_call_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["get", "86606"],
        ["status"],
        ["search", "site"],
        ["quarantine"],
        ["token"],
        ["status", "--link"],
    ],
)
def test_a_read_without_a_running_twin_says_how_to_start_one(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run([*words, "--folder", str(tmp_path)])

    told = capsys.readouterr()
    assert status == 1
    assert told.err.startswith("NOT_RUNNING: ")
    assert "`twin up`" in told.err
    assert told.out == ""


def test_a_configuration_mistake_is_told_by_every_command(tmp_path: Path) -> None:
    done = twin("status", TWIN_BASE_PROT="1")

    assert done.returncode == 1
    assert done.stderr.startswith("CONFIG_UNKNOWN: ")
    assert "did you mean TWIN_BASE_PORT?" in done.stderr


def test_an_error_is_a_code_a_cause_and_a_remedy() -> None:
    assert told(UnknownKey("no shipment has the id X")) == (
        "ENTITY_NOT_FOUND: no shipment has the id X. "
        "Look for it with `twin search`; an id is spelt as its source spells it."
    )
    assert told(BadRequest("a is wrong; write b", "X")) == "X: a is wrong; write b."
    assert told(Overloaded("the queue is full; wait", 0.5)).endswith("wait (again in 0.5 s).")


def test_an_unforeseen_error_names_its_line() -> None:
    def fail() -> None:
        raise ZeroDivisionError("by nought")

    with pytest.raises(ZeroDivisionError) as raised:
        fail()

    text = told(raised.value)
    assert text.startswith("INTERNAL: ZeroDivisionError: by nought (")
    assert "test_cli.py:" in text


def test_who_is_not_allowed_gets_status_4_and_others_1() -> None:
    class Answer(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAUTHENTICATED

    Answer.__module__ = "grpc._channel"

    assert status_of(Denied("expired", "TOKEN_EXPIRED")) == 4
    assert status_of(Denied("read only", "SCOPE_MISSING")) == 4
    assert (code_of(Answer()), status_of(Answer())) == ("UNAUTHENTICATED", 4)
    assert status_of(UnknownKey("x")) == 1
    assert status_of(ValueError("x")) == 1


def test_a_token_is_printed_alone_and_is_good(tmp_path: Path) -> None:
    from serving.access import Verifier

    ensure_key(tmp_path / "key")
    done = CliRunner().invoke(
        cli.twin,
        [
            "token",
            "--folder",
            str(tmp_path),
            "--scope",
            "read,write",
            "--region",
            "east",
            "--ttl",
            "1m",
        ],
    )

    identity = Verifier(tmp_path / "key", "east").verify(done.output.strip())
    assert identity.scopes == {"read", "write"}
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    "words", [["--ttl", "2h"], ["--scope", "everything"], ["--scope", "read", "--ttl", "0s"]]
)
def test_a_token_that_may_not_be_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure_key(tmp_path / "key")

    assert run(["token", "--folder", str(tmp_path), *words]) == 1
    assert capsys.readouterr().out == ""


def test_down_where_nothing_runs_says_so_and_succeeds(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.twin, ["down", "--folder", str(tmp_path)])

    assert done.exit_code == 0
    assert f"nothing runs in {tmp_path}" in done.output


def test_a_code_is_explained_in_any_spelling_and_a_wrong_one_is_corrected() -> None:
    spelt = CliRunner().invoke(cli.twin, ["error", "token-expired"])
    wrong = CliRunner().invoke(cli.twin, ["error", "TOKEN_EXPIERD"])
    as_json = CliRunner().invoke(cli.twin, ["error", "FENCED", "--json"])

    assert "cause " in spelt.output
    assert "remedy" in spelt.output
    assert wrong.exit_code == 2
    assert "did you mean TOKEN_EXPIRED?" in wrong.output
    assert json.loads(as_json.output)["again"] is True


@pytest.mark.parametrize("code", list(TEXTS))
def test_every_code_has_a_cause_and_a_remedy(code: str) -> None:
    text = TEXTS[code]

    assert text.cause.endswith((".", "-"))
    assert text.remedy.endswith(".")
    assert code == code.upper()
