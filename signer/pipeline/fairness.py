"""Threads that work for several clients: each gets the same time, however much a single piece of work of theirs costs."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

CLIENTS_REMEMBERED: Final = 1000
_P = ParamSpec("_P")
_T = TypeVar("_T")
_Work = tuple[Future[Any], Callable[[], Any]]


class FairThreads:
    """A pool of threads. The next task is that of the client with the fewest running tasks; among these, of the one that has used the least time.

    A running task is not interrupted. A client that was idle for a while starts at the level of the others, without credit.
    """

    def __init__(self, threads: int, name: str, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[_Work]] = {}
        self._running: Counter[str] = Counter()
        self._spent_s: OrderedDict[str, float] = OrderedDict()
        self._level_s = 0.0  # what the client of the task that began last had spent

    def of(self, client: str) -> Executor:
        """The pool, as an executor of this client's tasks."""
        return _Share(self, client)

    def close(self, *, finish: bool) -> None:
        """Waits for all tasks, or cancels those that have not begun."""
        if not finish:
            with self._lock:
                for future, _work in [one for queue in self._waiting.values() for one in queue]:
                    future.cancel()
        self._pool.shutdown(wait=finish, cancel_futures=not finish)

    def add(self, client: str, work: Callable[[], _T]) -> Future[_T]:
        """Runs a task of this client when its turn comes. RuntimeError when no thread can be started for it: then it never runs."""
        future: Future[_T] = Future()
        with self._lock:
            if client not in self._waiting:
                self._waiting[client] = deque()
                # Without the maximum, a client that was idle for an hour would come back with an
                # hour's credit and shut everyone else out.
                self._spent_s[client] = max(self._spent_s.get(client, 0.0), self._level_s)
                self._spent_s.move_to_end(client)
            self._waiting[client].append((future, work))
        # One call of ``_next`` for each task, but not bound to this one: whose turn it is, is
        # settled when a thread is free.
        try:
            self._pool.submit(self._next)
        except RuntimeError:  # the pool may still call ``_next``, which passes over what is cancelled
            future.cancel()
            raise
        return future

    def _next(self) -> None:
        with self._lock:
            client = min(self._waiting, key=lambda one: (self._running[one], self._spent_s[one]))
            future, work = self._waiting[client].popleft()
            if not self._waiting[client]:
                del self._waiting[client]
            self._running[client] += 1
            self._level_s = max(self._level_s, self._spent_s[client])
        began_s = self._monotonic_s()
        try:
            _run(future, work)
        finally:
            self._done(client, self._monotonic_s() - began_s)

    def _done(self, client: str, took_s: float) -> None:
        with self._lock:
            self._running[client] -= 1
            self._spent_s[client] = self._spent_s.get(client, self._level_s) + took_s
            if not self._running[client]:
                del self._running[client]
            if len(self._spent_s) > CLIENTS_REMEMBERED:
                for idle in [one for one in self._spent_s if one not in self._waiting and one not in self._running][:1]:
                    del self._spent_s[idle]


def _run(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as fault:  # noqa: BLE001  (it is for whoever waits for the result, as in every pool)
        future.set_exception(fault)
    else:
        future.set_result(result)


class _Share(Executor):
    def __init__(self, threads: FairThreads, client: str) -> None:
        self._threads, self._client = threads, client

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        return self._threads.add(self._client, lambda: fn(*args, **kwargs))
