"""A source of timestamps for batches of digests, and an outside TSA as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from sealcore import asn1
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log
from timestamp.client.metrics import OK, SourceMetrics
from timestamp.client.resting import UNTRUE, Rest, Standing
from timestamp.client.settings import HttpSource
from timestamp.client.tsa import Tsa

Result = TypeVar("Result")
CLOSE_S: Final = 5.0


class Source(Protocol):
    """Where timestamps over SHA-256 digests come from."""

    @property
    def name(self) -> str:
        """As the operator calls it."""

    @property
    def largest_token_bytes(self) -> int:
        """No token is larger."""

    def stamp_all(self, digests: Sequence[bytes], within_s: float) -> list[bytes | VermilionError]:
        """For each digest, in order, its token or the reason why there is none. Returns within ``within_s``, or shortly after."""

    def close(self) -> None:
        """Releases connections and threads."""


class OutsideTsa:
    """An outside TSA. An event loop in its own thread does the asking. Thread-safe."""

    def __init__(self, settings: HttpSource, clock: Clock, metrics: SourceMetrics) -> None:
        asn1.prepare()
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._rest = Rest(clock, patience=settings.patience, rest_s=settings.rest_s, distrust_s=settings.distrust_s)
        self._tsa = Tsa(settings, clock)
        self._slots = asyncio.Semaphore(settings.at_once)
        self._trying = asyncio.Lock()
        self._log = get_log("tsa")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tsa-{settings.name}", daemon=True)
        self._thread.start()
        metrics.begin(settings.name)
        metrics.resting.labels(settings.name).set_function(lambda: self._rest.standing is Standing.RESTS)

    @property
    def name(self) -> str:
        """As the operator calls it."""
        return self._settings.name

    @property
    def largest_token_bytes(self) -> int:
        """A larger token is refused."""
        return self._settings.largest_token_bytes

    def stamp_all(self, digests: Sequence[bytes], within_s: float) -> list[bytes | VermilionError]:
        """See ``Source``; asks for several tokens at a time."""
        return self._run(self._stamp_all(digests, self._clock.monotonic_s() + within_s))

    def close(self) -> None:
        """Closes its connections and ends its thread."""
        self._run(self._tsa.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _stamp_all(self, digests: Sequence[bytes], until_s: float) -> list[bytes | VermilionError]:
        if not digests:
            return []
        if self._rest.standing is Standing.ASKED:
            return await asyncio.gather(*(self._stamp(digest, until_s) for digest in digests))
        first = await self._try(digests[0], until_s)
        return [first, *await asyncio.gather(*(self._stamp(digest, until_s) for digest in digests[1:]))]

    async def _try(self, digest: bytes, until_s: float) -> bytes | VermilionError:
        """Tries the TSA with one request before all others. Whoever comes meanwhile is refused at once, so that nobody waits for a dead TSA."""
        if self._trying.locked():
            return VermilionError(Code.TSA_RESTS, "it is being tried by another request after its rest")
        async with self._trying:
            return await self._stamp(digest, until_s, trying=True)

    async def _stamp(self, digest: bytes, until_s: float, *, trying: bool = False) -> bytes | VermilionError:
        async with self._slots:
            standing = self._rest.standing
            if standing is Standing.RESTS or (standing is Standing.TRIED and not trying):
                return self._counted(VermilionError(Code.TSA_RESTS, self._rest.why))
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return self._counted(VermilionError(Code.TSA_SLOW, "the time for the whole batch was up before it was asked"))
            return await self._ask(digest, left_s)

    async def _ask(self, digest: bytes, within_s: float) -> bytes | VermilionError:
        begun_s = self._clock.monotonic_s()
        try:
            token = await self._tsa.stamp(digest, within_s=within_s)
        except VermilionError as fault:
            self._rest.failed(fault.code)
            self._note(fault)
            return self._counted(fault)
        except Exception as fault:  # noqa: BLE001  (each digest has one outcome, whatever a stranger's answer provokes)
            self._rest.failed(Code.INTERNAL)
            self._log.error("fault", source=self.name, exc_info=fault)
            return typed(fault)
        finally:
            self._metrics.seconds.labels(self.name).observe(self._clock.monotonic_s() - begun_s)
        self._rest.succeeded()
        self._metrics.requests.labels(self.name, OK).inc()
        return token

    def _counted(self, fault: VermilionError) -> VermilionError:
        self._metrics.requests.labels(self.name, str(fault.code)).inc()
        return fault

    def _note(self, fault: VermilionError) -> None:
        if fault.code in UNTRUE:
            self._metrics.untrue.labels(self.name).inc()
            self._log.error("untrue answer", source=self.name, code=str(fault.code), reason=fault.reason)
        else:
            self._log.warning("no timestamp", source=self.name, code=str(fault.code), reason=fault.reason)
