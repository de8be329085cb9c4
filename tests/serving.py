"""Services of a test's own in a thread: gRPC over mTLS, HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from sealcore.platform.config import TlsSettings
from sealcore.platform.http import HttpEndpoint
from sealcore.platform.rpc import server as rpc
from tests.pki import NeverRevoked


class Serving:
    """Serves on loopback from its making to its ``close``, which ends calls at once. ``add`` puts the servicer into the server."""

    def __init__(self, tls: TlsSettings, rules: rpc.Rules, port: int, add: Callable[[Any], None], **options: Any) -> None:
        started: Future[None] = Future()
        self._loop, self._end = asyncio.new_event_loop(), asyncio.Event()

        async def serve() -> None:
            server = rpc.server(tls, rules, NeverRevoked(), target=f"127.0.0.1:{port}", **options)
            add(server)
            await server.start()
            started.set_result(None)
            await self._end.wait()
            await server.stop(0)

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()))
        self._thread.start()
        started.result(30)

    def close(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


@contextmanager
def serving_http(endpoint: HttpEndpoint) -> Iterator[None]:
    """Runs ``endpoint`` on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(endpoint.start(), loop).result(60)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(endpoint.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
