"""A little object storage that speaks S3 over HTTP: what a bucket is asked here, and no more."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

DATE, ETAG = "Mon, 26 Aug 2013 12:00:00 GMT", '"1"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key, asked = self._asked()
        if "list-type" in asked:
            self._list(asked.get("prefix", [""])[0])
        elif key in self.server.objects:
            self._answer(200, self.server.objects[key])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self):
        key, _ = self._asked()
        content = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            if self.headers.get("if-none-match") == "*" and key in self.server.objects:
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            self.server.objects[key] = content
        self._answer(200)

    def do_DELETE(self):
        key, _ = self._asked()
        self.server.objects.pop(key, None)
        self._answer(204)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        keys = re.findall("<Key>(.*?)</Key>", body)
        for key in keys:
            self.server.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

    def _list(self, prefix):
        found = sorted(key for key in self.server.objects if key.startswith(prefix))
        own = [key for key in found if "/" not in key[len(prefix) :]]
        deeper = {prefix + key[len(prefix) :].partition("/")[0] + "/" for key in found} - set(own)
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2013-08-26T12:00:00.000Z"
            f"</LastModified><ETag>{ETAG}</ETag><Size>{len(self.server.objects[key])}</Size>"
            "</Contents>"
            for key in own
        )
        folders = "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>"
            for one in sorted(deeper)
            if one.rstrip("/") not in own
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}{folders}"
        self._answer(200, f"{text}</ListBucketResult>".encode())

    def _asked(self):
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix("/bucket").removeprefix("/")
        return key, parse_qs(parts.query, keep_blank_values=True)

    def _answer(self, status, body=b""):
        self.server.asked.append((self.command, status))
        self.send_response(status)
        self.send_header("ETag", ETAG)
        self.send_header("Last-Modified", DATE)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def bucket_server():
    """Serve an empty bucket on loopback; yield the server, whose `asked` tells every answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.objects, server.asked, server.lock = {}, [], threading.Lock()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
