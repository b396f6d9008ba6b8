"""Learning, predicting and asking what if, on the running twin: who answered is always said."""

import json

import httpx
import msgspec
import pytest
from safetensors import safe_open

from serving.access import mint
from tests.system.running import kill, until
from twin.features import FEATURES

WIDTH = len(FEATURES)
RULE = "rule/lane-median@1"
HELD = "promised_at > '2013-09-01' AND delivered_at IS ABSENT AND eta_baseline IS KNOWN"

pytestmark = pytest.mark.ray


class Ways:
    """The two ways to a prediction over HTTP: the region's gateway, and Serve itself."""

    def __init__(self, twin):
        base, serve = twin.config.http_port("east"), twin.config.serve_port
        self.urls = {
            "gateway": f"http://127.0.0.1:{base}",
            "serve": f"http://127.0.0.1:{serve}/east",
        }
        token = mint(twin.folder / "key", name="test", scopes=["read"])
        self.headers = {"authorization": f"Bearer {token}"}

    def ask(self, way, body, path="/v1/predict/eta", headers=None):
        headers = self.headers if headers is None else headers
        return httpx.post(f"{self.urls[way]}{path}", json=body, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def ways(served):
    return Ways(served)


@pytest.fixture(scope="module")
def shipment(served, beginning):
    """An open shipment of the east, the one promised last: nothing about it is overdue."""
    return next(t.id for t in reversed(beginning.open.twins) if t.region == "east")


@pytest.fixture(scope="module")
def untrained(served, ways, shipment):
    """What was said before there was a model."""
    asked = {way: ways.ask(way, {"id": shipment}) for way in ways.urls}
    raw = {"inputs": [features(1)]}
    asked["raw"] = ways.ask("serve", raw, "/v2/models/eta/infer")
    asked["cli"] = served.twin("predict", shipment, "--json")
    return asked


@pytest.fixture(scope="module")
def trained(served, untrained):
    """What `twin train` reported."""
    told = served.twin("train", "--inline", "--json")
    assert told.status == 0, told
    return told.json


def features(rows):
    data = [None] * WIDTH * rows
    return {"name": "features", "datatype": "FP32", "shape": [rows, WIDTH], "data": data}


def test_without_a_model_the_lane_table_answers_and_says_so(untrained, shipment):
    for way in ("gateway", "serve"):
        reply, answer = untrained[way], untrained[way].json()
        assert (reply.status_code, reply.headers["twin-mode"]) == (200, "degraded")
        assert (answer["id"], answer["answered_by"]) == (shipment, RULE)
        assert (answer["mode"], answer["reason"]) == ("degraded", "MODEL_MISSING")
        assert "twin train" in answer["remedy"]
        assert answer["eta_p50"] == answer["eta_baseline"]
    told = untrained["cli"]
    assert (told.status, told.json["answered_by"]) == (3, RULE)


def test_raw_tensors_without_a_model_are_refused_with_the_next_step(untrained):
    reply = untrained["raw"]

    assert reply.status_code == 503
    assert reply.json()["code"] == "MODEL_MISSING"
    assert "twin train" in reply.json()["error"]


def test_training_prints_the_baseline_beside_the_model_and_splits_by_time(trained):
    split, metrics = trained["split"], trained["metrics"]

    assert {"model", "lane_median", "promised_date"} == set(metrics)
    for scores in metrics.values():
        assert scores["mae"] > 0
        assert 0 < scores["coverage"] <= 1
    assert split["train"] > 1000
    assert split["valid"] > 100
    assert split["test"] > 100
    assert split["first_at"] < split["valid_at"] < split["cut_at"] < split["last_at"]
    assert split["last_at"] <= "2014-03-01"
    assert trained["verdict"]


def test_the_registry_holds_tensors_and_a_manifest_and_nothing_pickled(served, trained):
    version = trained["version"]
    folder = served.folder / "models" / "eta"

    assert (folder / "current").read_text().strip() == version
    assert {file.name for file in (folder / version).iterdir()} == {
        "model.safetensors",
        "manifest.json",
    }
    manifest = json.loads((folder / version / "manifest.json").read_text())
    with safe_open(folder / version / "model.safetensors", "numpy") as file:
        assert file.keys()
    assert manifest["features"] == list(FEATURES)


def test_predictions_come_back_as_events_beside_the_baseline(served, trained, shipment):
    source = f"model/eta@{trained['version']}"

    with served.client() as client:

        def predicted():
            twin = client.get("shipment", shipment)
            return twin if twin.values["eta_p50"].source == source else None

        twin = until(predicted, f"a prediction by {source}", 60)
        p50 = twin.values["eta_p50"]
        receipt = client.receipt(f"{twin.shard}/{p50.offset}")
        regions = {t.region for t in client.search("shipment", HELD, ["eta_p50"], limit=2000).twins}

    order = ["eta_p10", "eta_p50", "eta_p90"]
    assert [twin.values[n].value for n in order] == sorted(twin.values[n].value for n in order)
    assert twin.values["eta_baseline"].offset == p50.offset
    assert 0 <= twin.values["late_p"].value <= 1
    assert 0 < p50.confidence <= 1
    assert (receipt.type, receipt.source) == ("shipment.predicted.v1", source)
    assert receipt.writer == "serve-east"
    assert regions == {"east", "west"}


def test_the_gateway_and_serve_give_one_answer_and_it_is_the_models(trained, ways, shipment):
    source = f"model/eta@{trained['version']}"
    until(
        lambda: ways.ask("serve", {"id": shipment}).json()["answered_by"] == source,
        "the replica to hold the model",
    )

    gateway, serve = (ways.ask(way, {"id": shipment}) for way in ("gateway", "serve"))

    assert (gateway.status_code, serve.status_code) == (200, 200)
    for reply in (gateway, serve):
        answer = reply.json()
        assert (answer["answered_by"], answer["mode"]) == (source, "normal")
        assert answer["eta_p10"] <= answer["eta_p50"] <= answer["eta_p90"]
        assert answer["lineage"]
        assert 0 < answer["inputs_confidence"] <= 1
    for name in ("eta_p10", "eta_p50", "eta_p90", "eta_baseline", "late_p", "lineage"):
        assert gateway.json()[name] == serve.json()[name], name


def test_open_inference_takes_raw_tensors_and_shipments_by_key(trained, ways, shipment):
    by_key = {"name": "id", "datatype": "BYTES", "shape": [1], "data": [shipment]}

    raw = ways.ask("serve", {"id": "a", "inputs": [features(3)]}, "/v2/models/eta/infer")
    keyed = ways.ask("serve", {"inputs": [by_key]}, "/v2/models/eta/infer")
    wrong = ways.ask(
        "serve",
        {"inputs": [features(1) | {"shape": [1, 2], "data": [0, 0]}]},
        "/v2/models/eta/infer",
    )

    assert raw.status_code == 200
    assert (raw.json()["id"], raw.json()["model_version"]) == ("a", trained["version"])
    outputs = {one["name"]: one["data"] for one in raw.json()["outputs"]}
    assert {name: len(data) for name, data in outputs.items()} == dict.fromkeys(outputs, 3)
    assert {"p10", "p50", "p90", "late_p"} <= outputs.keys()
    assert "eta_p50" in {one["name"] for one in keyed.json()["outputs"]}
    assert (wrong.status_code, wrong.json()["code"]) == (400, "SHAPE_MISMATCH")


@pytest.mark.parametrize("way", ["gateway", "serve"])
def test_a_prediction_wants_a_token_and_a_shipment_that_is_still_to_come(ways, beginning, way):
    shipments = beginning.columns["shipment"]
    done = next(
        id
        for id, region, at in zip(
            shipments["id"], shipments["region"], shipments["delivered_at"], strict=True
        )
        if region == "east" and at > 0
    )

    anonymous = ways.ask(way, {"id": done}, headers={})
    unknown = ways.ask(way, {"id": "no-such"})
    delivered = ways.ask(way, {"id": done})
    empty = ways.ask(way, {})

    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "TOKEN_MISSING")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "ENTITY_NOT_FOUND")
    assert (delivered.status_code, delivered.json()["code"]) == (409, "ALREADY_DELIVERED")
    assert (empty.status_code, empty.json()["code"]) == (400, "INVALID_ARGUMENT")


def test_a_killed_replica_gives_clean_answers_and_comes_back(served, trained, ways, shipment):
    source = f"model/eta@{trained['version']}"

    def replicas():
        return {one.pid for one in served.traces() if one.role.startswith("ray::ServeRepli")}

    before = replicas()
    said = []

    for pid in before:
        kill(pid)

    def back():
        replies = {way: ways.ask(way, {"id": shipment}) for way in ("gateway", "serve")}
        said.append(
            {way: (r.status_code, msgspec.json.decode(r.content)) for way, r in replies.items()}
        )
        return all(answer.get("answered_by") == source for _, answer in said[-1].values())

    until(back, "the model to answer again", 90)
    until(lambda: len(replicas()) == 2, "a replica for each region", 60)

    assert len(before) == 2
    assert not before & replicas()
    for answers in said:
        status, answer = answers["gateway"]
        assert status == 200
        assert answer["answered_by"] in {source, RULE}
        assert (answer["mode"] == "degraded") == (answer["answered_by"] == RULE)
        status, answer = answers["serve"]
        assert status in {200, 503}
        assert status == 200 or answer["code"]


def test_a_study_of_200_futures_gives_paired_differences_with_intervals_and_a_report(served):
    told = served.twin("scenario", "run", "--futures", "200", "--json")

    assert told.status == 0, told
    study = told.json
    assert study["futures"] == 200
    assert study["due"] > 100
    assert len(study["arms"]) >= 2
    for arm in study["arms"].values():
        for one in arm["differences"]:
            assert one["low"] <= one["diff"] <= one["high"], one
    report = (served.folder.parent / study["report"]).read_text()
    assert report.startswith("<!doctype html>")
    again = served.twin(*study["repeat"].split()[1:-2], "--json")
    assert again.json["arms"] == study["arms"]
