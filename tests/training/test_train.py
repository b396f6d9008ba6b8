import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from training import artifact
from training.dataset import build
from training.train import Config, fit_inline, train_and_publish

ROOT = Path(__file__).parents[2]
SMALL = Config(members=1, epochs=4)


def test_a_signal_the_lanes_do_not_hold_is_learned(published):
    _, report = published
    model, lane = report.metrics["model"], report.metrics["lane_median"]

    assert report.promoted == report.version == "1"
    assert model.mae < 0.6 * lane.mae
    assert model.pinball_p90 < 0.8 * lane.pinball_p90
    assert "The model is better" in report.verdict


def test_the_manifest_says_what_it_was_trained_on(published, now_us):
    registry, report = published

    manifest = artifact.load(registry, "eta").manifest

    assert manifest.created_us == now_us
    assert manifest.split == report.split
    assert manifest.trained_by == "in-process"
    assert set(manifest.packages) == {"numpy", "ray", "safetensors", "torch"}


def test_the_same_seed_gives_the_same_weights(columns, now_us):
    dataset = build(columns, now_us)

    first = fit_inline(dataset.train, dataset.valid, SMALL)
    second = fit_inline(dataset.train, dataset.valid, SMALL)

    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_a_model_worse_than_the_lanes_is_published_and_not_promoted(columns, now_us, tmp_path):
    cut = now_us - 274 * 86_400_000_000
    before = columns["promised_at"] < cut
    turned = dict(columns)  # what large orders meant before the cut, small ones mean after it
    turned["quantity"] = np.where(before, columns["quantity"], 90_500 - columns["quantity"])

    report = train_and_publish(turned, {}, now_us, tmp_path, tmp_path, use_ray=False)

    assert report.promoted == ""
    assert "the lane table answers" in report.verdict
    assert artifact.versions(tmp_path, "eta") == [report.version]
    assert artifact.current(tmp_path, "eta") == ""
    assert len(artifact.lanes_of(tmp_path, "eta")) == 3


THROUGH_RAY = """
import json, sys
from pathlib import Path
import numpy as np
import ray
from tests_training_conftest import START, DAY, synthetic
from training.dataset import build
from training.train import Config, fit

dataset = build(synthetic(), START + 1000 * DAY)
config = Config(members=1, epochs=4)
ray.init(
    address="local", _temp_dir=sys.argv[1], include_dashboard=False, log_to_driver=False,
    logging_level="ERROR", num_cpus=1,
)
far = fit(dataset, config, use_ray=True, storage=Path(sys.argv[2]))
near = fit(dataset, config, use_ray=False)
left = [path.name for path in Path(sys.argv[2]).iterdir()]
ray.shutdown()
equal = all(np.array_equal(far[name], value) for name, value in near.items())
sys.stdout.write(json.dumps({"equal": equal, "names": sorted(far) == sorted(near), "left": left}))
"""


def run_through_ray(short, storage, environment):
    return subprocess.run(
        [sys.executable, "-c", THROUGH_RAY, short, str(storage)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.ray
def test_ray_train_gives_the_network_that_this_process_gives_and_says_nothing(tmp_path):
    (tmp_path / "tests_training_conftest.py").symlink_to(Path(__file__).with_name("conftest.py"))
    token = tmp_path / "token"
    token.write_text("a" * 64)
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    }
    # Short, as the path of a socket has 107 characters; gone when the block ends.
    with tempfile.TemporaryDirectory(prefix="tt", dir="/tmp") as short:
        done = run_through_ray(short, tmp_path / "storage", environment)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"equal": True, "names": True, "left": []}
    assert done.stderr == ""
