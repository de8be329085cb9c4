"""A monitoring endpoint on a loop of its own, and how it is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prometheus_client import CollectorRegistry

from sealcore.platform.config import Listen
from sealcore.platform.observability import Check, Gather, ObservabilityEndpoint


@contextmanager
def served(port: int, source: CollectorRegistry | Gather, checks: dict[str, Check]) -> Iterator[ObservabilityEndpoint]:
    """The endpoint on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    endpoint = ObservabilityEndpoint(Listen(port=port), source, checks, patience_s=0.3)
    try:
        asyncio.run_coroutine_threadsafe(endpoint.start(), loop).result(30)
        yield endpoint
    finally:
        asyncio.run_coroutine_threadsafe(endpoint.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30, trust_env=False)
