"""The log process: one thread publishes, HTTP serves. The checkpoint key is the only key that it opens."""

from __future__ import annotations

import asyncio
import threading

from ledger.http import create
from ledger.metrics import LedgerMetrics
from ledger.publisher import Publisher, Reached
from ledger.settings import LedgerSettings
from ledger.signer_link import SignerLink
from ledger.witness_link import WitnessLink
from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.log import request
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.service import HttpEndpoint
from sealcore.protocol.signed_note import log_key


class LedgerService:
    """The running service."""

    def __init__(
        self,
        publisher: Publisher,
        endpoint: HttpEndpoint,
        link: SignerLink,
        witness: WitnessLink | None,
        token: Token,
        *,
        metrics: LedgerMetrics,
        monitoring: ObservabilityEndpoint,
        renewal: Renewal,
        interval_s: float,
    ) -> None:
        self.publisher = publisher
        self._metrics, self._monitoring = metrics, monitoring
        self._endpoint, self._link, self._witness, self._token = endpoint, link, witness, token
        self._renewal = renewal
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="publisher")

    async def start(self) -> None:
        """Serves what is published, and begins to publish; needs neither the signer nor the witness to be there yet."""
        await self._endpoint.start()
        await self._monitoring.start()
        self._renewal.start()
        self._thread.start()

    async def stop(self) -> None:
        """Ends after the running pass and the running requests; logs out of the token."""
        self._stopping.set()
        self._renewal.stop()
        self._monitoring.readiness.drain()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)
        await self._endpoint.stop()
        await self._monitoring.stop()
        self._link.close()
        if self._witness is not None:
            self._witness.close()
        self._token.close()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            with request():  # an id of its own for each pass; the signer's log names it too
                self._metrics.run_pass()
            self._stopping.wait(self._interval_s)


def build(settings: LedgerSettings, *, clock: Clock, reached: Reached = lambda _step: None) -> LedgerService:
    """Opens the token and makes the service; raises CONFIGURATION_INVALID or HSM_*. ``reached`` is told the log's steps: tests use it."""
    witness = WitnessLink(settings.witness) if settings.witness is not None else None
    token = Token.open(settings.token)
    try:
        signing_key = token.key(settings.key_label)
        key = log_key(settings.origin, signing_key.spki_der)
    except VermilionError:
        token.close()
        raise
    link = SignerLink(settings.signer_target, settings.tls)
    publisher = Publisher(
        key=key,
        sign=signing_key.sign,
        source=link,
        witness=witness,
        public_folder=settings.public_folder,
        state_folder=settings.state_folder,
        cosign_refresh_s=settings.cosign_refresh_s,
        clock=clock,
        reached=reached,
    )
    app = create(publisher, settings.public_folder, key, witness.key if witness is not None else None)
    metrics = LedgerMetrics(publisher, settings.state_folder)
    renewal = Renewal(settings.tls, clock, metrics.registry)
    endpoint = HttpEndpoint(app, settings.listen, metrics=metrics.http)
    monitoring = ObservabilityEndpoint(settings.metrics, metrics.registry, {"hsm": token.probe, "log": metrics.follows})
    return LedgerService(
        publisher,
        endpoint,
        link,
        witness,
        token,
        metrics=metrics,
        monitoring=monitoring,
        renewal=renewal,
        interval_s=settings.interval_s,
    )
