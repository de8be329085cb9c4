"""What an operator's monitoring reads of a service, on an address of its own: ``/metrics``, ``/healthz``, ``/readyz``. Nothing secret.

``/healthz`` is liveness: the process answers. ``/readyz`` is readiness: it asks each part that the service cannot do without, and
names the one that fails. ``/metrics`` carries the same answers as ``vermilion_ready{part=…}``, so that alerts can be made of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sealcore import __version__
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import exhausted
from sealcore.platform import log as logs
from sealcore.platform import periodic
from sealcore.platform.config import Listen
from sealcore.platform.front.limits import FOR_OPERATORS
from sealcore.platform.http import HttpEndpoint, install_errors
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import FAILING, STOPPED, WORKER, exposition, merge
from sealcore.platform.periodic import STANDING_STILL, Health, Standing
from sealcore.platform.throttle import Throttle

PATIENCE_S: Final = 3.0  # for one part; longer than a call waits for a service that comes back, shorter than a scrape waits for us
GATHER_S: Final = 5.0
_OWN: Final = frozenset({"front", "parent"})  # as ``Gather`` calls the process that asks its workers

Check = Callable[[], Awaitable[None] | None]
"""Raises when the part cannot do its work. A plain function may block: it runs in a thread of its own."""

Gather = Callable[[], Awaitable[Mapping[str, bytes]]]
"""worker → ``metrics.snapshot`` of each worker that answers."""


class Readiness:
    """The parts that a service cannot do without. A check that hangs is not started again before it ends: hanging checks do not pile up."""

    def __init__(self, checks: Mapping[str, Check], *, patience_s: float = PATIENCE_S) -> None:
        self._checks = dict(checks)
        self._patience_s = patience_s
        self._running: dict[str, asyncio.Future[None]] = {}
        self._draining = False

    def drain(self) -> None:
        """The service reports itself as not ready from now on: it finishes what it has and accepts nothing new."""
        self._draining = True

    async def examine(self) -> dict[str, VermilionError | None]:
        """Each part with its fault, or None when it works."""
        found = dict(zip(self._checks, await asyncio.gather(*map(self._ask, self._checks)), strict=True))
        if self._draining:
            found["service"] = VermilionError(Code.SERVICE_UNAVAILABLE, "the service is stopping")
        return found

    async def _ask(self, part: str) -> VermilionError | None:
        running = self._running.get(part)
        if running is not None and running.done():  # what a check found long ago says nothing about now
            running.exception()
            running = None
        if running is None:
            try:
                running = self._running[part] = _start(self._checks[part])
            except Exception as unstarted:  # noqa: BLE001  (no thread can be started, say)
                return _told_of(part, unstarted)
        # ``wait`` cancels nothing: a check that hangs in a thread goes on, and is not started a
        # second time.
        done, _ = await asyncio.wait({running}, timeout=self._patience_s)
        if not done:
            return VermilionError(Code.SERVICE_UNAVAILABLE, f"{part} does not answer")
        self._running.pop(part, None)
        fault = running.exception()
        return None if fault is None else _told_of(part, fault)


def _told_of(part: str, fault: BaseException) -> VermilionError:
    if isinstance(fault, VermilionError):
        return fault
    return exhausted(fault) or VermilionError(Code.INTERNAL, f"{part} cannot be examined ({type(fault).__name__})")


def _start(check: Check) -> asyncio.Future[None]:
    """The check, running: a coroutine as a task, a plain function in a thread that no exit of the process waits for."""
    loop = asyncio.get_running_loop()
    if inspect.iscoroutinefunction(check):
        return loop.create_task(check())
    answer: asyncio.Future[None] = loop.create_future()

    def settle(fault: BaseException | None) -> None:
        if answer.cancelled():
            return
        if fault is None:
            answer.set_result(None)
        else:
            answer.set_exception(fault)

    def run() -> None:
        fault: BaseException | None = None
        try:
            check()
        except Exception as raised:  # noqa: BLE001  (whatever it is, the part is not well)
            fault = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, fault)

    threading.Thread(target=run, name="readiness", daemon=True).start()
    return answer


class ObservabilityEndpoint:
    """The HTTP server of ``/metrics``, ``/healthz`` and ``/readyz``; does nothing where no address is configured.

    source   this process's registry, or the coroutine that gathers the snapshots of all workers
    checks   part → check; the part's name is what an operator reads
    notes    part → what an operator should know of it while it is well
    """

    def __init__(
        self,
        listen: Listen | None,
        source: CollectorRegistry | Gather,
        checks: Mapping[str, Check],
        *,
        notes: Mapping[str, Callable[[], str]] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._source = source
        self._notes = dict(notes or {})
        self.readiness = Readiness(checks, patience_s=patience_s)
        self._endpoint = HttpEndpoint(self.app(), listen, limits=FOR_OPERATORS) if listen is not None else None

    async def start(self) -> None:
        """Listens; CONFIGURATION_INVALID when the port is taken."""
        if self._endpoint is not None:
            await self._endpoint.start()

    async def stop(self) -> None:
        """Ends after the running requests. Stop it last: an operator wants to see how a service drains (``readiness.drain``)."""
        if self._endpoint is not None:
            await self._endpoint.stop()

    def app(self) -> Starlette:
        """The application."""
        log, throttle = get_log("monitoring"), Throttle()  # who asks decides how often

        async def metrics(_request: Request) -> Response:
            families, parts = await asyncio.gather(self._families(), self.readiness.examine())
            body = await asyncio.to_thread(exposition, [*families, _ready(parts), _release()])
            return Response(body, media_type=CONTENT_TYPE_LATEST)

        async def alive(_request: Request) -> Response:
            return PlainTextResponse("ok\n")

        async def ready(_request: Request) -> Response:
            parts, loops = await asyncio.gather(self.readiness.examine(), self._loops())
            failing = {part: fault for part, fault in parts.items() if fault is not None}
            failing |= {name: one.fault for name, one in loops.items() if one.health in STANDING_STILL and one.fault is not None}
            told = {part: str(fault.code) for part, fault in failing.items()}
            if failing and throttle.take(tuple(told.items())) is not None:
                log.warning("not ready", parts=told)
            body = {
                "status": "not ready" if failing else "ready",
                "parts": {part: self._told(part, fault) for part, fault in parts.items()},
                "loops": {name: _told_of_loop(one) for name, one in loops.items()},
            }
            if (lost := logs.lost()) is not None:  # the work goes on without its log; somebody should know
                body["log"] = str(lost)
            return JSONResponse(body, status_code=503 if failing else 200, headers={"Cache-Control": "no-store"})

        app = Starlette(routes=[Route("/metrics", metrics), Route("/healthz", alive), Route("/readyz", ready)])
        install_errors(app)
        return app

    def _told(self, part: str, fault: VermilionError | None) -> dict[str, Any]:
        if fault is not None:
            return {"status": "failing", "code": str(fault.code), "reason": fault.reason, "way_out": fault.way_out}
        note = self._notes.get(part)
        return {"status": "ok", "note": note()} if note else {"status": "ok"}

    async def _loops(self) -> dict[str, Standing]:
        """Every background task of the service: this process's, and those of its workers, as ``WORKER/TASK``."""
        loops = {one.name: one for one in periodic.standings()}
        if not isinstance(self._source, CollectorRegistry):
            with contextlib.suppress(Exception):  # a worker that does not answer is told by the part that watches over workers
                loops |= {one.name: one for one in _of_workers(await self._families()) if one.name.partition("/")[0] not in _OWN}
        return loops

    async def _families(self) -> Iterable[Metric]:
        if isinstance(self._source, CollectorRegistry):
            return await asyncio.to_thread(lambda source: list(source.collect()), self._source)
        try:
            async with asyncio.timeout(GATHER_S):
                snapshots = await self._source()
        except TimeoutError:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "the workers do not say how they are") from None
        return await asyncio.to_thread(merge, snapshots)


def _told_of_loop(one: Standing) -> dict[str, Any]:
    if one.fault is None:
        return {"status": one.health}
    since = (datetime.now(UTC) - timedelta(seconds=one.for_s)).isoformat(timespec="seconds")
    return {"status": one.health, "since": since, "code": str(one.fault.code), "reason": one.fault.reason, "way_out": one.fault.way_out}


def _of_workers(families: Iterable[Metric]) -> Iterable[Standing]:
    """What the metrics of workers say of their background tasks; why one fails is in their logs."""
    told = {family.name: family.samples for family in families if family.name in (FAILING, STOPPED)}
    failing_s = {(one.labels[WORKER], one.labels["task"]): one.value for one in told.get(FAILING, ())}
    for one in told.get(STOPPED, ()):
        worker, task = one.labels[WORKER], one.labels["task"]
        name, for_s = f"{worker}/{task}", failing_s.get((worker, task), 0.0)
        if one.value:
            fault = VermilionError(Code.INTERNAL, f"the background task {task} of the worker {worker} has ended or makes no progress")
            yield Standing(name, Health.ENDED, 0.0, fault)
        elif for_s:
            reason = f"the rounds of the background task {task} of the worker {worker} fail; its log says why"
            yield Standing(name, Health.FAILING, for_s, VermilionError(Code.SERVICE_UNAVAILABLE, reason))
        else:
            yield Standing(name, Health.WELL)


def _release() -> Metric:
    """Which release answers, as a label, so that an upgrade in steps can be watched."""
    family = GaugeMetricFamily("vermilion_build_info", "The release that runs", labels=["version"])
    family.add_metric([__version__], 1.0)
    return family


def _ready(parts: Mapping[str, VermilionError | None]) -> Metric:
    family = GaugeMetricFamily("vermilion_ready", "Whether a part that the service cannot do without is well", labels=["part"])
    for part, fault in parts.items():
        family.add_metric([part], 0.0 if fault is not None else 1.0)
    return family
