"""`twin predict`: when a shipment will come, beside its plain baseline, and who says so."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import click
import msgspec

from cluster import show
from cluster.cli import DEGRADED
from cluster.config import Config
from cluster.host import CONFIG
from serving.client import connect, minter
from serving.faults import error
from twin.errors import BadRequest, Unavailable

TIMEOUT_S = 15.0
ROWS = (
    ("promised", "promised_at", "what the supplier promised"),
    ("baseline", "eta_baseline", "the lane's median delay after the promise"),
    ("p10", "eta_p10", "one in ten comes before"),
    ("p50", "eta_p50", "as likely before as after"),
    ("p90", "eta_p90", "nine in ten come before"),
)


@click.command()
@click.argument("id")
@show.region_option
@show.folder_option
@show.json_option
def command(id: str, region: str, folder: Path, as_json: bool) -> int:
    """Print when shipment ID (or shipment/REGION/ID) will come; exit status 3 if by the rule."""
    parts = id.split("/")
    if len(parts) == 3 and parts[0] == "shipment":
        _, region, id = parts
    with connect(folder, name="cli") as client:
        region = client.get("shipment", id, region).region  # UnknownKey, AmbiguousKey
    answer = ask(folder, region, id)
    degraded = answer.get("mode") != "normal"
    if as_json:
        show.json(answer)
    else:
        for line in lines(answer):
            click.echo(line)
    return DEGRADED if degraded else 0


def ask(folder: Path, region: str, id: str) -> dict[str, Any]:
    """Ask the region's gateway over HTTP. Raises the TwinError that it answers with."""
    port = _config(folder).http_port(region)
    headers = {
        "authorization": f"Bearer {minter(folder, 'cli', ['read'])()}",
        "content-type": "application/json",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/v1/predict/eta", msgspec.json.encode({"id": id}), headers)
        reply = connection.getresponse()
        answer = msgspec.json.decode(reply.read(), type=dict[str, Any])
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as e:
        raise Unavailable(
            f"the gateway of {region} gives no answer ({e}); see `twin status`", 1.0
        ) from e
    finally:
        connection.close()
    if reply.status >= 400:
        text = str(answer.get("detail", ""))
        raise error(str(answer.get("code", "INTERNAL")), text, float(answer.get("retry_after", 0)))
    return answer


def lines(answer: dict[str, Any]) -> list[str]:
    """Say a prediction to a person."""
    late = answer["late_p"]
    said = [f"  shipment/{answer['region']}/{answer['id']}  as of {_day(answer['as_of'])}"]
    said += [
        f"  {name:<9} {_day(answer[field]):<12} {show.dim(meaning)}"
        for name, field, meaning in ROWS
    ]
    if late is not None:
        said.append(
            f"  late      {late:.0%}          {show.dim('chance to come after its promise')}"
        )
    age = show.span(answer["inputs_age_ms"] / 1000)
    said.append(
        f"  answered by {answer['answered_by']}   confidence {_share(answer['confidence'])}   "
        f"inputs {age} old, confidence {_share(answer['inputs_confidence'])}"
    )
    if answer["mode"] != "normal":
        said.append(show.warn(f"  degraded: {answer['reason']}: {answer['remedy']}"))
    return said


def _config(folder: Path) -> Config:
    try:
        return msgspec.json.decode((folder / CONFIG).read_bytes(), type=Config)
    except FileNotFoundError as e:
        raise BadRequest(
            f"no twin runs in {folder}; start one with `twin up`", "NOT_RUNNING"
        ) from e


def _day(text: str | None) -> str:
    return (text or "-")[:10]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
