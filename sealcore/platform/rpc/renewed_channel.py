"""A gRPC channel whose mTLS identity may be renewed while it is in use.

Each call uses the newest connection: a real channel, made with the identity that the files held at that time. When the files change,
the next call opens a new connection. Calls on the old one run to their end, and the last of them closes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from sealcore.platform.identity import Identity, IdentityWatch, require_current

Connect = Callable[[Identity], grpc.Channel]


class _Connection:
    """One real channel; counts the calls that are on it."""

    def __init__(self, identity: Identity, channel: grpc.Channel) -> None:
        self.identity = identity
        self.channel = channel
        self.ends_s = identity.ends_s
        self.methods: dict[tuple[str, str], Any] = {}
        self._calls = 0
        self._retired = False
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Begins a call; False when the connection has been retired meanwhile."""
        with self._lock:
            if self._retired:
                return False
            self._calls += 1
            return True

    def leave(self) -> None:
        """Ends a call."""
        with self._lock:
            self._calls -= 1
            last = self._retired and not self._calls
        if last:
            self._close_elsewhere()

    def retire(self) -> None:
        """Takes no more calls; closes after the last."""
        with self._lock:
            self._retired = True
            idle = not self._calls
        if idle:
            self.channel.close()

    @property
    def busy(self) -> bool:
        return bool(self._calls)

    def _close_elsewhere(self) -> None:
        # gRPC reports the end of a call in the thread that serves the channel, and closing the channel waits for that very thread
        threading.Thread(target=self.channel.close, name="connection-close", daemon=True).start()


class RenewedChannel(grpc.Channel):
    """A channel over the newest connection. Calls raise CERTIFICATE_EXPIRED when nobody renewed our certificate in time."""

    def __init__(self, watch: IdentityWatch, connect: Connect) -> None:
        self._watch = watch
        self._connect = connect
        self._lock = threading.Lock()
        identity = watch.current
        self._current = _Connection(identity, connect(identity))
        self._retired: list[_Connection] = []
        self._closed = False
        require_current(identity)

    def _entered(self) -> _Connection:
        """The newest connection, with this call counted on it."""
        while True:
            connection = self._newest()
            # It may have been retired between the look and the call: then there is a newer one.
            if connection.enter():
                return connection

    def _newest(self) -> _Connection:
        identity, connection = self._watch.current, self._current
        if identity is connection.identity or self._closed:
            if connection.ends_s < time.time():
                require_current(connection.identity)
            return connection
        with self._lock:
            if identity is not self._current.identity and not self._closed:
                old, self._current = self._current, _Connection(identity, self._connect(identity))
                # Only busy ones are kept, for ``close``; the others close at once.
                self._retired = [one for one in (*self._retired, old) if one.busy]
                old.retire()
            connection = self._current
        require_current(connection.identity)
        return connection

    # --- grpc.Channel

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:
        self._newest().channel.subscribe(callback, bool(try_to_connect))

    def unsubscribe(self, callback: Any) -> None:
        self._current.channel.unsubscribe(callback)

    def unary_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Callable(self, "unary_unary", method, arguments, named)

    def unary_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Callable(self, "unary_stream", method, arguments, named)

    def stream_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Callable(self, "stream_unary", method, arguments, named)

    def stream_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        return _Callable(self, "stream_stream", method, arguments, named)

    def close(self) -> None:
        """Ends every call and every connection."""
        with self._lock:
            self._closed = True
            connections = [self._current, *self._retired]
        for connection in connections:
            connection.channel.close()

    def __enter__(self) -> RenewedChannel:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()


class _Callable:
    """One method of a stub: finds the same method of the newest connection for each call."""

    def __init__(self, channel: RenewedChannel, kind: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._channel = channel
        self._kind, self._method, self._arguments, self._named = kind, method, arguments, named
        self._waits = not kind.endswith("stream")  # the call returns when it has ended

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._run("__call__", arguments, named) if self._waits else self._begin("__call__", arguments, named)

    def with_call(self, *arguments: Any, **named: Any) -> Any:
        return self._run("with_call", arguments, named)

    def future(self, *arguments: Any, **named: Any) -> Any:
        return self._begin("future", arguments, named)

    def _run(self, how: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        connection = self._channel._entered()
        try:
            return getattr(self._of(connection), how)(*arguments, **named)
        finally:
            connection.leave()

    def _begin(self, how: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        connection = self._channel._entered()
        try:
            call = getattr(self._of(connection), how)(*arguments, **named)
        except BaseException:
            connection.leave()
            raise
        if not call.add_callback(connection.leave):  # it has ended already
            connection.leave()
        return call

    def _of(self, connection: _Connection) -> Any:
        key = (self._kind, self._method)
        found = connection.methods.get(key)
        if found is None:
            found = connection.methods[key] = getattr(connection.channel, self._kind)(self._method, *self._arguments, **self._named)
        return found
