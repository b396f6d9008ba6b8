"""A real receiver of webhooks: one that takes, refuses, hangs up, drips, or never answers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.serving.alerting import condition, wait_for


class Receiver:
    """An endpoint that notes what it gets. `says`: for each message a status, or what it does."""

    def __init__(self, *says):
        self.got = []
        self.free = threading.Event()
        said = iter(says)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.got.append((dict(handler.headers), body))
                what = next(said, 200)
                if what == "hang":
                    self.free.wait(30)
                elif what == "drip":
                    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not self.free.wait(0.02):
                        try:
                            handler.wfile.write(b"x: y\r\n")
                        except OSError:
                            return
                elif what == "drop":
                    handler.connection.close()
                elif isinstance(what, tuple):
                    handler.send_response(what[0])
                    handler.send_header("location", what[1])
                    handler.end_headers()
                else:
                    handler.send_response(what)
                    handler.end_headers()

            def log_message(handler, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts?team=cold"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def ids(self):
        return [headers["webhook-id"] for headers, _ in self.got]

    @property
    def said(self):
        return [json.loads(body) for _, body in self.got]

    def close(self):
        self.free.set()
        self.server.shutdown()
        self.server.server_close()


def raised(client, subject="S1"):
    client.ingest([condition(subject, 14.0)])
    wait_for(client, f"shipment:{subject}:warm", "OPEN")
