"""The parent of the timestamp service: starts the workers, replaces those that die, and stops them.

The first workers were forked before this process did anything (``sealcore.platform.prefork``), others are spawned. The parent has no login and
answers no requests.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final, Self

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.config import Listen
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import snapshot
from sealcore.platform.periodic import AsyncPeriodic, Backoff
from sealcore.platform.prefork import Child, Prefork
from timestamp import channel
from timestamp.metrics import ParentMetrics
from timestamp.settings import TimestampSettings

START_TIMEOUT_S: Final = 60.0  # a cold start beside others on a busy machine
STOP_TIMEOUT_S: Final = 10.0  # longer than a worker's own limit
ANSWER_TIMEOUT_S: Final = 1.5
FIRST_PAUSE_S: Final = 0.05  # before a worker is restarted; doubled at each failure
LONGEST_PAUSE_S: Final = 5.0


class _Worker:
    """A worker that is ready."""

    def __init__(self, process: Child, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self._writer = writer
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def start(cls, module: str, prefork: Prefork | None, order: dict[str, Any]) -> Self:
        """Starts a worker and waits until it is ready; raises the error that it reports, or SERVICE_UNAVAILABLE."""
        ours, theirs = socket.socketpair()
        with ExitStack() as opened:
            opened.callback(ours.close)
            with theirs:
                forked = None if prefork is None else prefork.start(theirs.fileno())
                process = forked or Child.spawn(["-m", module], theirs.fileno())
            opened.pop_all()
        reader, writer = await asyncio.open_connection(sock=ours, limit=channel.LINE_LIMIT_BYTES)
        try:
            writer.write(channel.encode(order))
            async with asyncio.timeout(START_TIMEOUT_S):
                first = await channel.receive(reader)
            if first is None or not first["ready"]:
                raise (
                    channel.fault_from(first["fault"]) if first else VermilionError(Code.SERVICE_UNAVAILABLE, "a worker ended at its start")
                )
        except BaseException as fault:
            writer.close()
            await _end(process)
            if isinstance(fault, TimeoutError):
                raise VermilionError(Code.SERVICE_UNAVAILABLE, "a worker did not become ready") from None
            raise
        return cls(process, reader, writer)

    async def ask(self, question: str, within_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The worker's answer; raises SERVICE_UNAVAILABLE if there is none in time."""
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._writer.write(channel.encode({"number": number, "ask": question}))
            async with asyncio.timeout(within_s):
                return await answer
        except (TimeoutError, OSError):
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "a worker does not answer") from None
        finally:
            del self._answers[number]

    async def ended(self) -> int:
        """Waits until the process has ended; returns its exit status."""
        status = await self.process.ended()
        self._listening.cancel()
        self._writer.close()
        return status

    async def is_silent(self, within_s: float) -> bool:
        """Whether it gives no sign of life in that time. The loop that would answer is the one that serves."""
        try:
            await self.ask(channel.ALIVE, within_s)
        except VermilionError:
            return True
        return False

    async def stop(self) -> None:
        """Lets the worker finish its requests, and kills it if that takes too long."""
        with suppress(OSError):
            self._writer.write(channel.encode({"ask": channel.STOP}))
        await _end(self.process, patience_s=STOP_TIMEOUT_S)
        await self.ended()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (message := await channel.receive(reader)) is not None:
            answer = self._answers.get(message["number"])
            if answer is not None and not answer.done():
                answer.set_result(message["answer"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(VermilionError(Code.SERVICE_UNAVAILABLE, "a worker has ended"))


async def _end(process: Child, patience_s: float = 0.0) -> None:
    """Waits up to ``patience_s`` for the process to end, then kills it."""
    try:
        async with asyncio.timeout(patience_s):
            await process.ended()
    except TimeoutError:
        process.kill()
        await process.ended()


class Workers:
    """All workers of the service."""

    def __init__(self, settings: TimestampSettings, *, module: str = "timestamp.worker", prefork: Prefork | None = None) -> None:
        self._settings = settings
        self._module, self._prefork = module, prefork
        self._count = settings.process_count
        self._metrics = ParentMetrics()
        self._metrics.workers.set_function(lambda: len(self._serving))
        self._serving: dict[str, _Worker] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._reserved: socket.socket | None = None
        self._latest_descriptor = -1
        self._log = get_log("workers")

    async def start(self) -> None:
        """Starts all workers; raises the error of the first that does not come up."""
        self._reserved = _reserve(self._settings.listen)
        self._latest_descriptor = os.memfd_create("latest-time")
        names = [str(number) for number in range(1, self._count + 1)]
        starting = [asyncio.create_task(self._start(name)) for name in names]
        outcomes = await asyncio.gather(*starting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        watching = AsyncPeriodic("workers", self._end_silent, self._settings.silent_s / 4)
        self._keeping = [asyncio.create_task(each) for each in (watching.run(), *map(self._keep, names))]

    async def stop(self) -> None:
        """Stops all workers after the requests that they are answering."""
        for keeping in self._keeping:
            keeping.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._serving.values()))
        self._serving.clear()
        if self._prefork is not None:
            self._prefork.close()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        if self._latest_descriptor >= 0:
            os.close(self._latest_descriptor)
            self._latest_descriptor = -1

    async def snapshots(self) -> Mapping[str, bytes]:
        """The metrics of the parent and of every worker that answers."""
        answers = await self._ask_all(channel.METRICS)
        told = {name: answer.encode() for name, answer in answers.items() if isinstance(answer, str)}
        return {"parent": snapshot(self._metrics.registry), **told}

    async def require_token(self) -> None:
        """Has every worker make a token; raises the first error if none of them can."""
        answers = await self._ask_all(channel.TOKEN)
        faults = [answer if isinstance(answer, VermilionError) else channel.fault_from(answer) for answer in answers.values() if answer]
        if len(faults) == len(answers):
            raise faults[0] if faults else VermilionError(Code.SERVICE_UNAVAILABLE, "no worker serves requests")

    async def _ask_all(self, question: str) -> dict[str, Any]:
        """The answer of each running worker, or its error."""
        asked = dict(self._serving)
        answers = await asyncio.gather(*(worker.ask(question) for worker in asked.values()), return_exceptions=True)
        return dict(zip(asked, answers, strict=True))

    async def _start(self, name: str) -> None:
        file = self._settings.latest_time_file or f"/proc/{os.getpid()}/fd/{self._latest_descriptor}"
        order = {"worker": name, "settings": self._settings.model_dump(mode="json"), "latest_file": str(file)}
        self._serving[name] = await _Worker.start(self._module, self._prefork, order)

    async def _end_silent(self) -> None:
        """Ends workers that are hung, not dead: the kernel would give them their share of the connections for ever."""
        asked, within_s = dict(self._serving), self._settings.silent_s
        silent = await asyncio.gather(*(worker.is_silent(within_s) for worker in asked.values()))
        for name, worker in (each for each, is_silent in zip(asked.items(), silent, strict=True) if is_silent):
            self._log.error("worker gives no sign of life and is ended", worker=name, seconds=within_s)
            worker.process.kill()  # ``_keep`` will see it

    async def _keep(self, name: str) -> None:
        """Restarts this worker whenever it has ended, until the service stops."""
        while True:
            status = await self._serving[name].ended()
            del self._serving[name]
            self._log.error("worker ended", worker=name, status=status)
            backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
            while name not in self._serving:
                await asyncio.sleep(backoff.next().seconds)
                self._metrics.restarts.inc()
                try:
                    await self._start(name)
                except Exception as fault:  # noqa: BLE001  (out of memory, processes or descriptors, too: for now)
                    failure = typed(fault)
                    self._log.error("worker does not come up", worker=name, code=str(failure.code), reason=failure.reason)


def _reserve(listen: Listen) -> socket.socket:
    """Keeps the address for the workers, who share it: CONFIGURATION_INVALID when another program has it.

    The first bind, without SO_REUSEPORT, fails whoever listens there; the second never listens, so no connection comes to the parent.
    """
    try:
        socket.create_server((listen.host, listen.port)).close()
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((listen.host, listen.port))
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"cannot listen on {listen.target}: {fault.strerror}") from None
    return reserved
