"""Open Inference Protocol v2 as data: requests checked into arrays, answers and metadata built.

Pure: plain data in and out. A tensor that does not fit is refused by name, with what was
expected; nothing is guessed, padded or cut. `null` stands for an absent value, as NaN is no JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.errors import BadRequest, TooLarge
from twin.kinds import ABSENT

MOST_ROWS = 4096  # of one tensor of features
MOST_IDS = 100  # shipments asked by key at once: each is a read of the shard
PLATFORM = "supplytwin_numpy"
FEATURES_INPUT, ID_INPUT = "features", "id"
ID_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
# name -> (datatype, unit); delays in days past the promise, times in us since 1970 UTC.
OUTPUTS: dict[str, tuple[str, str]] = {
    "p10": ("FP32", "d"),
    "p50": ("FP32", "d"),
    "p90": ("FP32", "d"),
    "late_p": ("FP32", "1"),
}
TIME_OUTPUTS: dict[str, tuple[str, str]] = {
    "eta_p10": ("INT64", "us"),
    "eta_p50": ("INT64", "us"),
    "eta_p90": ("INT64", "us"),
    "eta_baseline": ("INT64", "us"),
}


class Asked(NamedTuple):
    """A checked request: shipments by key, or raw features (n, f) float32 with NaN for absent."""

    id: str
    keys: tuple[str, ...]
    rows: npt.NDArray[np.float32] | None
    outputs: tuple[str, ...]  # in the order asked; never empty


def parse(asked: Mapping[str, Any], width: int) -> Asked:
    """Check a whole request, decoded from JSON. `width`: how many features a row has.

    Raises TooLarge, or BadRequest with MALFORMED, TENSOR_UNKNOWN, OUTPUT_UNKNOWN,
    DATATYPE_MISMATCH, SHAPE_MISMATCH, NOT_FINITE, BAD_ID.
    """
    given, inputs = asked.get("id", ""), asked.get("inputs")
    if not isinstance(given, str) or len(given) > 128:
        raise _malformed("`id` must be a text of at most 128 characters")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _malformed(f"`inputs` must be a list of one tensor, {FEATURES_INPUT} or {ID_INPUT}")
    tensor: dict[str, Any] = inputs[0]
    name = tensor.get("name")
    if name == ID_INPUT:
        return Asked(given, _keys(tensor), None, _outputs(asked, {**OUTPUTS, **TIME_OUTPUTS}))
    if name == FEATURES_INPUT:
        return Asked(given, (), _rows(tensor, width), _outputs(asked, OUTPUTS))
    raise BadRequest(
        f"no input is called {_shown(name)}; send {FEATURES_INPUT} or {ID_INPUT}", "TENSOR_UNKNOWN"
    )


def server_metadata(version: str) -> dict[str, Any]:
    return {"name": "supply-twin", "version": version, "extensions": []}


def model_metadata(name: str, versions: Sequence[str], features: Sequence[str]) -> dict[str, Any]:
    """What `GET /v2/models/{name}` says; `properties.features` names the columns of a row."""
    outputs = [
        {"name": output, "datatype": datatype, "shape": [-1]}
        for output, (datatype, _) in {**OUTPUTS, **TIME_OUTPUTS}.items()
    ]
    return {
        "name": name,
        "versions": list(versions),
        "platform": PLATFORM,
        "inputs": [
            {"name": FEATURES_INPUT, "datatype": "FP32", "shape": [-1, len(features)]},
            {"name": ID_INPUT, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": outputs,
        "properties": {
            "features": ",".join(features),
            "inputs": "send one of the two; null is an absent value",
            "outputs": "eta_* only for id; " + "; ".join(f"{k} in {u}" for k, u in _units()),
        },
    }


def reply(
    asked: Asked,
    model: str,
    version: str,
    columns: dict[str, npt.NDArray[Any]],
    parameters: dict[str, str | float | bool],
) -> dict[str, Any]:
    """The answer: one output tensor of shape [n] for each name asked, absent values as null."""
    outputs = [
        {
            "name": name,
            "datatype": ({**OUTPUTS, **TIME_OUTPUTS})[name][0],
            "shape": [len(columns[name])],
            "data": plain(columns[name]),
        }
        for name in asked.outputs
    ]
    head: dict[str, Any] = {"model_name": model}
    head |= {"model_version": version} if version else {}
    head |= {"id": asked.id} if asked.id else {}
    return head | {"parameters": parameters, "outputs": outputs}


def plain(values: npt.NDArray[Any]) -> list[float | int | None]:
    """A column as JSON has it: NaN and ABSENT become null."""
    if values.dtype == np.int64:
        return [None if value == ABSENT else value for value in values.tolist()]
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _keys(tensor: dict[str, Any]) -> tuple[str, ...]:
    shape = _shape(tensor, "BYTES", MOST_IDS)
    if shape[1:] not in {(), (1,)}:
        raise BadRequest(
            f"{ID_INPUT} has shape {list(shape)}; send [n] or [n, 1]", "SHAPE_MISMATCH"
        )
    keys = _flat(tensor, shape)
    for key in keys:
        check_id(key)
    return tuple(keys)


def check_id(key: object) -> str:
    """Return `key`, or refuse what can be no id. Raises BadRequest BAD_ID."""
    if not isinstance(key, str) or not ID_RULE.fullmatch(key):
        raise BadRequest(
            "an id has 1 to 128 letters, digits or . _ : -, and starts with a letter or a digit; "
            "correct it",
            "BAD_ID",
        )
    return key


def _rows(tensor: dict[str, Any], width: int) -> npt.NDArray[np.float32]:
    shape = _shape(tensor, "FP32", MOST_ROWS)
    if len(shape) != 2 or shape[1] != width:
        raise BadRequest(
            f"{FEATURES_INPUT} has shape {list(shape)}; this model takes [n, {width}]",
            "SHAPE_MISMATCH",
        )
    flat = _flat(tensor, shape)
    if any(v is not None and (isinstance(v, bool) or not isinstance(v, int | float)) for v in flat):
        raise BadRequest(
            f"{FEATURES_INPUT} holds what is no number; send numbers, or null for absent",
            "DATATYPE_MISMATCH",
        )
    try:
        wide = np.array([math.nan if v is None else v for v in flat], dtype=np.float64)
    except OverflowError as e:
        raise _not_finite() from e
    if (np.abs(wide) > np.finfo(np.float32).max).any():
        raise _not_finite()
    return wide.astype(np.float32).reshape(shape)


def _shape(tensor: dict[str, Any], datatype: str, most: int) -> tuple[int, ...]:
    """The checked shape; its datatype must be the one this input has."""
    if tensor.get("datatype") != datatype:
        got = _shown(tensor.get("datatype"))
        raise BadRequest(
            f"{tensor['name']} is {got}; send it as {datatype}",
            "DATATYPE_MISMATCH",
        )
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 2
        or any(type(n) is not int or n < 1 for n in shape)
    ):
        raise BadRequest(
            f"{tensor['name']} needs a shape of one or two positive whole numbers; correct it",
            "SHAPE_MISMATCH",
        )
    if shape[0] > most or shape[-1] > MOST_ROWS:
        raise TooLarge(f"{tensor['name']} is too large; send at most {most} rows")
    return tuple(shape)


def _flat(tensor: dict[str, Any], shape: tuple[int, ...]) -> list[Any]:
    """The elements in row-major order, given flat or nested exactly as `shape` says."""
    data = tensor.get("data")
    if not isinstance(data, list):
        raise _malformed(f"{tensor['name']} needs `data`, a list")
    nested = len(shape) > 1 and len(data) == shape[0] and all(isinstance(r, list) for r in data)
    if nested:
        data = [one for row in data if len(row) == shape[1] for one in row]
    if any(isinstance(one, list) for one in data) or len(data) != math.prod(shape):
        raise BadRequest(
            f"{tensor['name']} does not hold the elements that its shape {list(shape)} says; "
            "send all, flat or nested",
            "SHAPE_MISMATCH",
        )
    return data


def _outputs(asked: Mapping[str, Any], known: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    wanted = asked.get("outputs")
    if wanted is None or wanted == []:
        return tuple(known)
    if not isinstance(wanted, list) or any(not isinstance(one, dict) for one in wanted):
        raise _malformed("`outputs` must be a list of objects with a name")
    names = tuple(dict.fromkeys(_shown(one.get("name")) for one in wanted))
    if unknown := [name for name in names if name not in known]:
        raise BadRequest(
            f"no output is called {unknown[0]} here; there are {', '.join(known)}",
            "OUTPUT_UNKNOWN",
        )
    return names


def _units() -> list[tuple[str, str]]:
    return [(name, unit) for name, (_, unit) in {**OUTPUTS, **TIME_OUTPUTS}.items()]


def _shown(word: object) -> str:
    """A word of the caller's, short enough and plain enough to repeat."""
    return word if isinstance(word, str) and re.fullmatch(r"[\w.:-]{1,40}", word) else "that"


def _malformed(cause: str) -> BadRequest:
    return BadRequest(f"{cause}; correct it", "MALFORMED")


def _not_finite() -> BadRequest:
    return BadRequest(
        "a value is no finite FP32 number; send one, or null for absent", "NOT_FINITE"
    )
