"""The one life of a service process: it starts, says that it is ready, and on SIGTERM or SIGINT drains and ends.

``main`` is the whole of a service's ``__main__``. ``build`` in the service's ``app.py`` opens what it needs and names its parts;
``Composed`` starts and stops them. There is nothing to reload: what may change while a service runs (identity, trust, CRLs, the
register) is read anew by the part that uses it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TextIO, TypeVar

from sealcore import __version__
from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import exhausted
from sealcore.platform import tracing
from sealcore.platform.config import Block, load
from sealcore.platform.log import configure
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.text import shown

READY_LINE: Final = "ready"
MOST_DESCRIPTORS: Final = 65_536  # four times what a service's listeners let in at most, and more
_FAILED_START: Final = 1
REPEAT_DOES_HARM: Final = (
    77  # exit status (EX_NOPERM): a token locks itself after a few wrong PINs. Launcher and systemd start nothing again
)
SHORT_OF_SOMETHING: Final = (
    75  # exit status (EX_TEMPFAIL): the disk, memory, processes or descriptors; the launcher tries until they are there
)
_STATUS: Final = {
    Code.HSM_PIN_REFUSED: REPEAT_DOES_HARM,
    Code.STORAGE_FULL: SHORT_OF_SOMETHING,
    Code.RESOURCES_EXHAUSTED: SHORT_OF_SOMETHING,
}


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


class Part(Protocol):
    """What a service is made of, as far as its life goes. Either method may be a coroutine; one that is not may block."""

    def start(self) -> Awaitable[None] | None:
        """Begins its work; raises what keeps it from working."""

    def stop(self) -> Awaitable[None] | None:
        """Ends it, within a bound; harmless when it was not started."""


@dataclass(frozen=True)
class Steps:
    """A part out of two functions."""

    start: Callable[[], Awaitable[None] | None]
    stop: Callable[[], Awaitable[None] | None]


class Composed:
    """The life of a service that is made of parts.

    parts       started in this order and stopped in the reverse one: what others need comes first, what lets requests in comes last
    monitoring  tells from the beginning of the end on that the service drains, and is stopped after all parts
    opened      token, database, connections: given back last of all, whatever happened before
    """

    def __init__(self, parts: Sequence[Part], monitoring: ObservabilityEndpoint, opened: ExitStack) -> None:
        self._parts, self._monitoring, self._opened = tuple(parts), monitoring, opened

    async def start(self) -> None:
        """Starts every part; raises what keeps one from working."""
        for part in (*self._parts, self._monitoring):
            await _done(part.start)

    async def stop(self) -> None:
        """Stops every part, also when another one's stop fails."""
        self._monitoring.readiness.drain()
        with self._opened:
            async with AsyncExitStack() as stopping:
                for part in (self._monitoring, *self._parts):
                    stopping.push_async_callback(_done, part.stop)


async def _done(step: Callable[[], Awaitable[None] | None]) -> None:
    if inspect.iscoroutinefunction(step):
        await step()
    else:
        await asyncio.to_thread(step)


async def _until_signal(service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await service.start()
        _say(sys.stdout, f"{READY_LINE}\n")
        await stop.wait()
    finally:
        await service.stop()


def _say(stream: TextIO | None, words: str) -> None:
    """Says it to whoever started the service, if there still is somebody: the service's life does not hang on being heard."""
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            stream.write(words)
            stream.flush()


def _failed(name: str, fault: VermilionError) -> int:
    _say(sys.stderr, f"{name}: {shown(str(fault))}\n{fault.way_out}\n")
    return _STATUS.get(fault.code, _FAILED_START)


def hold_standard_descriptors() -> None:
    """Opens those of 0, 1 and 2 that whoever started us has closed: the next file would get the number, and the log lines with it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _take_descriptors() -> None:
    """As many as the system allows: the limit that shells and service managers set by default is for programs that wait by select()."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(name: str, model: type[SettingsT], build: Build[SettingsT], arguments: Sequence[str] | None = None) -> int:
    """The whole of a service's ``__main__``: reads ``--config FILE``, builds, serves until a signal; the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--version", action="version", version=f"vermilion {__version__}")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings of the service (TOML)")
    chosen = parser.parse_args(arguments)
    hold_standard_descriptors()
    configure(name)
    _take_descriptors()
    try:
        settings = load(chosen.config, model)
        service = build(settings, clock=SystemClock())
        tracing.start(name, getattr(settings, "tracing", None))  # has a thread, and ``build`` may fork
        asyncio.run(_until_signal(service))
    except VermilionError as fault:
        return _failed(name, fault)
    except Exception as fault:
        if (short := exhausted(fault)) is None:
            raise
        return _failed(name, short)
    finally:
        tracing.stop()
    return 0
