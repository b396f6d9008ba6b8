"""Fork files: a fork as .npz, so that a study can be repeated from the same state.

A file holds arrays and JSON, never pickle; it is believed only if its content has the hash
that it says.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from scenarios.fork import Column, Fork, digest
from twin.errors import BadRequest

SUFFIX = ".npz"
LARGEST = 4 << 30  # bytes once unpacked: no file unpacks into more than this
KEPT = 50  # forks in one folder; the oldest makes room
SHORTEST = 4  # digits that may stand for a name
_HEAD = "head.json"


def save(state: Fork, file: Path) -> None:
    """Write `state` to `file`, whole or not at all."""
    head = {
        "name": state.name,
        "offsets": dict(state.offsets),
        "now_us": state.now_us,
        "clock": state.clock,
        "aggregators": None if state.aggregators is None else sorted(state.aggregators),
    }
    arrays: dict[str, Any] = {_HEAD: _bytes(head)}
    for part, columns in (("shipment", state.columns), ("stock", state.stock)):
        for name, column in columns.items():
            if column.dtype != object:
                arrays[f"{part}.{name}"] = column
                continue
            words: dict[str, int] = {}
            codes = [words.setdefault(text, len(words)) for text in column.tolist()]
            arrays[f"{part}.{name}.words"] = _bytes(list(words))
            arrays[f"{part}.{name}.codes"] = np.array(codes, np.int32)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.draft")
    draft.write_bytes(packed.getvalue())
    draft.replace(file)


def load(file: Path, *, largest: int = LARGEST) -> Fork:
    """Return the fork in `file`. Raises BadRequest SNAPSHOT_UNKNOWN or SNAPSHOT_INVALID."""
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > largest:
                raise _wrong(file, f"it unpacks into more than {largest} bytes")
        with np.load(file, allow_pickle=False) as held:
            state = _fork(held)
            said = json.loads(held[_HEAD].tobytes())["name"]
    except FileNotFoundError as e:
        raise BadRequest(
            f"there is no snapshot file {file}; fork one without it", "SNAPSHOT_UNKNOWN"
        ) from e
    except (OSError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as e:
        raise _wrong(file, "it is no fork") from e
    if digest(state) != said:
        raise _wrong(file, "its content is not what it was saved with")
    return state


def keep(state: Fork, folder: Path, *, kept: int = KEPT) -> Path:
    """Save `state` under its name in `folder`, and let the oldest beyond `kept` go."""
    file = folder / f"{state.name}{SUFFIX}"
    save(state, file)
    files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda found: found.stat().st_mtime_ns)
    for old in files[: max(0, len(files) - kept)]:
        old.unlink(missing_ok=True)
    return file


def find(name: str, folder: Path) -> Fork:
    """Return the fork whose name begins with `name`, from `folder`.

    Raises BadRequest SNAPSHOT_UNKNOWN if none does, or more than one.
    """
    known = sorted(file.stem for file in folder.glob(f"*{SUFFIX}"))
    found = [stem for stem in known if stem.startswith(name.lower())]
    if len(name) < SHORTEST or not found:
        last = f"kept are {', '.join(known[-5:])}" if known else f"none is kept in {folder}"
        raise BadRequest(
            f"no snapshot is called {name} ({last}); name one with {SHORTEST} digits or more,"
            " or leave --snapshot out",
            "SNAPSHOT_UNKNOWN",
        )
    if len(found) > 1:
        raise BadRequest(
            f"{len(found)} snapshots begin with {name}: {', '.join(found)}; give more digits",
            "SNAPSHOT_UNKNOWN",
        )
    return load(folder / f"{found[0]}{SUFFIX}")


def _fork(held: Any) -> Fork:
    head = json.loads(held[_HEAD].tobytes())
    parts: dict[str, dict[str, Column]] = {"shipment": {}, "stock": {}}
    for key in held.files:
        part, _, name = key.partition(".")
        if key == _HEAD or name.endswith(".words"):
            continue
        if name.endswith(".codes"):
            name = name.removesuffix(".codes")
            words = json.loads(held[f"{part}.{name}.words"].tobytes())
            parts[part][name] = np.array([*words, ""], object)[:-1][held[key]]
        else:
            parts[part][name] = held[key]
    flags = head["aggregators"]
    return Fork(
        parts["shipment"],
        head["offsets"],
        int(head["now_us"]),
        str(head["clock"]),
        None if flags is None else frozenset(flags),
        parts["stock"],
    )


def _bytes(plain: Any) -> Column:
    return np.frombuffer(json.dumps(plain).encode(), np.uint8)


def _wrong(file: Path, why: str) -> BadRequest:
    return BadRequest(
        f"{file} cannot be used: {why}; fork again without it, the live state is still there",
        "SNAPSHOT_INVALID",
    )
