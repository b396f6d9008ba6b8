import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training import artifact
from twin.errors import BadRequest
from twin.features import FEATURES
from twin.forecast import RULE, lane_forecast


@pytest.fixture
def registry(published, tmp_path):
    """A registry of its own with three equal versions, the first of them promoted."""
    model = artifact.load(published[0], "eta")
    for _ in range(3):
        artifact.publish(tmp_path, "eta", model.tensors, model.manifest)
    artifact.promote(tmp_path, "eta", "1")
    return tmp_path


def code_of(call, *args):
    with pytest.raises(BadRequest, match="twin train") as refused:
        call(*args)
    return refused.value.code


def test_versions_are_numbered_and_carry_what_was_published(registry, published):
    model = artifact.load(registry, "eta")

    assert artifact.versions(registry, "eta") == ["1", "2", "3"]
    assert model.answered_by == "model/eta@1"
    assert model.manifest.offsets == {"shipment/east/0": 41}
    assert set(model.manifest.metrics) == {"model", "lane_median", "promised_date"}
    assert model.manifest.metrics == published[1].metrics


def test_a_published_folder_holds_two_files_and_no_pickle(registry):
    names = sorted(path.name for path in (registry / "eta" / "1").iterdir())

    assert names == ["manifest.json", "model.safetensors"]
    assert json.loads((registry / "eta" / "1" / "manifest.json").read_bytes())["seed"] == 7


def test_nothing_published_is_a_missing_model(tmp_path):
    assert code_of(artifact.load, tmp_path, "eta") == "MODEL_MISSING"
    assert code_of(artifact.load, tmp_path, "eta", "7") == "MODEL_MISSING"
    assert code_of(artifact.load, tmp_path, "eta", "../eta") == "MODEL_MISSING"
    assert code_of(artifact.lanes_of, tmp_path, "eta") == "MODEL_MISSING"


def test_one_changed_byte_is_a_mismatch(registry):
    path = registry / "eta" / "1" / artifact.TENSORS
    body = bytearray(path.read_bytes())
    body[-3] ^= 1
    path.write_bytes(body)

    assert code_of(artifact.load, registry, "eta") == "MODEL_HASH_MISMATCH"


def test_a_damaged_manifest_is_a_mismatch(registry):
    (registry / "eta" / "1" / artifact.MANIFEST).write_bytes(b'{"name": "eta"')

    assert code_of(artifact.load, registry, "eta") == "MODEL_HASH_MISMATCH"


def test_a_missing_file_is_a_missing_model(registry):
    (registry / "eta" / "1" / artifact.TENSORS).unlink()

    assert code_of(artifact.load, registry, "eta") == "MODEL_MISSING"


def test_weights_that_are_not_finite_are_refused_when_published(registry):
    model = artifact.load(registry, "eta")
    broken = {name: value.copy() for name, value in model.tensors.items()}
    broken["layers.1.bias"][0] = np.nan

    assert code_of(artifact.publish, registry, "eta", broken, model.manifest) == "MODEL_GATE_FAILED"
    assert artifact.versions(registry, "eta") == ["1", "2", "3"]


def test_answers_out_of_range_are_refused(registry):
    model = artifact.load(registry, "eta")
    wild = dict(model.tensors) | {"layers.2.bias": np.full(4, 1e6, dtype=np.float32)}
    inputs = np.zeros((1, len(FEATURES)), dtype=np.float32)
    manifest = msgspec.structs.replace(model.manifest, probe=artifact.probe(wild, inputs))

    assert code_of(artifact.publish, registry, "eta", wild, manifest) == "MODEL_GATE_FAILED"


def test_a_model_of_other_features_is_refused(registry):
    path = registry / "eta" / "1" / artifact.MANIFEST
    held = json.loads(path.read_bytes())
    path.write_text(json.dumps(held | {"feature_hash": "0" * 64}))

    assert code_of(artifact.load, registry, "eta") == "MODEL_GATE_FAILED"


def test_a_model_that_failed_the_gate_is_never_promoted(registry):
    model = artifact.load(registry, "eta")
    manifest = msgspec.structs.replace(model.manifest, gate=False)
    version = artifact.publish(registry, "eta", model.tensors, manifest)

    assert code_of(artifact.promote, registry, "eta", version) == "MODEL_GATE_FAILED"
    assert artifact.current(registry, "eta") == "1"


def test_a_rollback_returns_to_what_was_promoted_before(registry):
    artifact.promote(registry, "eta", "3")
    artifact.promote(registry, "eta", "2")

    assert artifact.rollback(registry, "eta") == "3"
    assert artifact.rollback(registry, "eta") == "1"
    assert artifact.rollback(registry, "eta") == ""
    assert artifact.current(registry, "eta") == ""
    assert code_of(artifact.rollback, registry, "eta") == "MODEL_MISSING"


def test_a_promotion_cut_short_does_not_spoil_the_rollback(registry):
    artifact.promote(registry, "eta", "2")
    (registry / "eta" / artifact.HISTORY).write_text('["", "1", "2"]')

    assert artifact.rollback(registry, "eta") == "1"


def test_the_rule_reads_the_newest_table_that_can_be_read(registry):
    (registry / "eta" / "3" / artifact.MANIFEST).write_bytes(b"")

    lanes = artifact.lanes_of(registry, "eta")

    assert len(lanes) == 3


def test_a_forecast_is_held_to_now_and_says_who_answered(registry, columns, now_us):
    model = artifact.load(registry, "eta")
    overdue = columns["promised_at"] < now_us

    answer = model.forecast(columns, now_us)

    assert answer.answered_by == "model/eta@1"
    assert lane_forecast(model.lanes, columns, now_us).answered_by == RULE
    assert (answer.late_p[overdue] == 1.0).all()
    assert (columns["promised_at"] + answer.p10 * 86_400e6 >= now_us - 1).all()


@settings(max_examples=30, deadline=None)
@given(
    arrays(
        np.float32,
        (4, len(FEATURES)),
        elements=st.floats(-1e4, 1e4, width=32) | st.just(float("nan")),
    )
)
def test_whatever_goes_in_quantiles_are_sorted_and_chances_are_chances(published, inputs):
    model = artifact.load(published[0], "eta")

    answers = artifact.forward(model.tensors, inputs)

    assert np.isfinite(answers).all()
    assert (np.diff(answers[:, :3], axis=1) >= 0).all()
    assert ((answers[:, 3] >= 0) & (answers[:, 3] <= 1)).all()
