"""Configuration: twin.toml, then TWIN_ variables, into one frozen structure, read once.

Every value knows where it came from, and a key nobody knows is an error, never ignored.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from twin.errors import BadRequest

FILE = "twin.toml"
PREFIX = "TWIN_"
NOT_OURS = ("TWIN_URL", "TWIN_TOKEN")  # read by clients, no configuration of a twin
REGION_STEP, SERVE_OFFSET = 20, 100
# Regions share the ports between the base and Serve's: one every 20.
MOST_REGIONS = SERVE_OFFSET // REGION_STEP
_REGION = re.compile(r"[a-z][a-z0-9-]{0,30}")
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Port = Annotated[int, msgspec.Meta(ge=1024, le=65_000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=64)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
SCHEMES = ("file", "s3", "gs", "az")


class Shards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many shards of each kind a region has. Sites hold their stock too."""

    shipment: Count = 2
    site: Count = 1
    supplier: Count = 1


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where journals are archived: file:///a/folder, s3://bucket/prefix, gs://..., az://..."""

    url: str = ""  # none: a lost disk loses its journals; "{region}" in it is filled in
    every_s: Positive = 60.0  # what is acknowledged is archived about so long after


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the disk keeps what is archived, by the twin's clock."""

    segments_s: NotNegative = 0.0  # 0: for ever


class Bases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tables kept beside the journals, so that the past is read fast; of each shard."""

    every_s: NotNegative = 3600.0  # by the twin's clock; 0: none are kept
    events: Annotated[int, msgspec.Meta(ge=1000)] = 500_000  # or after so many
    days: NotNegative = 30.0  # of those older than a day one a day is kept, for so long
    mib: Annotated[int, msgspec.Meta(ge=1)] = 1024  # of disk


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to tell of what happens to alerts: [[webhooks]]."""

    name: str
    url: str
    where: str = ""  # a filter over alerts; all if empty
    events: tuple[str, ...] = ()  # raised, cleared, acknowledged, ...; all if empty
    tenant: str = ""  # whose alerts, and no other's; the tenant of the twin if empty
    secret_file: str = ""  # webhooks/NAME.secret in the data directory if empty, made when needed
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0  # for it to answer
    attempts: Annotated[int, msgspec.Meta(ge=1, le=30)] = 10  # before a message is put aside


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set, with its default."""

    folder: str = ".twin"  # the data directory; deleting it is a full reset
    base_port: Port = 7400  # region i has base+20*i: +0 HTTP, +1 gRPC, +2 SQL; Serve: +100
    regions: tuple[str, ...] = ("east", "west")
    shards: Shards = msgspec.field(default_factory=Shards)
    tenant: str = "demo"
    checkpoint_every_s: Positive = 60.0
    serve: bool = True  # predictions by the model; without it the lane table answers
    speed: Positive = 21_600.0  # of the replay clock: 1 day in 4 s
    storage: Storage = msgspec.field(default_factory=Storage)
    retention: Retention = msgspec.field(default_factory=Retention)
    bases: Bases = msgspec.field(default_factory=Bases)
    webhooks: tuple[Webhook, ...] = ()

    def http_port(self, region: str) -> int:
        return self.base_port + REGION_STEP * self.regions.index(region)

    def grpc_port(self, region: str) -> int:
        return self.http_port(region) + 1

    def sql_port(self, region: str) -> int:
        return self.http_port(region) + 2

    @property
    def serve_port(self) -> int:
        return self.base_port + SERVE_OFFSET

    @property
    def ports(self) -> dict[int, str]:
        """Every port this configuration takes, and what for. Shards take free ones."""
        taken = {}
        for region in self.regions:
            taken[self.http_port(region)] = f"HTTP and dashboard of {region}"
            taken[self.grpc_port(region)] = f"gRPC of {region}"
            taken[self.sql_port(region)] = f"Arrow Flight SQL of {region}"
        if self.serve:
            taken[self.serve_port] = "predictions (Ray Serve)"
            taken[self.serve_port + 1] = "HAProxy statistics"
            taken[self.serve_port + 2] = "HAProxy metrics"
            taken[self.serve_port + 3] = "Ray Serve's own proxy"
            taken[self.serve_port + 4] = "Ray Serve's own proxy, gRPC"
        return taken


class Loaded(NamedTuple):
    """A configuration, and for each key (`base_port`, `shards.site`) where its value is from."""

    config: Config
    sources: dict[str, str]


def load(file: Path, environ: Mapping[str, str], folder: Path | None = None) -> Loaded:
    """Read `file` (may be missing), TWIN_ variables over it, and `--folder` over both.

    Raises BadRequest CONFIG_UNKNOWN for a key nobody knows, CONFIG_INVALID for a bad value.
    """
    values, sources = _file(file)
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in NOT_OURS:
            key = _key(name)
            _put(values, key, _parsed(key, text))
            sources[key] = name
    if folder is not None:
        values["folder"], sources["folder"] = str(folder), "--folder"
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as e:
        raise BadRequest(f"{_where(sources, str(e))}: {e}; correct it", "CONFIG_INVALID") from e
    _check(config)
    return Loaded(config, {key: sources.get(key, "default") for key in KEYS})


def flat(config: Config) -> dict[str, Any]:
    """Return every key and its value, nested ones with a dot."""
    out: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(config).items():
        if isinstance(value, dict):
            out.update({f"{name}.{inner}": held for inner, held in value.items()})
        else:
            out[name] = value
    return out


KEYS = tuple(flat(Config()))


def _file(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    if not file.exists():
        return {}, {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadRequest(f"{file.name} is no TOML: {e}; correct it", "CONFIG_INVALID") from e
    sources = {}
    for name, value in values.items():
        nested = [f"{name}.{inner}" for inner in value] if isinstance(value, dict) else [name]
        for key in nested:
            if key not in KEYS:
                raise _unknown(key, file.name, KEYS)
            sources[key] = file.name
    return values, sources


def _key(name: str) -> str:
    """Return the key that a variable sets: TWIN_SHARDS_SITE -> shards.site."""
    known = {PREFIX + key.replace(".", "_").upper(): key for key in KEYS}
    if name not in known:
        raise _unknown(name, "the environment", tuple(known))
    return known[name]


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    outer, _, inner = key.partition(".")
    if inner:
        values[outer] = dict(values.get(outer, {})) | {inner: value}
    else:
        values[outer] = value


def _parsed(key: str, text: str) -> Any:
    """Return what `text` says in the type of its key: variables are text, TOML is not."""
    default = flat(Config())[key]
    if isinstance(default, list | tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(default, bool):
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            return text  # the conversion says what is wrong with it
    return text


def _unknown(key: str, where: str, known: tuple[str, ...]) -> BadRequest:
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return BadRequest(f"{where} sets {key}, which is no key; {hint}", "CONFIG_UNKNOWN")


def _where(sources: dict[str, str], text: str) -> str:
    found = re.search(r"`\$\.([a-z_.]+)", text)
    return sources.get(found.group(1), FILE) if found else FILE


def _check(config: Config) -> None:
    """Refuse what the types alone let through."""
    wrong = ""
    if not 1 <= len(config.regions) <= MOST_REGIONS:
        wrong = f"regions has {len(config.regions)} names; give 1 to {MOST_REGIONS}"
    elif len(set(config.regions)) < len(config.regions):
        wrong = "regions names one region twice; name each once"
    elif bad := [name for name in config.regions if not _REGION.fullmatch(name)]:
        wrong = f"{bad[0]!r} is no name for a region; use small letters, digits and -"
    elif not TENANT.fullmatch(config.tenant):
        wrong = f"{config.tenant!r} is no name for a tenant; use letters, digits, . _ and -"
    elif (url := config.storage.url) and not _storable(url):
        wrong = f"storage.url {url!r} names no storage; file:///a/folder or s3://bucket/prefix does"
    elif config.retention.segments_s and not url:
        wrong = "retention.segments_s removes what is archived, and storage.url names no archive"
    elif config.webhooks:
        from cluster import hooks  # noqa: PLC0415 - a filter needs numpy, a command line does not

        wrong = hooks.wrong(config.webhooks)
    if wrong:
        raise BadRequest(wrong, "CONFIG_INVALID")


def _storable(url: str) -> bool:
    parts = urlsplit(url)
    place = parts.path if parts.scheme == "file" else parts.netloc
    return parts.scheme in SCHEMES and bool(place.strip("/"))
