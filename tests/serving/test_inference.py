"""Predictions by shipment key: who answers, from what, and what is said when no model does."""

import numpy as np
import pytest

from serving import oip
from serving.inference import Inference, gather
from serving.inference_models import Shelf
from tests.serving.inference_recorder import NOW, MemoryTwin, delivered, publish_model, shipment
from training.artifact import promote
from twin.errors import BadRequest, Recovering, TooLarge, TwinError, UnknownKey
from twin.features import FEATURES, INPUTS
from twin.forecast import RULE
from twin.lanes import DAY_US


def region(registry, rows, **more):
    twin = MemoryTwin(rows)
    shelf = Shelf(registry)
    shelf.look()
    return twin, Inference("east", twin, shelf, lambda: NOW, **more)


def test_the_model_answers_beside_its_baseline_with_the_age_and_origin_of_its_inputs(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, inference = region(tmp_path, {"86606": shipment()})

    answer = inference.predict({"id": "86606"})

    assert answer["answered_by"] == "model/eta@1"
    assert answer["mode"] == "normal"
    assert answer["promised_at"] == "2013-09-21T00:00:00Z"
    assert answer["eta_baseline"] == "2013-09-25T12:00:00Z"  # 0..9 days late: 4.5 in the middle
    assert answer["eta_p50"] == "2013-09-26T12:00:00Z"
    assert answer["eta_p10"] < answer["eta_p50"] < answer["eta_p90"]
    assert answer["delay_days"]["p50"] == pytest.approx(5.5)
    assert 0 < answer["confidence"] < 1
    assert answer["inputs_age_ms"] == 86_400_000
    assert answer["inputs_confidence"] == 0.9
    assert set(answer["lineage"]) == {"shipment/east/0/7"}


def test_without_a_promoted_model_the_lane_table_answers_and_says_so(tmp_path):
    publish_model(tmp_path, shift_days=1.0, promoted=False)
    _, inference = region(tmp_path, {"86606": shipment()})

    answer = inference.predict({"id": "86606"})

    assert answer["answered_by"] == RULE
    assert answer["mode"] == "degraded"
    assert answer["reason"] == "MODEL_MISSING"
    assert "twin train" in answer["remedy"]
    assert answer["eta_p50"] == answer["eta_baseline"] == "2013-09-25T12:00:00Z"


def test_without_any_model_the_table_is_counted_from_the_regions_own_deliveries(tmp_path):
    rows = {f"d{n}": delivered(2) for n in range(5)} | {"86606": shipment()}
    _, inference = region(tmp_path, rows)

    answer = inference.predict({"id": "86606"})

    assert answer["answered_by"] == RULE
    assert answer["delay_days"] == {"p10": 2.0, "p50": 2.0, "p90": 2.0}


def test_where_nothing_was_ever_delivered_no_time_is_invented(tmp_path):
    _, inference = region(tmp_path, {"86606": shipment()})

    answer = inference.predict({"id": "86606"})

    assert answer["eta_p50"] is None
    assert answer["late_p"] is None
    assert answer["confidence"] == 0.0


def test_a_shipment_past_its_promise_is_not_predicted_to_have_come_already(tmp_path):
    publish_model(tmp_path, shift_days=0.0)
    _, inference = region(tmp_path, {"86606": shipment(promised_days=-90)})

    answer = inference.predict({"id": "86606"})

    assert answer["late_p"] == 1.0
    assert answer["eta_p10"] >= answer["as_of"]


def test_several_ids_keep_their_order_and_a_bad_one_fails_no_neighbour(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, inference = region(tmp_path, {"a": shipment(), "b": shipment(5), "c": delivered(1)})

    answer = inference.predict({"ids": ["b", "nope", "a", "c"]})

    told = [(row["id"], row.get("code", "")) for row in answer["predictions"]]
    assert told == [
        ("b", ""),
        ("nope", "ENTITY_NOT_FOUND"),
        ("a", ""),
        ("c", "ALREADY_DELIVERED"),
    ]
    assert answer["predictions"][0]["promised_at"] == "2013-09-06T00:00:00Z"
    assert (answer["shown"], answer["total"]) == (4, 4)


def test_an_id_nobody_knows_and_one_that_has_come_are_refused(tmp_path):
    _, inference = region(tmp_path, {"came": delivered(1)})

    with pytest.raises(UnknownKey):
        inference.predict({"id": "nope"})
    with pytest.raises(BadRequest) as refused:
        inference.predict({"id": "came"})

    assert refused.value.code == "ALREADY_DELIVERED"


def test_a_shard_that_recovers_is_no_unknown_id(tmp_path):
    twin, inference = region(tmp_path, {"86606": shipment()})
    twin.fault = Recovering("shipment/east/0 is replaying its journal", 0.5)

    with pytest.raises(Recovering):
        inference.predict({"ids": ["86606"]})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_ARGUMENT"),
        ({"id": "a", "ids": ["a"]}, "INVALID_ARGUMENT"),
        ({"id": "a", "model": "x"}, "INVALID_ARGUMENT"),
        ({"ids": []}, "INVALID_ARGUMENT"),
        ({"ids": "a"}, "INVALID_ARGUMENT"),
        ({"id": "../a"}, "BAD_ID"),
        ({"ids": ["a", 7]}, "BAD_ID"),
    ],
)
def test_a_body_that_names_no_shipment_is_refused(tmp_path, body, code):
    _, inference = region(tmp_path, {})

    with pytest.raises(TwinError) as refused:
        inference.predict(body)

    assert refused.value.code == code


def test_more_ids_than_one_request_may_ask_are_too_large(tmp_path):
    _, inference = region(tmp_path, {})

    with pytest.raises(TooLarge):
        inference.predict({"ids": ["a"] * (oip.MOST_IDS + 1)})


def test_a_newly_promoted_version_answers_after_one_look(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, inference = region(tmp_path, {"86606": shipment()})
    publish_model(tmp_path, shift_days=3.0)

    changed, again = inference.shelf.look(), inference.shelf.look()

    assert (changed, again) == (True, False)
    answer = inference.predict({"id": "86606"})
    assert answer["answered_by"] == "model/eta@2"
    assert answer["delay_days"]["p50"] == pytest.approx(7.5)


def test_a_damaged_version_never_replaces_the_one_that_answers(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, inference = region(tmp_path, {"86606": shipment()})
    publish_model(tmp_path, shift_days=3.0)
    file = tmp_path / "eta" / "2" / "model.safetensors"
    body = bytearray(file.read_bytes())
    body[-1] ^= 1
    file.write_bytes(body)

    inference.shelf.look()

    assert inference.predict({"id": "86606"})["answered_by"] == "model/eta@1"
    assert inference.held.fault is not None
    assert inference.held.fault.code == "MODEL_HASH_MISMATCH"


def test_where_no_model_is_asked_the_rule_answers_with_the_reason_given(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    away = BadRequest("no replica answers; see `twin status`", "SERVE_UNAVAILABLE")
    _, inference = region(tmp_path, {"86606": shipment()}, by_rule=away)

    answer = inference.predict({"id": "86606"})

    assert (answer["answered_by"], answer["reason"]) == (RULE, "SERVE_UNAVAILABLE")


def test_raw_features_give_what_the_shipment_itself_gets(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    twin, inference = region(tmp_path, {"86606": shipment()})
    artifact = inference.held.artifact
    assert artifact is not None
    columns = gather([twin.get("shipment", "86606")])
    row = artifact.forecast(columns, NOW)
    by_id = inference.infer(oip.Asked("", ("86606",), None, ("p50", "eta_p50")))
    zeros = np.zeros((2, len(FEATURES)), np.float32)

    raw = inference.infer(oip.Asked("q", (), zeros, ("p10", "p50")))

    assert by_id["outputs"][0]["data"] == pytest.approx([row.p50[0]])
    promise = int(columns["promised_at"][0])
    assert by_id["outputs"][1]["data"] == [promise + int(5.5 * DAY_US)]
    assert by_id["parameters"]["inputs_age_ms"] == 86_400_000
    assert raw["outputs"][1] == {
        "name": "p50",
        "datatype": "FP32",
        "shape": [2],
        "data": [1.0, 1.0],
    }
    assert (raw["model_version"], raw["id"]) == ("1", "q")


def test_raw_features_without_a_model_are_refused_with_the_next_step(tmp_path):
    _, inference = region(tmp_path, {})
    rows = np.zeros((1, len(FEATURES)), np.float32)

    with pytest.raises(BadRequest) as refused:
        inference.infer(oip.Asked("", (), rows, ("p50",)))

    assert refused.value.code == "MODEL_MISSING"
    assert "twin train" in str(refused.value)


def test_a_version_that_does_not_answer_is_unknown(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, inference = region(tmp_path, {"86606": shipment()})

    with pytest.raises(BadRequest) as refused:
        inference.infer(oip.Asked("", ("86606",), None, ("p50",)), version="9")

    assert refused.value.code == "MODEL_UNKNOWN"


def test_a_rollback_to_the_rule_is_followed(tmp_path):
    publish_model(tmp_path, shift_days=1.0)
    _, inference = region(tmp_path, {"86606": shipment()})
    (tmp_path / "eta" / "current").write_text("\n")

    inference.shelf.look()

    assert inference.predict({"id": "86606"})["answered_by"] == RULE
    promote(tmp_path, "eta", "1")
    inference.shelf.look()
    assert inference.predict({"id": "86606"})["answered_by"] == "model/eta@1"


def test_the_columns_of_a_twin_without_values_are_absent_not_zero():
    twin = MemoryTwin({"bare": {"supplier": "s"}})

    columns = gather([twin.get("shipment", "bare")])

    assert set(columns) == set(INPUTS)
    assert columns["country"][0] == ""
    assert columns["quantity"][0] == -(2**63)
