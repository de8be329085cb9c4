"""How a service process starts, says that it is ready, and ends cleanly on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

from starlette.types import ASGIApp

from sealcore import __version__
from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import tracing
from sealcore.platform.config import Block, Listen, TlsSettings, load
from sealcore.platform.http import uvicorn_server
from sealcore.platform.log import configure
from sealcore.platform.metrics import CallMetrics
from sealcore.text import shown

READY_LINE: Final = "ready"
_START_POLL_S: Final = 0.01
_FAILED_START: Final = 1


class Service(Protocol):
    """What a composition root builds."""

    async def start(self) -> None:
        """Returns once requests are served."""

    async def stop(self) -> None:
        """Lets running requests end, then gives everything back; called also after a ``start`` that failed midway."""


SettingsT = TypeVar("SettingsT", bound=Block)
SettingsT_contra = TypeVar("SettingsT_contra", bound=Block, contravariant=True)


class Build(Protocol[SettingsT_contra]):
    """A composition root."""

    def __call__(self, settings: SettingsT_contra, *, clock: Clock) -> Service: ...


class HttpEndpoint:
    """An HTTP server that other code starts and stops; several may run in one process."""

    def __init__(self, app: ASGIApp, listen: Listen, tls: TlsSettings | None = None, *, metrics: CallMetrics | None = None) -> None:
        self._listen = listen
        self._server = uvicorn_server(app, listen, tls, metrics=metrics)
        # It ends when its service says so, not by a signal of its own: whoever watches wants to see the service drain.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens; CONFIGURATION_INVALID when the port is taken."""
        try:
            listening = socket.create_server((self._listen.host, self._listen.port), backlog=2048)
        except OSError as fault:
            raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {self._listen.target}: {fault.strerror}") from None
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise VermilionError(Code.SERVICE_UNAVAILABLE, "the HTTP server ended at its start")
            await asyncio.sleep(_START_POLL_S)

    async def stop(self) -> None:
        """Ends after the running requests."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task


async def _until_signal(service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await service.start()
        sys.stdout.write(f"{READY_LINE}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await service.stop()


def _take_descriptors() -> None:
    """As many as the system allows: the limit that shells and service managers set by default is for programs that wait by select()."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(name: str, model: type[SettingsT], build: Build[SettingsT], arguments: Sequence[str] | None = None) -> int:
    """The whole of a service's ``__main__``: reads ``--config FILE``, builds, serves until a signal; the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--version", action="version", version=f"vermilion {__version__}")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings of the service (TOML)")
    chosen = parser.parse_args(arguments)
    configure(name)
    _take_descriptors()
    try:
        settings = load(chosen.config, model)
        tracing.start(name, getattr(settings, "tracing", None))
        service = build(settings, clock=SystemClock())
        asyncio.run(_until_signal(service))
    except VermilionError as fault:
        sys.stderr.write(f"{name}: {shown(str(fault))}\n{fault.way_out}\n")
        return _FAILED_START
    finally:
        tracing.stop()
    return 0
