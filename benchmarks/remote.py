"""Helpers in processes of their own, spawned and never forked: the load client and every yardstick run beside the services.

A helper is a context manager made in the child by ``factory(*arguments)``; its methods are called by name over a pipe.
It ends when the pipe is closed, however the parent ends, and leaves Ctrl-C to the parent.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Any

END_S = 20.0
_SPAWN = multiprocessing.get_context("spawn")


class RemoteError(RuntimeError):
    """A helper failed; the text is its own traceback."""


class Remote:
    """The parent's side of a helper."""

    def __init__(self, factory: Callable[..., AbstractContextManager[Any]], *arguments: Any) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, factory, arguments), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.result()  # ready, or why not
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The helper's process id."""
        assert self._process.pid is not None
        return self._process.pid

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls a method and waits for what it returns."""
        self.begin(method, *arguments)
        return self.result()

    def begin(self, method: str, *arguments: Any) -> None:
        """Calls a method without waiting; ``result`` waits."""
        self._pipe.send((method, arguments))

    def result(self) -> Any:
        """What the call returned; RemoteError when it failed or the helper is gone."""
        try:
            well, value = self._pipe.recv()
        except EOFError:
            raise RemoteError("the helper process ended by itself") from None
        if not well:
            raise RemoteError(value)
        return value

    def ended(self, wait_s: float) -> bool:
        """Whether the call that was begun has come to its end, after so long at the most."""
        return self._pipe.poll(wait_s)

    def close(self) -> None:
        """Ends the helper."""
        self._pipe.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def event() -> Any:
    """A flag that parent and helper share; hand it to the helper as an argument."""
    return _SPAWN.Event()


def _serve(pipe: Connection, factory: Callable[..., AbstractContextManager[Any]], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with factory(*arguments) as helper:
            pipe.send((True, None))
            while True:
                method, given = pipe.recv()
                try:
                    answer = True, getattr(helper, method)(*given)
                except Exception:  # noqa: BLE001  (whatever it is, the parent has to hear of it)
                    answer = False, traceback.format_exc()
                pipe.send(answer)
    except (EOFError, BrokenPipeError):
        return
    except Exception:  # noqa: BLE001  (as above)
        pipe.send((False, traceback.format_exc()))
