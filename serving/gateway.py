"""A gateway process: gRPC and HTTP of one region, in one event loop.

It is neither a Ray driver nor a Serve application, so it outlives both.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from serving import grpc_server, http_events, http_sql
from serving.access import Doors
from serving.gateway_surface import GatewaySurface
from serving.http_app import create_app
from serving.http_ports import Answers, Predict
from serving.http_watch import Watches
from serving.wire import twin_pb2 as pb


def answers(surface: GatewaySurface) -> Answers:
    """Return what this gateway answers over HTTP, by the name of its rpc."""
    return {
        "Status": surface.status,
        "Get": surface.get,
        "BatchGet": surface.batch_get,
        "Search": surface.search,
        "Aggregate": surface.aggregate,
        "Locate": surface.locate,
        "Receipts": surface.receipts,
        "Quarantine": surface.quarantine,
        "Redrive": surface.redrive,
        "History": surface.past.history,
        "Diff": surface.past.diff,
        "FirstTrue": surface.past.first_true,
        "Explain": surface.past.explain,
        "Preview": surface.past.preview,
        "Impact": surface.impact,
        "Alerts": surface.alerts.alerts,
        "Act": surface.alerts.act,
        "Rehearse": surface.alerts.rehearse,
    }


def application(
    surface: GatewaySurface, doors: Doors, folder: Path, predict: Predict | None = None
) -> FastAPI:
    """Return the HTTP surface of a gateway: all that its gRPC surface answers.

    `app.state` has `live` and `watches`: close both before the server stops.
    """
    watches = Watches(doors, surface.changes.subscribe)
    app = create_app(
        answers(surface),
        tokens=doors,
        folder=folder,
        version=version("supply-twin"),
        predict=predict,
        routers=[
            http_events.router(doors, surface.ingest),
            http_sql.router(doors, surface.tables.sql),
            watches.router(),
        ],
    )
    app.state.watches = watches
    return app


async def run(
    folder: Path,
    region: str,
    grpc_port: int,
    http_port: int,
    clock: Callable[[], int],
    about: Callable[[], pb.StatusReply],
    predict: Predict | None = None,
) -> None:
    """Serve one region until told to stop."""
    surface = GatewaySurface(folder, region, clock, about)
    doors = Doors(folder, region)
    server, _ = await grpc_server.start(surface, doors, f"127.0.0.1:{grpc_port}")
    app = application(surface, doors, folder, predict)
    config = uvicorn.Config(
        app,
        "127.0.0.1",
        http_port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    http = uvicorn.Server(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.ensure_future(http._serve())  # serve() would take our signals
    await stopping.wait()
    await app.state.live.close()
    await app.state.watches.close()
    await surface.changes.close()
    http.should_exit = True
    await server.stop(1.0)
    await serving
    await surface.close()
