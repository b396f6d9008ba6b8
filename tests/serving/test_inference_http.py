"""The HTTP surface of a replica: statuses, code words, headers and the protocol's own shapes."""

import asyncio
import json

import httpx
import pytest

from serving.access import Verifier, ensure_key, mint
from serving.inference import Inference
from serving.inference_http import create_app
from serving.inference_models import Shelf
from tests.serving.inference_recorder import NOW, MemoryTwin, delivered, publish_model, shipment
from twin.errors import Recovering
from twin.features import FEATURES

ID = {"inputs": [{"name": "id", "shape": [1], "datatype": "BYTES", "data": ["86606"]}]}


class Caller:
    """Asks an application without a network in between."""

    def __init__(self, app, token):
        self._app = app
        self.headers = {"authorization": f"Bearer {token}"}

    def get(self, path, **more):
        return asyncio.run(self._send("GET", path, **more))

    def post(self, path, **more):
        return asyncio.run(self._send("POST", path, **more))

    async def _send(self, method, path, headers=(), **more):
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(
                method, path, headers={**self.headers, **dict(headers)}, **more
            )


@pytest.fixture
def world(tmp_path):
    ensure_key(tmp_path / "key")
    twin = MemoryTwin({"86606": shipment(), "came": delivered(1)})
    shelf = Shelf(tmp_path / "models")
    inference = Inference("east", twin, shelf, lambda: NOW)
    verify = Verifier(tmp_path / "key", "east").verify
    token = mint(tmp_path / "key", name="test", scopes=["read"])
    client = Caller(create_app(inference, verify, "0.1.0", lambda: {"rounds": 3}), token)
    client.folder, client.shelf, client.twin = tmp_path, shelf, twin
    return client


@pytest.fixture
def served(world):
    publish_model(world.folder / "models", shift_days=1.0)
    world.shelf.look()
    return world


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def test_a_prediction_names_its_mode_in_a_header(served):
    reply = served.post("/v1/predict/eta", json={"id": "86606"})

    assert reply.status_code == 200
    assert reply.headers["twin-mode"] == "normal"
    assert reply.json()["answered_by"] == "model/eta@1"


def test_without_a_model_the_rule_answers_degraded_and_readiness_says_why(world):
    predicted = world.post("/v1/predict/eta", json={"id": "86606"})
    ready = world.get("/v2/models/eta/ready")
    inferred = world.post("/v2/models/eta/infer", json=ID)
    alive = world.get("/v2/health/live")

    assert (predicted.status_code, predicted.headers["twin-mode"]) == (200, "degraded")
    assert predicted.json()["answered_by"] == "rule/lane-median@1"
    assert ready.status_code == world.get("/v2/health/ready").status_code == 503
    assert (ready.json()["ready"], ready.json()["code"]) == (False, "MODEL_MISSING")
    assert "twin train" in ready.json()["detail"]
    assert inferred.json()["parameters"]["answered_by"] == "rule/lane-median@1"
    assert "model_version" not in inferred.json()
    assert (alive.status_code, alive.json()) == (200, {"live": True})


def test_the_protocol_answers_at_its_own_addresses(served):
    server = served.get("/v2").json()
    metadata = served.get("/v2/models/eta").json()
    version = served.get("/v2/models/eta/versions/1").json()
    ready = served.get("/v2/models/eta/versions/1/ready").json()
    inferred = served.post("/v2/models/eta/versions/1/infer", json={"id": "q1", **ID}).json()

    assert server == {"name": "supply-twin", "version": "0.1.0", "extensions": []}
    assert metadata == version
    assert (metadata["name"], metadata["versions"]) == ("eta", ["1"])
    assert metadata["inputs"][0]["shape"] == [-1, len(FEATURES)]
    assert metadata["properties"]["features"].split(",") == list(FEATURES)
    assert ready == {"name": "eta", "ready": True}
    assert (inferred["model_name"], inferred["model_version"], inferred["id"]) == ("eta", "1", "q1")
    assert {output["name"] for output in inferred["outputs"]} >= {"p10", "p50", "p90", "eta_p50"}


def test_probes_need_no_token_and_answers_do(served, tmp_path):
    del served.headers["authorization"]
    foreign = mint(tmp_path / "key", name="test", scopes=["read"], region="west")
    writer = mint(tmp_path / "key", name="test", scopes=["write"])
    tried = [
        served.post("/v1/predict/eta", json={"id": "86606"}),
        served.post("/v2/models/eta/infer", json=ID, headers={"authorization": "Bearer x"}),
        served.post(
            "/v2/models/eta/infer", json=ID, headers={"authorization": f"Bearer {foreign}"}
        ),
        served.get("/v1/predict/state", headers={"authorization": f"Bearer {writer}"}),
    ]

    probes = [served.get(path).status_code for path in ("/v2/health/live", "/v2/health/ready")]

    assert probes == [200, 200]
    assert [(reply.status_code, reply.json()["code"]) for reply in tried] == [
        (401, "TOKEN_MISSING"),
        (401, "TOKEN_INVALID"),
        (401, "TOKEN_AUDIENCE"),
        (403, "SCOPE_MISSING"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/predict/eta", b'{"id": "nope"}', 404, "ENTITY_NOT_FOUND"),
        ("/v1/predict/eta", b'{"id": "came"}', 409, "ALREADY_DELIVERED"),
        ("/v1/predict/eta", b'{"id": "../../etc"}', 400, "BAD_ID"),
        ("/v1/predict/eta", b'{"id": "a", "id": "b"}', 400, "DUPLICATE_FIELD"),
        ("/v1/predict/eta", b"{}", 400, "INVALID_ARGUMENT"),
        ("/v1/predict/eta", b"\xff", 400, "MALFORMED"),
        ("/v1/predict/eta", b"[" * 100_000, 400, "TOO_DEEP"),
        ("/v1/predict/eta", b" " * (1 << 20) + b"{}", 413, "MESSAGE_TOO_LARGE"),
        ("/v2/models/eta/infer", b"{}", 400, "MALFORMED"),
        ("/v2/models/eta/infer", b'{"inputs": [{"name": NaN}]}', 400, "NOT_FINITE"),
        ("/v2/models/eta/infer", b'{"inputs": [{"name": "x"}]}', 400, "TENSOR_UNKNOWN"),
        ("/v2/models/other/infer", json.dumps(ID).encode(), 404, "MODEL_UNKNOWN"),
        ("/v2/models/eta/versions/9/infer", json.dumps(ID).encode(), 404, "MODEL_UNKNOWN"),
        ("/v2/models/eta/nothing", b"{}", 404, "NOT_FOUND"),
        ("/v2/health/live", b"{}", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_bad_input_gets_its_exact_answer(served, path, body, status, code):
    reply = served.post(path, content=body)

    told = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, told["status"], told["code"]) == (status, status, code)
    assert told["error"] == told["detail"]
    assert len(told["trace_id"]) == 32
    assert int(reply.headers["content-length"]) == len(reply.content)


def test_raw_features_without_a_model_are_retryable_with_the_next_step(world):
    row = [0.0] * len(FEATURES)
    tensor = {"name": "features", "shape": [1, len(row)], "datatype": "FP32", "data": row}

    reply = world.post("/v2/models/eta/infer", json={"inputs": [tensor]})

    assert (reply.status_code, reply.json()["code"]) == (503, "MODEL_MISSING")
    assert "twin train" in reply.json()["detail"]
    assert reply.headers["retry-after"] == "5"


def test_a_shard_that_recovers_is_told_as_such(served):
    served.twin.fault = Recovering("shipment/east/0 is replaying its journal", 0.5)

    reply = served.post("/v1/predict/eta", json={"id": "86606"})

    assert (reply.status_code, reply.json()["code"]) == (503, "SHARD_RECOVERING")
    assert reply.headers["twin-mode"] == "degraded"
    assert reply.headers["retry-after"] == "1"


def test_an_unexpected_fault_leaves_with_a_trace_and_nothing_else(served):
    served.twin.rows = None

    reply = served.post("/v1/predict/eta", json={"id": "86606"})

    assert (reply.status_code, reply.json()["code"]) == (500, "INTERNAL")
    assert "NoneType" not in reply.text


def test_what_the_replica_does_is_told_to_operators(served):
    assert served.get("/v1/predict/state").json() == {"rounds": 3}
