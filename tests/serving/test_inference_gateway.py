"""Predictions at a gateway: the replica's answer while there is one, the rule's when not."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from serving.inference import Inference
from serving.inference_gateway import AWAY, ServeOrRule
from serving.inference_models import Shelf
from tests.serving.inference_recorder import NOW, MemoryTwin, publish_model, shipment


class Replica(BaseHTTPRequestHandler):
    """Says what the test wants said, and keeps what it was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(
            (self.path, self.headers["authorization"], msgspec.json.decode(body))
        )
        status, said, mode = self.server.says
        raw = said if isinstance(said, bytes) else msgspec.json.encode(said)
        self.send_response(status)
        self.send_header("twin-mode", mode)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


@pytest.fixture
def replica():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Replica)
    server.asked, server.says = [], (200, {"id": "86606", "answered_by": "model/eta@1"}, "normal")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def gateway(registry, url):
    publish_model(registry, shift_days=1.0)
    twin = MemoryTwin({"86606": shipment()})
    rule = Inference("east", twin, Shelf(registry), lambda: NOW, by_rule=AWAY)
    return ServeOrRule(url, lambda: "secret", rule)


def test_a_replica_that_answers_is_passed_on_with_its_mode(tmp_path, replica):
    predict = gateway(tmp_path, f"http://127.0.0.1:{replica.server_port}/east")

    answer = asyncio.run(predict({"id": "86606"}))

    assert answer == (200, {"id": "86606", "answered_by": "model/eta@1"}, "normal")
    assert replica.asked == [("/east/v1/predict/eta", "Bearer secret", {"id": "86606"})]


def test_a_refusal_is_the_callers_and_passed_on(tmp_path, replica):
    replica.says = (404, {"code": "ENTITY_NOT_FOUND", "detail": "no such id"}, "normal")
    predict = gateway(tmp_path, f"http://127.0.0.1:{replica.server_port}/east")

    assert asyncio.run(predict({"id": "nope"})) == replica.says


@pytest.mark.parametrize(
    "says",
    [
        (503, {"code": "SERVE_UNAVAILABLE", "detail": "no replica"}, "degraded"),
        (408, b"Request timed out after 5.0s.", "normal"),
        (404, b"Path '/east' not found. Ping /-/routes", "normal"),
        (500, b"Internal Server Error", "normal"),
    ],
)
def test_while_no_replica_answers_the_rule_does_and_says_so(tmp_path, replica, says):
    replica.says = says
    predict = gateway(tmp_path, f"http://127.0.0.1:{replica.server_port}/east")

    status, answer, mode = asyncio.run(predict({"id": "86606"}))

    assert (status, mode) == (200, "degraded")
    assert answer["answered_by"] == "rule/lane-median@1"
    assert answer["reason"] == "SERVE_UNAVAILABLE"
    assert answer["eta_p50"] == answer["eta_baseline"]


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/east"])
def test_before_serve_has_joined_the_rule_answers(tmp_path, url):
    predict = gateway(tmp_path, url)

    status, answer, mode = predict.answer({"id": "86606"})

    assert (status, mode, answer["answered_by"]) == (200, "degraded", "rule/lane-median@1")


def test_the_rule_refuses_what_the_model_would_refuse(tmp_path):
    predict = gateway(tmp_path, "")

    unknown = predict.answer({"id": "nope"})
    bad = predict.answer({"id": "../x"})

    assert (unknown[0], unknown[1]["code"]) == (404, "ENTITY_NOT_FOUND")
    assert (bad[0], bad[1]["code"]) == (400, "BAD_ID")
