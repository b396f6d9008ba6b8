"""A lone gateway: a process in front of shards elsewhere, on ports that stay the same."""

import json
import os
import signal
import subprocess
import sys

import msgspec

from cluster.config import Config
from serving.client import Client, minter
from serving.patience import patiently
from tests.serving.lone import ROOT
from tests.system.running import free_base
from twin.errors import Retryable

START_S = 30


class LoneGateway:
    """The gateway of the east. It can be ended, killed, stopped as it stands, and begun again."""

    def __init__(self, folder):
        self.folder = folder
        self.http_port = free_base()
        self.address = f"127.0.0.1:{self.http_port + 1}"
        (folder / "config.json").write_bytes(msgspec.json.encode(Config(serve=False)))
        (folder / "gateways.json").write_text(json.dumps({"east": self.address}))
        self.process = None

    def client(self):
        return Client(self.address, minter(self.folder, "test"))

    def begin(self):
        """Begin it, and wait until it answers."""
        assert self.process is None
        ports = ("--grpc-port", self.address.rpartition(":")[2], "--http-port", self.http_port)
        words = ("--folder", self.folder, "--region", "east", *ports)
        command = [sys.executable, "-m", "cluster.gateway", *map(str, words)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        with self.client() as client:
            patiently(lambda: self._answered(client), START_S)

    def end(self, number=signal.SIGTERM):
        """End the process by a signal, and wait until it has gone."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_S)
            self.process = None

    def stop(self):
        """Stop the process, as it stands."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def _answered(self, client):
        assert self.process.poll() is None, "the gateway ended"
        try:
            client.status()
        except Retryable as e:
            e.retry_after = 0.05
            raise
