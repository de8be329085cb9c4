"""A worker of the timestamp service: ``python -m timestamp.worker DESCRIPTOR``, started by the parent, never by hand.

It has its own login to the token, listens on the service's address together with the other workers, and ends when the parent does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvloop
from cryptography import x509

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.hsm.watch import Watched
from sealcore.platform.front.server import Server, config
from sealcore.platform.http import listening_socket
from sealcore.platform.log import configure
from sealcore.platform.metrics import snapshot
from timestamp import channel
from timestamp.clock_watch import ClockWatch
from timestamp.http import TimestampApp
from timestamp.latest import SharedLatest
from timestamp.metrics import WorkerMetrics, clock_metrics
from timestamp.request import TimestampRequest
from timestamp.settings import TimestampSettings
from timestamp.stamping import Stamping
from timestamp.template import imprint
from timestamp.unit import TimestampUnit

HSM_TIMEOUT_S: Final = 5.0  # far beyond any honest signature; clients of this protocol wait some ten seconds
MOST_HUNG: Final = 4
DRAIN_S: Final = 5  # for requests that are being answered
GIVE_UP_S: Final = 8.0  # for the whole shutdown
_PROBE: Final = TimestampRequest(imprint("sha256", bytes(32)), None, False)


class Worker:
    """What one process has of the service: its login to the token, its unit, its HTTP server."""

    def __init__(self, settings: TimestampSettings, latest_file: Path, clock: Clock) -> None:
        self._settings = settings
        self.metrics = WorkerMetrics()
        self._token = Token.open(settings.token)
        try:
            self._latest = SharedLatest(latest_file)
            self._watch = ClockWatch(settings.clock, accuracy_ms=settings.accuracy_ms, clock=clock, chrony=settings.chrony)
            unit = self._unit()
            watched = Watched(HSM_TIMEOUT_S, MOST_HUNG, self._token.give_up)
            # SoftHSM computes in this process, of which there is one a core: a second thread would only take the core from the first.
            threads = 1 if settings.token.softhsm_conf is not None else settings.token.sessions
            self.stamping = Stamping(unit, watched, threads)
        except BaseException:
            self._token.close()
            raise
        self._watch.start()
        self.metrics.watch(self._token)
        clock_metrics(self.metrics.registry, self._watch)
        self.metrics.waiting.set_function(lambda: self.stamping.waiting)
        app = TimestampApp(unit, self.stamping, self.metrics)
        self._server = Server(config(app, drain_s=DRAIN_S), settings.http, self.metrics.connections, app.direct)

    async def serve(self, channel_socket: socket.socket) -> None:
        """Serves until the parent says stop, or is gone."""
        listening = listening_socket(self._settings.listen, shared=True)  # this worker's own: a dead one's is closed with it
        serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.001)
        conversing = asyncio.create_task(self._converse(channel_socket))
        await serving
        conversing.cancel()

    def close(self) -> None:
        """Logs out of the token."""
        self._watch.close()
        self.stamping.close()
        self._token.close()
        self._latest.close()

    def _unit(self) -> TimestampUnit:
        settings = self._settings
        (certificate,) = _certificates(settings.certificate_file)[:1]
        return TimestampUnit(
            self._token.key(settings.key_label),
            certificate,
            _certificates(settings.chain_file),
            policy_oid=settings.policy_oid,
            watch=self._watch,
            latest=self._latest,
        )

    async def _converse(self, channel_socket: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=channel_socket, limit=channel.LINE_LIMIT_BYTES)
        writer.write(channel.encode({"ready": True}))
        answering: set[asyncio.Task[None]] = set()
        while (asked := await channel.receive(reader)) is not None and asked["ask"] != channel.STOP:
            task = asyncio.create_task(self._answer(asked, writer))
            answering.add(task)
            task.add_done_callback(answering.discard)
        _end_surely()
        self._server.should_exit = True

    async def _answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        answer: str | dict[str, str] | None = None
        if asked["ask"] == channel.METRICS:
            answer = (await asyncio.to_thread(snapshot, self.metrics.registry)).decode()
        elif asked["ask"] == channel.TOKEN:
            try:
                await self.stamping.stamp(_PROBE)
            except VermilionError as fault:
                answer = channel.fault_as_dict(fault)
        writer.write(channel.encode({"number": asked["number"], "answer": answer}))


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} holds no certificate that can be read") from None


def _end_surely() -> None:
    """Ends this process after GIVE_UP_S, whatever may hang."""
    timer = threading.Timer(GIVE_UP_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


def main(arguments: Sequence[str], *, clock: Clock | None = None) -> int:
    """Serves until the parent ends it; returns the exit status. ``clock`` is for tests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which shuts the workers down
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn drains and then raises the signal again, which must not kill the process
    channel_socket = socket.socket(fileno=int(arguments[0]))
    order = channel.receive_one(channel_socket)
    if order is None:
        return 1
    configure("timestamp", worker=order["worker"])
    try:
        worker = Worker(TimestampSettings.model_validate(order["settings"]), Path(order["latest_file"]), clock or SystemClock())
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(worker.serve(channel_socket))
        finally:
            worker.close()
    except VermilionError as fault:
        with suppress(OSError):
            channel_socket.sendall(channel.encode({"ready": False, "fault": channel.fault_as_dict(fault)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
