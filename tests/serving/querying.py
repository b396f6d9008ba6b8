"""A query process's surface in this process, beside the shards and the gateway of `several`."""

import asyncio
import contextlib
import json
import threading
from contextlib import contextmanager

from serving import sql_server
from serving.access import Verifier, mint
from serving.sql_fetch import Cache
from serving.sql_surface import SqlSurface
from tests.serving.several import clock

START_S = 30
ENDLESS = "SELECT count(*) FROM range(10000) a, range(1000000) b, range(1000000) c"


class Querying:
    """One region's: `surface` is the real one, served on a free port that the gateway knows."""

    def __init__(self, folder, region="east", **given):
        self.folder = folder
        self.cache = Cache()
        self._given = given
        self._region = region
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        assert self._ready.wait(START_S)

    @property
    def uri(self):
        return f"grpc://127.0.0.1:{self.port}"

    def token(self, **says):
        says = {"name": "test", "scopes": ["read"], **says}
        return mint(self.folder / "key", **says)

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(START_S)
        self._loop.close()

    def _live(self):
        self._loop.run_until_complete(self._run())

    async def _run(self):
        self.surface = SqlSurface(self.folder, clock, cache=self.cache, **self._given)
        verifier = Verifier(self.folder / "key", self._region)
        server, self.port = await sql_server.start(self.surface, verifier, "127.0.0.1:0", "9.9")
        address = {self._region: f"127.0.0.1:{self.port}"}
        (self.folder / "sql.json").write_text(json.dumps(address))
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()
        await server.stop(0.2)
        await self.surface.close()


@contextmanager
def querying(folder, **given):
    with contextlib.closing(Querying(folder, **given)) as found:
        yield found
