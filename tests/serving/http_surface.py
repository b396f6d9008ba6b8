"""One HTTP application over a gateway in memory, and who asks it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from serving.access import Doors, ensure_key, mint
from serving.http_app import create_app
from tests.serving.http_world import World

BASE = "http://127.0.0.1:7400"


class Surface:
    """One application, and a browser or program that asks it."""

    def __init__(self, folder: Path, **given: Any) -> None:
        ensure_key(folder / "key")
        self.folder = folder
        self.world = World()
        self.app = create_app(
            self.world.answers(),
            tokens=Doors(folder, "east"),
            folder=folder,
            version="9.9",
            **given,
        )

    def token(self, *scopes: str, **given: Any) -> str:
        return mint(self.folder / "key", name="test", scopes=scopes or ("read",), **given)

    def ask(
        self, path: str, *, token: str | None = None, method: str = "GET", **given: Any
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token() if token is None else token}"}
        return self.open(path, method=method, headers=headers | given.pop("headers", {}), **given)

    def open(self, path: str, *, method: str = "GET", **given: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                return await client.request(method, path, **given)

        return asyncio.run(once())


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].split(";", maxsplit=1)[0]}
