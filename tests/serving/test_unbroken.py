"""Ctrl-C while a streaming call is begun leaves a client that can be closed."""

import subprocess
import sys

from tests.serving.lone import ROOT

# Pressed when grpc is about to start the thread that serves a channel's calls: the call is in its
# channel by then. Nobody need listen at the address.
PRESSED = """
import os, signal, threading
from serving.client import Client

start, pressed = threading.Thread.start, []

def pressing(thread):
    if "grpc" in getattr(thread._target, "__module__", "") and not pressed:
        pressed.append(thread)
        os.kill(os.getpid(), signal.SIGINT)
    start(thread)

threading.Thread.start = pressing
client = Client("127.0.0.1:1", "token")
try:
    for _ in client.subscribe(patience_s=0.0):
        pass
except KeyboardInterrupt:
    print("interrupted", len(pressed), flush=True)
client.close()
print("closed")
"""


def test_a_client_that_was_interrupted_as_it_began_a_stream_can_be_closed():
    ran = subprocess.run(
        [sys.executable, "-c", PRESSED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("interrupted 1\nclosed\n", 0), ran.stderr
