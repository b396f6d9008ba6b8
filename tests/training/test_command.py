import json

import msgspec
import pytest

from cluster.commands.train import plain, train
from serving.client import ColumnSet
from training.artifact import current


@pytest.fixture
def known(columns, now_us):
    return ColumnSet(columns, {"shipment/east/0": 41, "shipment/west/0": 7}, now_us)


def test_a_ray_that_is_gone_is_not_waited_for(known, now_us, tmp_path):
    (tmp_path / "ray.json").write_text('{"address": "127.0.0.1:1", "namespace": "twin"}')

    report = train(tmp_path, known, now_us)

    assert report.trained_by == "in-process"
    assert current(tmp_path / "models", "eta") == report.promoted == "1"


def test_the_report_is_json_with_times_people_can_read(published):
    held = json.loads(msgspec.json.encode(plain(published[1])))

    assert held["split"]["cut_at"] == "2011-12-28"
    assert set(held["metrics"]) == {"model", "lane_median", "promised_date"}
    assert held["metrics"]["lane_median"]["mae"] > 0
