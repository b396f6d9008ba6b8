"""A command that goes on until Ctrl-C, in a process of its own."""

import signal
import subprocess
import sys

from tests.serving.lone import ROOT

WAIT_S = 40


class Command:
    """`twin WORDS --folder FOLDER`."""

    def __init__(self, folder, *words):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cluster.cli", *words, "--folder", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def lines(self):
        """Yield what it prints, line by line, until it ends."""
        yield from self._process.stdout

    def interrupt(self):
        """Press Ctrl-C, once; return (status, what it said on stderr)."""
        self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(WAIT_S)
        finally:
            self._process.kill()  # nothing, unless it goes on
        return status, self._process.stderr.read()

    def close(self):
        self._process.stdout.close()
        self._process.stderr.close()
