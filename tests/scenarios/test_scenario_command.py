"""`twin scenario run`, from a saved fork: what is printed, written and refused."""

import json

import pytest

from cluster.cli import run
from cluster.commands.scenario import BUILTINS
from scenarios import fork_file
from tests.scenarios.forks import day, delivered, forked, past, shipment
from twin.kinds import Milestone

ORDERS = [
    delivered(f"h{i}", 0, promised=-50, ordered_at=day(-90), supplier="other") for i in range(5)
]
STATE = forked(
    shipment("a", 9, mode="ocean"),
    shipment("b", 12, status=Milestone.DEPARTED),
    *past(range(-5, 15)),
    *ORDERS,
    aggregators=("depot",),
)


@pytest.fixture
def folder(tmp_path):
    fork_file.keep(STATE, tmp_path / "forks")
    return tmp_path


def called(capsys, folder, *words):
    """Return exit status, stdout and stderr of `twin scenario run ...`."""
    status = run(["scenario", "run", "--folder", str(folder), "--futures", "20", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.mark.parametrize("builtin", BUILTINS)
def test_every_builtin_runs_from_a_kept_fork(capsys, folder, builtin):
    status, out, _ = called(
        capsys, folder, "--builtin", builtin, "--snapshot", STATE.name[:4], "--json"
    )

    found = json.loads(out)
    assert status == 0
    assert (found["scenario"], found["snapshot"], found["open"]) == (builtin, STATE.name, 2)
    assert (folder / "reports" / f"{builtin}-7.html").exists()


def test_the_printed_command_repeats_the_study(capsys, folder):
    _, first, _ = called(capsys, folder, "--snapshot", STATE.name[:4])
    line = next(line for line in first.splitlines() if "repeat: " in line)

    status = run(line.split("repeat: twin ")[1].split())
    again = capsys.readouterr().out

    def figures(text):
        return [line for line in text.splitlines() if "futures x" not in line]

    assert status == 0
    assert figures(again) == figures(first)


def test_differences_are_printed_with_intervals_and_the_worst_hit(capsys, folder):
    status, out, err = called(capsys, folder, "--snapshot", STATE.name[:4])

    assert status == 0
    assert not err  # no progress where there is no terminal
    heads = [line.split() for line in out.splitlines() if line.split()[:1] == ["metric"]]
    assert heads == [["metric", "base", "shock", "diff", "95%", "CI", "worst-hit"]] * 3
    assert "acme (largest by open value, aggregators left out)" in out
    assert "acme → KE" in out
    assert f"snapshot {STATE.name[:8]}: 2 open shipments" in out


def test_a_fork_may_be_a_file_anywhere(capsys, folder):
    file = folder / "elsewhere.npz"
    fork_file.save(STATE, file)

    status, out, _ = called(capsys, folder, "--snapshot-file", str(file), "--json")

    assert status == 0
    assert str(file) in json.loads(out)["repeat"]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--snapshot", "ffff"], 1, "SNAPSHOT_UNKNOWN: "),
        (["--snapshot", STATE.name, "--futures", "3"], 1, "SCENARIO_INVALID: futures is 3"),
        (["--snapshot", STATE.name, "--futures", "999999"], 1, "SCENARIO_TOO_LARGE: "),
        (["--builtin", "flood"], 2, "'flood' is not one of"),
        (["none.toml"], 2, "cannot read none.toml"),
        (["x.toml", "--builtin", "ocean-delay"], 2, "not both"),
        (["--snapshot", "abcd", "--snapshot-file", "x.npz"], 2, "not both"),
        ([], 1, "NOT_RUNNING: "),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_code_and_a_remedy(
    capsys, folder, words, status, says
):
    found, out, err = called(capsys, folder, *words)

    assert found == status
    assert says in err
    assert not out


def test_a_wrong_scenario_is_refused_before_anything_is_forked(capsys, folder):
    file = folder / "wrong.toml"
    file.write_text('name = "x"\n[[port_delay]]\nnaem = "a"\n')

    status, _, err = called(capsys, folder, str(file))

    assert status == 1
    assert "SCENARIO_INVALID: wrong.toml: port_delay[0].naem is no field; did you mean name?" in err
