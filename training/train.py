"""Training: one loop, run in this process or as a worker of Ray Train.

On one kind of device both ways give the same network: the loop is one function, seeded and on
one thread.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray
import ray.train
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.torch.config import _TorchBackend
from ray.train.v2.api.config import LoggingConfig
from ray.train.v2.api.exceptions import TrainingFailedError
from safetensors.numpy import load_file, save_file

from training import artifact
from training.artifact import Manifest, Scores, Split, Tensors
from training.dataset import Dataset, Part, build
from training.evaluate import compare, judge
from training.model import QuantileNet, loss_of, merged, prepare, shrunk, standard, tensors_of
from twin.errors import BadRequest
from twin.features import FEATURES, schema_hash
from twin.lanes import Columns, to_plain

TENSORS = "model.safetensors"
RAY, INLINE = "ray-train", "in-process"
PACKAGES = ("numpy", "ray", "safetensors", "torch")
PROBE_ROWS = 8


class Config(NamedTuple):
    """`patience`: epochs without a better validation loss after which training stops.
    `members`: networks of `hidden` units, seeded one apart, whose answers are averaged: with so few
    rows one network alone says more about its seed than about its lanes.
    `cpus`: share of a core a Ray worker asks for; small, as it shares the machine it trains on."""

    hidden: int = 24
    members: int = 5
    epochs: int = 40
    patience: int = 8
    batch: int = 512
    rate: float = 1e-3
    decay: float = 1e-2
    seed: int = 7
    cpus: float = 0.1


DEFAULT = Config()


class Ready(NamedTuple):
    """One side of the split as tensors on the device: (n, f), (n, 4), (n,), (n,)."""

    inputs: torch.Tensor
    base: torch.Tensor
    delays: torch.Tensor
    late: torch.Tensor


class Report(NamedTuple):
    """What a training gave. `promoted` is "" where the model failed the gate."""

    version: str
    promoted: str
    verdict: str
    metrics: dict[str, Scores]
    split: Split
    trained_by: str
    seed: int


def train_and_publish(
    columns: Columns,
    offsets: Mapping[str, int],
    now_us: int,
    registry: Path,
    storage: Path,
    *,
    use_ray: bool,
    config: Config = DEFAULT,
    cut_us: int | None = None,
    name: str = artifact.NAME,
) -> Report:
    """Train on shipments as known at `now_us`, publish a version, promote it if it may answer.

    `columns` as from Client.columns("shipment"), `offsets` the snapshot's; `storage` an absolute
    folder for Ray Train's own files. With `use_ray` this process is connected to a Ray already.
    Raises BadRequest: TRAIN_DATA_SHORT, TRAIN_FAILED, MODEL_GATE_FAILED.
    """
    dataset = build(columns, now_us, cut_us=cut_us)
    tensors = fit(dataset, config, use_ray=use_ray, storage=storage)
    metrics = compare(dataset, tensors)
    gate, verdict = judge(metrics)
    trained_by = RAY if use_ray else INLINE
    manifest = Manifest(
        name=name,
        created_us=now_us,
        seed=config.seed,
        features=list(FEATURES),
        feature_hash=schema_hash(),
        split=dataset.split,
        offsets=dict(offsets),
        metrics=metrics,
        gate=gate,
        verdict=verdict,
        packages={package: version_of(package) for package in PACKAGES},
        trained_by=trained_by,
        lanes=to_plain(dataset.lanes),
        probe=artifact.probe(tensors, dataset.test.inputs[:PROBE_ROWS]),
    )
    version = artifact.publish(registry, name, tensors, manifest)
    if gate:
        artifact.promote(registry, name, version)
    promoted = version if gate else ""
    return Report(version, promoted, verdict, metrics, dataset.split, trained_by, config.seed)


def fit(dataset: Dataset, config: Config, *, use_ray: bool, storage: Path | None = None) -> Tensors:
    """The trained network's tensors; with `use_ray` from a worker of Ray Train."""
    if not use_ray:
        return fit_inline(dataset.train, dataset.valid, config)
    if storage is None:
        raise BadRequest("Ray Train needs a folder for its files. Give one.", "TRAIN_FAILED")
    return fit_ray(dataset.train, dataset.valid, config, storage)


def fit_inline(
    train: Part, valid: Part, config: Config, device: torch.device | None = None
) -> Tensors:
    """The loop itself: keeps the epoch with the least validation loss, the lane table included.

    Without validation rows all epochs are run and the last one is kept.
    """
    place = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _loop(train, valid, config, place)
    finally:
        torch.set_num_threads(threads)


def fit_ray(train: Part, valid: Part, config: Config, storage: Path) -> Tensors:
    """The loop as one Ray Train worker of the Ray this process is connected to.

    Uses a GPU when the cluster has one. Files under `storage` are removed again.
    """
    storage.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="train-", dir=storage)).resolve()
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"parts": ray.put((train, valid)), "config": tuple(config)},
        torch_config=LoneConfig(),
        scaling_config=ScalingConfig(
            num_workers=1,
            use_gpu=ray.cluster_resources().get("GPU", 0) >= 1,
            resources_per_worker={"CPU": config.cpus},
        ),
        run_config=RunConfig(
            name="eta",
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=1, controller_failure_limit=1),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        result = trainer.fit()
        if result.checkpoint is None:
            raise BadRequest("The training worker saved no model. Try again.", "TRAIN_FAILED")
        with result.checkpoint.as_directory() as saved:
            return dict(load_file(str(Path(saved) / TENSORS)))
    except TrainingFailedError as error:
        raise BadRequest(
            f"Ray Train could not finish ({error}). Try again, or run `twin train --inline`.",
            "TRAIN_FAILED",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class LoneBackend(_TorchBackend):  # type: ignore[misc]  # ray is not typed here
    """torch's backend without a process group: one worker has no peer, and the group's store
    would listen on every interface."""

    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        """Nothing to join."""


class LoneConfig(TorchConfig):  # type: ignore[misc]  # the same
    """Ray Train's torch configuration for exactly one worker."""

    @property
    def backend_cls(self) -> type[LoneBackend]:
        return LoneBackend


def _worker(given: dict[str, Any]) -> None:
    """What a Ray Train worker runs: the loop, then its tensors as the run's only checkpoint."""
    train, valid = ray.get(given["parts"])
    device = ray.train.torch.get_device()
    tensors = fit_inline(train, valid, Config(*given["config"]), device)
    with tempfile.TemporaryDirectory() as folder:
        save_file(dict(tensors), str(Path(folder) / TENSORS))
        ray.train.report({"rows": len(train.delays)}, checkpoint=Checkpoint(folder))


def _loop(train: Part, valid: Part, config: Config, device: torch.device) -> Tensors:
    scaling = standard(train.inputs)
    state = torch.random.get_rng_state()
    ready = _ready(train, scaling, device)
    watch = _ready(valid, scaling, device) if len(valid.delays) else None
    members = [
        tensors_of(_member(ready, watch, config, config.seed + member), scaling)
        for member in range(config.members)
    ]
    torch.random.set_rng_state(state)
    return shrunk(merged(members), valid)


def _ready(part: Part, scaling: Tensors, device: torch.device) -> Ready:
    delays, late = (torch.from_numpy(values).to(device) for values in part[1:])
    return Ready(*prepare(part.inputs, scaling, device), delays, late)


def _member(train: Ready, watch: Ready | None, config: Config, seed: int) -> QuantileNet:
    torch.manual_seed(seed)
    net = QuantileNet(config.hidden).to(train.inputs.device)
    order = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=config.decay)
    best, kept, waited = _loss(net, watch), copy.deepcopy(net.state_dict()), 0
    for _ in range(config.epochs):
        net.train()
        batches = max(1, len(train.delays) // config.batch)
        for rows in np.array_split(order.permutation(len(train.delays)), batches):
            part = Ready(*(values[rows] for values in train))
            loss = loss_of(net(part.inputs, part.base), part.delays, part.late)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
        now = _loss(net, watch)
        waited = 0 if now < best else waited + 1
        if watch is None or now < best:
            best, kept = now, copy.deepcopy(net.state_dict())
        elif waited >= config.patience:
            break
    net.load_state_dict(kept)
    return net


def _loss(net: QuantileNet, part: Ready | None) -> float:
    if part is None:
        return float("inf")
    net.eval()
    with torch.no_grad():
        return float(loss_of(net(part.inputs, part.base), part.delays, part.late))
