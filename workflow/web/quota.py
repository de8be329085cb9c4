"""What one caller may take of the service: calls and bytes at once, forms and bytes a minute, and whose request is worked on next.

Counted in this process, by the SAN URI of the caller's certificate; used from the event loop alone. A caller over its share is
refused before anything is done (QUOTA_EXCEEDED, with the seconds after which it may come again). Who is within its share never
waits behind another's queue: callers take turns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.turns import Turns
from workflow.settings import QuotaSettings

MINUTE_S = 60.0
AT_ONCE, AT_ONCE_OF_ONE = 32, 8  # requests being worked on; the server has 40 threads for them
BIG_BYTES = 256 * 1024  # a form of some two hundred documents: seconds of work for ten thousand
BIG_AT_ONCE = 1  # they share one interpreter: two at once take as long, and others longer


@dataclass
class _Share:
    """What a caller has taken: now, and in the minute that runs (a bucket that fills up again evenly)."""

    calls: int = 0
    bytes: int = 0
    forms_left: float = 0.0
    bytes_left: float = 0.0
    filled_s: float = 0.0


class Quotas:
    """The shares of all callers."""

    def __init__(self, limits: QuotaSettings, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._shares: dict[str, _Share] = {}
        self._bytes = 0
        self.small, self.big = Turns(AT_ONCE, AT_ONCE_OF_ONE), Turns(BIG_AT_ONCE, 1)

    @contextmanager
    def call(self, caller: str) -> Iterator[Call]:
        """Counts a call for as long as the block runs; QUOTA_EXCEEDED when the caller has too many open."""
        share = self._share(caller)
        if share.calls >= self._limits.calls:
            raise _exceeded(f"{share.calls} calls of {caller} are open; {self._limits.calls} are a caller's share", 1)
        share.calls += 1
        call = Call(self, share, caller)
        try:
            yield call
        finally:
            share.calls -= 1
            share.bytes -= call.bytes
            self._bytes -= call.bytes

    def take(self, share: _Share, caller: str, count: int) -> None:
        """Counts bytes of a body that is held; QUOTA_EXCEEDED beyond the caller's share, OVERLOADED beyond all that is held."""
        if share.bytes + count > self._limits.bytes_at_once:
            raise _exceeded(f"{caller} has more than {self._limits.bytes_at_once} bytes under way", 2)
        if self._bytes + count > self._limits.bytes_held:
            raise _later(VermilionError(Code.OVERLOADED, "the service holds as many requests as it can"), 2)
        share.bytes += count
        self._bytes += count

    def form(self, share: _Share, caller: str, size_bytes: int) -> None:
        """Counts a form; QUOTA_EXCEEDED when the caller has had its forms, or its bytes of forms, of this minute."""
        self._fill(share)
        limits = self._limits
        for left, wanted, a_minute, what in (
            (share.forms_left, 1, limits.forms_a_minute, "forms"),
            (share.bytes_left, size_bytes, limits.form_bytes_a_minute, "bytes of forms"),
        ):
            if left < wanted:
                raise _exceeded(f"{caller} has had its {a_minute} {what} of this minute", 1 + int((wanted - left) * MINUTE_S / a_minute))
        share.forms_left -= 1
        share.bytes_left -= size_bytes

    def _share(self, caller: str) -> _Share:
        if caller not in self._shares:
            self._shares = {known: share for known, share in self._shares.items() if share.calls or not self._is_full(share)}
            limits = self._limits
            full = _Share(forms_left=limits.forms_a_minute, bytes_left=limits.form_bytes_a_minute, filled_s=self._clock.monotonic_s())
            self._shares[caller] = full
        return self._shares[caller]

    def _is_full(self, share: _Share) -> bool:
        self._fill(share)
        return share.forms_left >= self._limits.forms_a_minute and share.bytes_left >= self._limits.form_bytes_a_minute

    def _fill(self, share: _Share) -> None:
        now_s, limits = self._clock.monotonic_s(), self._limits
        part = (now_s - share.filled_s) / MINUTE_S
        share.forms_left = min(limits.forms_a_minute, share.forms_left + part * limits.forms_a_minute)
        share.bytes_left = min(limits.form_bytes_a_minute, share.bytes_left + part * limits.form_bytes_a_minute)
        share.filled_s = now_s


class Call:
    """One call and the bytes of its body."""

    def __init__(self, quotas: Quotas, share: _Share, caller: str) -> None:
        self._quotas, self._share, self._caller = quotas, share, caller
        self.bytes = 0

    def take(self, count: int) -> None:
        """So many bytes more have come."""
        self._quotas.take(self._share, self._caller, count)
        self.bytes += count

    def form(self) -> None:
        """The call asks for a form."""
        self._quotas.form(self._share, self._caller, self.bytes)

    @asynccontextmanager
    async def worked_on(self) -> AsyncIterator[None]:
        """The caller's turn to be worked on, in the line for requests of this size."""
        turns = self._quotas.big if self.bytes > BIG_BYTES else self._quotas.small
        async with turns.turn(self._caller):
            yield


def _exceeded(reason: str, retry_after_s: int) -> VermilionError:
    return _later(VermilionError(Code.QUOTA_EXCEEDED, reason), retry_after_s)


def _later(fault: VermilionError, retry_after_s: int) -> VermilionError:
    fault.retry_after_s = retry_after_s
    return fault
