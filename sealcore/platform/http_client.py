"""The one HTTP client: whatever of ours asks a server over HTTP does it here, and takes nothing that could harm it.

``AsyncHttpClient`` is for coroutines, ``HttpClient`` for everyone else. What both promise, whoever answers:

* one deadline around the whole exchange: the look-up of the name, connection, TLS, request, and the answer to its last byte;
* never more of an answer in memory than its caller allows, and a head; compressed answers are refused (``http_exchange``);
* no redirect is followed, and the environment has no say: no proxy, no ``.netrc``, no log of TLS keys;
* what goes wrong is an ``HttpError``; addresses in it have neither passwords nor queries.

Connections are kept for the next request; one on which a server says anything that was not asked for is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from sealcore.errors import VermilionError
from sealcore.platform import log as logs
from sealcore.platform import tracing
from sealcore.platform.config import TlsSettings
from sealcore.platform.http_connection import Asked, Connection, Idle, LostError, connect
from sealcore.platform.http_exchange import Answer, Failure, HttpError, Target
from sealcore.platform.identity import Identity, read, require_current

__all__ = ["Answer", "AsyncHttpClient", "Failure", "HttpClient", "HttpError", "Target"]

REQUEST_ID_HEADER: Final = "X-Request-Id"
OK: Final = 200
NOT_MODIFIED: Final = 304
CONNECT_S: Final = 10.0  # for each address of a host
AT_ONCE: Final = 8
_SPARE_S: Final = 5.0  # for the loop to notice a deadline itself
_Result = TypeVar("_Result")


def context_of(protocol: int, identity: Identity) -> ssl.SSLContext:
    """Both sides must show a certificate; chains end at the CAs that we trust."""
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=identity.trust.decode("ascii"))
    context.load_cert_chain(str(identity.certificate_file), str(identity.key_file))
    return context


def request_headers() -> dict[str, str]:
    """What a client sends along: the bound request id and the present span."""
    carried = {REQUEST_ID_HEADER: logs.request_id(), tracing.TRACEPARENT: tracing.traceparent()}
    return {name: value for name, value in carried.items() if value}


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """TLS for a client with our identity; trusts the infrastructure CAs alone. Raises CONFIGURATION_INVALID or CERTIFICATE_EXPIRED."""
    return context_of_client(read(tls))


def context_of_client(identity: Identity) -> ssl.SSLContext:
    """As ``client_context``, of an identity that was read before."""
    require_current(identity)
    return context_of(ssl.PROTOCOL_TLS_CLIENT, identity)


def public_context(cafile: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """TLS towards strangers: trusts ``cafile``, or else the machine's own CAs. OSError or ssl.SSLError when they cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unlike ``create_default_context`` it writes no keys where SSLKEYLOGFILE says
    if cafile is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=cafile)
    return context


class AsyncHttpClient:
    """For one event loop.

    within_s   for a whole exchange, unless one says otherwise
    tls        for https; None for the machine's own CAs
    at_once    exchanges, and connections; further ones wait, within their deadline
    connect_s  for the connection to one address, TLS included
    silent_s   until the next bytes of an answer; None for ``within_s``
    """

    def __init__(
        self,
        *,
        within_s: float,
        tls: ssl.SSLContext | None = None,
        at_once: int = AT_ONCE,
        connect_s: float = CONNECT_S,
        silent_s: float | None = None,
    ) -> None:
        self._within_s, self._connect_s = within_s, connect_s
        self._silent_s = within_s if silent_s is None else silent_s
        self._tls = tls
        self._slots = asyncio.Semaphore(at_once)
        self._idle = Idle(at_once)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        most_bytes: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        within_s: float | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """The answer, whatever its status. Raises ``HttpError``, also for a URL or headers that cannot be sent.

        most_bytes  of its body
        repeatable  whether the request may reach the server twice: it is sent again when a kept connection turns out to be closed
        """
        try:
            asked = Asked(method, Target.of(url), headers or {}, body, most_bytes)
        except VermilionError as fault:
            raise HttpError(Failure.UNREACHABLE, fault.reason) from None
        total_s = self._within_s if within_s is None else within_s
        try:
            async with asyncio.timeout(total_s), self._slots:
                return await self._asked(asked, repeatable=repeatable)
        except TimeoutError:
            raise HttpError(Failure.SLOW, f"{asked.target} does not finish its answer within {total_s:g} s") from None

    async def close(self) -> None:
        """Closes the connections."""
        self._idle.close()

    async def _asked(self, asked: Asked, *, repeatable: bool) -> Answer:
        try:
            kept = self._idle.take(asked.target)
            if kept is not None:
                with contextlib.suppress(*([LostError] if repeatable else [])):
                    return await self._over(kept, asked)
            return await self._over(await connect(asked.target, self._context(asked.target), self._connect_s), asked)
        except LostError as lost:
            raise HttpError(Failure.UNREACHABLE, f"{asked.target} ends the connection without an answer{lost}") from None

    def _context(self, target: Target) -> ssl.SSLContext | None:
        if target.scheme == "http":
            return None
        self._tls = self._tls or public_context()
        return self._tls

    async def _over(self, connection: Connection, asked: Asked) -> Answer:
        clean = False
        try:
            answer = await connection.ask(asked, self._silent_s)
            clean = connection.ready_for_next()
            return answer
        finally:
            if clean:
                self._idle.keep(asked.target, connection)
            else:
                connection.close()


class HttpClient:
    """For everyone else: as ``AsyncHttpClient``, and ``ask`` waits. Threads may share one; not for use on an event loop."""

    def __init__(
        self,
        *,
        within_s: float,
        tls: ssl.SSLContext | None = None,
        at_once: int = AT_ONCE,
        connect_s: float = CONNECT_S,
        silent_s: float | None = None,
    ) -> None:
        self._within_s = within_s
        self._make = partial(AsyncHttpClient, within_s=within_s, tls=tls, at_once=at_once, connect_s=connect_s, silent_s=silent_s)
        self._made = os.getpid(), self._make()
        _Background.of_this_process()

    def ask(
        self,
        method: str,
        url: str,
        *,
        most_bytes: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        within_s: float | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """See ``AsyncHttpClient.ask``."""
        if self._made[0] != os.getpid():  # forked: the connections are the parent's
            self._made = os.getpid(), self._make()
        asking = self._made[1].ask(method, url, most_bytes=most_bytes, body=body, headers=headers, within_s=within_s, repeatable=repeatable)
        return _Background.of_this_process().run(asking, (self._within_s if within_s is None else within_s) + _SPARE_S)

    def close(self) -> None:
        """Closes the connections."""
        _Background.of_this_process().run(self._made[1].close(), _SPARE_S)


class _Background:
    """The event loop on which this process's ``HttpClient``s wait, in a thread that does nothing else."""

    _present: _Background | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="http", daemon=True).start()

    @classmethod
    def of_this_process(cls) -> _Background:
        """Begins with the first client."""
        with cls._lock:
            if cls._present is None:
                cls._present = cls()
            return cls._present

    @classmethod
    def forget(cls) -> None:
        """In a process that was forked: the thread stayed behind."""
        cls._present, cls._lock = None, threading.Lock()

    def run(self, work: Coroutine[Any, Any, _Result], within_s: float) -> _Result:
        """The coroutine's result. An interrupt, or a loop that hangs, ends the wait."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result(within_s)
        except TimeoutError:
            raise HttpError(Failure.SLOW, f"no answer within {within_s:g} s") from None
        finally:
            running.cancel()


os.register_at_fork(after_in_child=_Background.forget)
