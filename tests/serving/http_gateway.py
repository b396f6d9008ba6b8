"""A gateway's HTTP surface over shards in this process: the real one, asked without a socket."""

import asyncio

import httpx

from serving import gateway
from serving.access import Doors, mint
from serving.gateway_surface import GatewaySurface
from serving.wire import twin_pb2 as pb
from tests.serving.several import clock

BASE = "http://127.0.0.1:7400"


class HttpGateway:
    """Of one region; everything runs in one event loop, which rests between two questions."""

    def __init__(self, folder, region="east"):
        self.folder = folder
        self._runner = asyncio.Runner()
        self._runner.run(self._begin(region))

    async def _begin(self, region):
        self.surface = GatewaySurface(self.folder, region, clock, pb.StatusReply)
        self.answers = gateway.answers(self.surface)
        self.app = gateway.application(self.surface, Doors(self.folder, region), self.folder)

    def close(self):
        self._runner.run(self.surface.close())
        self._runner.close()

    def ask(self, method, path, *, scopes=("read", "write"), headers=None, tenant="demo", **given):
        token = mint(self.folder / "key", name="test", scopes=scopes, tenant=tenant)
        headers = {"authorization": f"Bearer {token}"} | (headers or {})
        return self._runner.run(self._ask(method, path, headers=headers, **given))

    def get(self, path, **given):
        return self.ask("GET", path, **given)

    def post(self, path, body=None, **given):
        more = {} if body is None else {"json": body}
        return self.ask("POST", path, **more, **given)

    async def _ask(self, method, path, **given):
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, path, **given)
