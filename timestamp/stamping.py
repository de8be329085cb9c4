"""Hands requests from the event loop, which must never wait for the HSM, to threads, which do.

Requests that are waiting go to the HSM as one batch, with one hand-over to a thread and one back for all of them. Batches grow with
the load by themselves; a single request does not wait for others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.hsm.watch import Watched
from timestamp.request import TimestampRequest
from timestamp.unit import TimestampUnit

LARGEST_BATCH: Final = 8  # the first of a batch waits for its last: a millisecond with a fast token
MOST_WAITING: Final = 4096  # a few seconds of work for a fast token; further requests would be answered too late to be of use

Outcome = bytes | VermilionError
Settle = Callable[[Outcome], None]
_Asked = tuple[TimestampRequest, Settle, asyncio.AbstractEventLoop]


class Stamping:
    """Issues tokens for coroutines, on ``threads`` threads: at most as many as the HSM token has sessions."""

    def __init__(self, unit: TimestampUnit, watched: Watched, threads: int) -> None:
        self._unit = unit
        self._watched = watched
        self._threads = threads
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._work, name="stamping", daemon=True).start()

    @property
    def waiting(self) -> int:
        """How many requests no thread has taken yet."""
        return self._queue.qsize()

    def stamp(self, request: TimestampRequest) -> asyncio.Future[bytes]:
        """A future with the result of ``TimestampUnit.stamp_imprint``. Raises OVERLOADED if too many requests are waiting."""
        token: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.ask(request, partial(_into, token))
        return token

    def ask(self, request: TimestampRequest, settle: Settle) -> None:
        """The same for who is told the outcome, on the event loop that this is called on."""
        # Refused at once: an answer that comes after the client has given up costs a signature and
        # helps nobody.
        if self._queue.qsize() >= MOST_WAITING:
            raise VermilionError(Code.OVERLOADED, f"{MOST_WAITING} requests are waiting for the HSM")
        self._queue.put((request, settle, asyncio.get_running_loop()))

    def close(self) -> None:
        """Ends the threads; what is queued already is still served."""
        for _ in range(self._threads):
            self._queue.put(None)
        self._watched.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = self._with_others(first)
            outcomes: Sequence[Outcome]
            try:
                outcomes = self._watched.run([self._job(request) for request, _settle, _loop in batch])
            except Exception as raised:  # noqa: BLE001  (no threads or memory for now; this thread serves the next batch)
                outcomes = [typed(raised)] * len(batch)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                first[2].call_soon_threadsafe(_settle, batch, outcomes)

    def _with_others(self, first: _Asked) -> list[_Asked]:
        """``first`` and this thread's share of the queue, so that no thread is idle while another has a long batch."""
        batch = [first]
        for _ in range(min(LARGEST_BATCH - 1, self._queue.qsize() // self._threads)):
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                self._queue.put(None)  # put the end marker back for after this batch
                break
            batch.append(more)
        return batch

    def _job(self, request: TimestampRequest) -> partial[bytes]:
        return partial(self._unit.stamp_imprint, request.message_imprint, nonce=request.nonce, cert_req=request.cert_req)


def _settle(batch: Sequence[_Asked], outcomes: Sequence[Outcome]) -> None:
    for (_request, settle, loop), outcome in zip(batch, outcomes, strict=True):
        try:
            settle(outcome)
        except Exception as fault:  # noqa: BLE001  (want of memory, say: the others of this batch are still told theirs)
            loop.call_exception_handler({"message": "an outcome could not be told", "exception": fault})


def _into(token: asyncio.Future[bytes], outcome: Outcome) -> None:
    if token.done():  # the client has left
        return
    if isinstance(outcome, VermilionError):
        token.set_exception(outcome)
    else:
        token.set_result(outcome)
