"""Faults of a real disk: the N-th call fails, and nothing that was acknowledged is lost."""

import json
import subprocess
import sys

import pytest

from tests.serving.lone import ROOT

SHORT = [("pwrite", "once", "write"), ("fdatasync", "always", "write"), ("fsync", "once", "start")]
CALLS = ("pwrite", "fdatasync", "fsync", "open", "rename", "link")
LONG = [(call, often, "write") for call in CALLS for often in ("once", "always")]
LONG += [
    (call, "once", "start")
    for call in ("fsync", "link", "pwrite", "mkdir", "unlink", "listdir", "open", "pread")
]
CASES = [pytest.param(*c, id="-".join(c)) for c in SHORT]
CASES += [pytest.param(*c, id="-".join(c), marks=pytest.mark.slow) for c in LONG if c not in SHORT]
LEAST = {"pwrite": 20, "fdatasync": 9, "fsync": 10, "open": 10, "rename": 1, "link": 1}


@pytest.mark.parametrize(("call", "often", "act"), CASES)
def test_the_nth_call_that_fails_loses_nothing_that_was_acknowledged(tmp_path, call, often, act):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.actors.failing", tmp_path, call, often, act],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout)
    assert told["hit"] == 0  # so every call there is was failed
    assert told["faults"] >= (LEAST[call] if act == "write" else 1)
    assert told["lost"] == 0
