"""Columns with a known signal: what a lane does, and what a large order adds to it."""

import numpy as np
import pytest

DAY = 86_400_000_000
START = 1_262_304_000_000_000  # 2010-01-01
LANES = (("ACME", "KE", "air", 0), ("ACME", "UG", "truck", 8), ("BOLT", "KE", "ocean", 20))


def synthetic(rows=2400, days=900, seed=3):
    """Orders spread over `days`: a lane's usual delay, 15 days more when large, and noise."""
    rng = np.random.default_rng(seed)
    lane = rng.integers(0, len(LANES), rows)
    large = rng.random(rows) < 0.5
    ordered = START + rng.integers(0, days, rows) * DAY
    promised = ordered + 40 * DAY
    usual = np.array([entry[3] for entry in LANES])[lane]
    delay = usual + 15 * large + rng.integers(-3, 4, rows)
    delivered = promised + delay * DAY

    def texts(part):
        return np.array([LANES[i][part] for i in lane], dtype=object)

    return {
        "id": np.array([f"o-{i}" for i in range(rows)], dtype=object),
        "supplier": texts(0),
        "country": texts(1),
        "mode": texts(2),
        "origin": np.full(rows, "", dtype=object),
        "site": np.full(rows, "", dtype=object),
        "product_group": np.full(rows, "ARV", dtype=object),
        "quantity": np.where(large, 90_000, 500).astype(np.int64),
        "value_cents": np.full(rows, -(2**63), dtype=np.int64),
        "ordered_at": ordered,
        "promised_at": promised,
        "delivered_at": delivered,
        "recorded_at": delivered + (rng.random(rows) < 0.05) * 10 * DAY,
    }


@pytest.fixture(scope="session")
def columns():
    return synthetic()


@pytest.fixture(scope="session")
def now_us():
    return START + 1000 * DAY


@pytest.fixture(scope="session")
def published(columns, now_us, tmp_path_factory):
    """A registry with one version, and the report of its training."""
    from training.train import Config, train_and_publish

    registry = tmp_path_factory.mktemp("models")
    config = Config(members=2, epochs=40, batch=128)
    report = train_and_publish(
        columns, {"shipment/east/0": 41}, now_us, registry, registry, use_ray=False, config=config
    )
    return registry, report
