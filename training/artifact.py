"""The registry: saved models as safetensors beside a JSON manifest, one folder a version.

A version never changes once it has its name: it is written aside, synced, then renamed. What is
loaded is checked first (hash, schema of the features, weights, answers to its own probe), so
nobody serves a file that is not the model its manifest describes. Numpy alone runs it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as write_tensors

from twin.errors import BadRequest
from twin.features import BASE, FEATURES, features, schema_hash
from twin.forecast import Forecast, forecast, held_to_now, lane_confidence
from twin.lanes import Columns, Lanes, from_plain, look_up

NAME = "eta"
TENSORS, MANIFEST = "model.safetensors", "manifest.json"
CURRENT, HISTORY = "current", "history.json"
LAYERS = 3
DELAY_SCALE = 10.0  # days that one unit of the network's output means
MOST_DAYS = 1000.0  # no forecast beyond this is taken for one
CLIP = 4.0  # standard deviations; what lies further out than training saw is not extrapolated

Tensors = Mapping[str, npt.NDArray[np.float32]]
Floats32 = npt.NDArray[np.float32]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Figures on the test rows; days, but `coverage` and `late_auc`. NaN is written as null."""

    mae: float | None
    pinball_p10: float | None
    pinball_p50: float | None
    pinball_p90: float | None
    coverage: float | None
    late_auc: float | None


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Trained on rows recorded before `cut_us`, stopped by those recorded from `valid_us` to it;
    tested on rows promised from `cut_us` on and not recorded before it."""

    first_us: int
    valid_us: int
    cut_us: int
    last_us: int
    train: int
    valid: int
    test: int


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs and the answers they had when the model was saved. null stands for NaN."""

    inputs: list[list[float | None]]
    answers: list[list[float]]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a version says about itself. Times: int64 us on the event clock."""

    name: str
    created_us: int
    seed: int
    features: list[str]
    feature_hash: str
    split: Split
    offsets: dict[str, int]
    metrics: dict[str, Scores]
    gate: bool
    verdict: str
    packages: dict[str, str]
    trained_by: str
    lanes: dict[str, Any]
    probe: Probe
    version: str = ""
    sha256: str = ""


class Artifact(NamedTuple):
    """A checked version, ready to answer."""

    name: str
    version: str
    tensors: Tensors
    manifest: Manifest
    lanes: Lanes

    @property
    def answered_by(self) -> str:
        """The source its predictions carry."""
        return f"model/{self.name}@{self.version}"

    def forecast(
        self, columns: Columns, now_us: int | npt.NDArray[np.int64], *, held: bool = True
    ) -> Forecast:
        """Delays of undelivered shipments as known at `now_us`; see twin.forecast.

        `held=False` gives the bare answer, as metrics on recorded history want it.
        """
        answers = forward(self.tensors, features(columns, self.lanes, now_us))
        confidence = lane_confidence(look_up(self.lanes, columns).stats)
        answer = forecast(answers[:, :3], answers[:, 3], self.answered_by, confidence)
        return held_to_now(answer, columns["promised_at"], now_us) if held else answer


def forward(tensors: Tensors, inputs: Floats32) -> Floats32:
    """The network in numpy: (n, len(FEATURES)) -> (n, 4): p10, p50, p90 days sorted, late chance.

    It starts from the lane's own answer (BASE) and adds what the layers say.
    """
    base = lane_base(inputs)
    hidden = (inputs - tensors["inputs.mean"]) / tensors["inputs.scale"]
    hidden = np.clip(np.nan_to_num(hidden, nan=0.0), -CLIP, CLIP)
    for layer in range(LAYERS):
        hidden = hidden @ tensors[f"layers.{layer}.weight"].T + tensors[f"layers.{layer}.bias"]
        if layer < LAYERS - 1:
            hidden = np.maximum(hidden, 0.0)
    delays = np.sort(base[:, :3] + DELAY_SCALE * hidden[:, :3], axis=1)
    late = 1.0 / (1.0 + np.exp(-np.clip(base[:, 3:] + hidden[:, 3:], -30.0, 30.0)))
    return np.concatenate((delays, late), axis=1).astype(np.float32)


def lane_base(inputs: Floats32) -> Floats32:
    """What the network starts from, (n, 4): lane delays in days, log-odds of the late rate."""
    base = inputs[:, BASE].astype(np.float32, copy=True)
    rate = np.clip(np.nan_to_num(base[:, 3], nan=0.1), 0.02, 0.98)
    base[:, 3] = np.log(rate / (1.0 - rate))
    return np.nan_to_num(base, nan=0.0)


def probe(tensors: Tensors, inputs: Floats32) -> Probe:
    """Inputs and today's answers to them, to be repeated by whoever loads the model."""
    answers = forward(tensors, inputs)
    rows = [[None if np.isnan(value) else float(value) for value in row] for row in inputs]
    return Probe(inputs=rows, answers=[[float(value) for value in row] for row in answers])


def publish(registry: Path, name: str, tensors: Tensors, manifest: Manifest) -> str:
    """Write a new version, durably, and return its number as text. It is not promoted.

    Raises BadRequest MODEL_GATE_FAILED for weights or probe answers nobody should serve.
    """
    _check_answers(tensors, manifest)
    folder = registry / name
    folder.mkdir(parents=True, exist_ok=True)
    body = write_tensors({key: np.ascontiguousarray(value) for key, value in tensors.items()})
    while True:
        version = str(max([0, *map(int, versions(registry, name))]) + 1)
        full = msgspec.structs.replace(
            manifest, name=name, version=version, sha256=hashlib.sha256(body).hexdigest()
        )
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        _write(aside / TENSORS, body)
        _write(aside / MANIFEST, msgspec.json.format(msgspec.json.encode(full)) + b"\n")
        aside.chmod(0o755)
        _sync(aside)
        try:
            aside.rename(folder / version)
        except OSError:
            shutil.rmtree(aside)
            if not (folder / version).exists():
                raise
            continue  # another publisher took this number
        _sync(folder)
        return version


def versions(registry: Path, name: str) -> list[str]:
    """Published versions, oldest first."""
    folder = registry / name
    if not folder.is_dir():
        return []
    return sorted((p.name for p in folder.iterdir() if p.name.isdecimal()), key=int)


def current(registry: Path, name: str) -> str:
    """The promoted version, or "" when none is."""
    try:
        return (registry / name / CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def promote(registry: Path, name: str, version: str) -> None:
    """Make `version` the one that "current" means, after loading it with every check.

    Raises BadRequest MODEL_MISSING, MODEL_HASH_MISMATCH or MODEL_GATE_FAILED, and then changes
    nothing.
    """
    if not load(registry, name, version).manifest.gate:
        raise BadRequest(
            f"Version {version} of {name} is worse than the lane table beside it. "
            "Keep the rule, or run `twin train` on more data.",
            "MODEL_GATE_FAILED",
        )
    before = current(registry, name)
    if before != version:
        _replace(
            registry / name / HISTORY, msgspec.json.encode([*_history(registry, name), before])
        )
        _replace(registry / name / CURRENT, version.encode() + b"\n")


def rollback(registry: Path, name: str) -> str:
    """Go back to the version promoted before the current one, and return it ("" = the rule)."""
    now, history = current(registry, name), _history(registry, name)
    while history and history[-1] == now:  # left by a promotion that was cut short
        history.pop()
    if not history:
        raise BadRequest(
            f"No version of {name} was promoted before. Run `twin train` to make one.",
            "MODEL_MISSING",
        )
    version = history[-1]
    if version:
        load(registry, name, version)
    _replace(registry / name / CURRENT, version.encode() + b"\n")
    _replace(registry / name / HISTORY, msgspec.json.encode(history[:-1]))
    return version


def load(registry: Path, name: str, version: str = CURRENT) -> Artifact:
    """Read and check one version.

    Raises BadRequest: MODEL_MISSING (no such version, or none promoted), MODEL_HASH_MISMATCH
    (a file is not what the manifest says), MODEL_GATE_FAILED (other features than this build
    computes, weights that are not finite, answers out of range or not those of its probe).
    """
    named = current(registry, name) if version == CURRENT else version
    folder = registry / name / named
    if not named.isdecimal() or not folder.is_dir():
        what = f"version {version} of {name}" if version != CURRENT else f"a promoted {name} model"
        raise BadRequest(f"There is no {what} in {registry}. Run `twin train`.", "MODEL_MISSING")
    manifest, tensors = _read(folder, name, named)
    if manifest.feature_hash != schema_hash() or tuple(manifest.features) != FEATURES:
        raise _gate(manifest, "was trained on other features than this build computes")
    _check_answers(tensors, manifest)
    try:
        lanes = from_plain(manifest.lanes)
    except (KeyError, TypeError, ValueError) as error:
        raise _gate(manifest, f"has a lane table that cannot be read ({error})") from error
    return Artifact(name, named, tensors, manifest, lanes)


def lanes_of(registry: Path, name: str) -> Lanes:
    """The lane table of the newest version that can be read, promoted or not: it serves the rule.

    Raises BadRequest MODEL_MISSING when no version can be read.
    """
    for version in reversed(versions(registry, name)):
        try:
            return load(registry, name, version).lanes
        except BadRequest:
            continue
    raise BadRequest(f"No version of {name} is in {registry}. Run `twin train`.", "MODEL_MISSING")


def _read(folder: Path, name: str, version: str) -> tuple[Manifest, Tensors]:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        body = (folder / TENSORS).read_bytes()
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise BadRequest(
            f"Version {version} of {name} has no {missing}. Run `twin train`.", "MODEL_MISSING"
        ) from error
    except msgspec.DecodeError as error:
        raise _mismatch(name, version, f"manifest cannot be read ({error})") from error
    if hashlib.sha256(body).hexdigest() != manifest.sha256 or manifest.version != version:
        raise _mismatch(name, version, "files are not those its manifest describes")
    try:
        return manifest, read_tensors(body)
    except SafetensorError as error:
        raise _mismatch(name, version, f"tensors cannot be read ({error})") from error


def _check_answers(tensors: Tensors, manifest: Manifest) -> None:
    if any(not np.isfinite(tensor).all() for tensor in tensors.values()):
        raise _gate(manifest, "has weights that are not finite")
    inputs = np.array(manifest.probe.inputs, dtype=np.float32).reshape(-1, len(FEATURES))
    try:
        answers = forward(tensors, inputs)
    except (KeyError, ValueError) as error:
        raise _gate(manifest, f"has layers that do not fit together ({error})") from error
    sane = np.isfinite(answers).all() and (np.abs(answers[:, :3]) <= MOST_DAYS).all()
    if not len(answers) or not sane:
        raise _gate(manifest, "answers its own probe out of range")
    if not np.allclose(answers, np.array(manifest.probe.answers), rtol=1e-3, atol=1e-3):
        raise _gate(manifest, "does not repeat the answers it was saved with")


def _gate(manifest: Manifest, cause: str) -> BadRequest:
    which = f"Version {manifest.version or 'new'} of {manifest.name}"
    return BadRequest(f"{which} {cause}. Run `twin train`.", "MODEL_GATE_FAILED")


def _mismatch(name: str, version: str, cause: str) -> BadRequest:
    return BadRequest(
        f"Version {version} of {name} is damaged: its {cause}. Run `twin train`.",
        "MODEL_HASH_MISMATCH",
    )


def _history(registry: Path, name: str) -> list[str]:
    try:
        body = (registry / name / HISTORY).read_bytes()
    except FileNotFoundError:
        return []
    return msgspec.json.decode(body, type=list[str])


def _replace(path: Path, body: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    _write(aside, body)
    aside.replace(path)
    _sync(path.parent)


def _write(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
