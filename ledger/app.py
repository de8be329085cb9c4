"""The log process: one thread publishes, HTTP serves. The checkpoint key is the only key that it opens."""

from __future__ import annotations

import asyncio
import threading

from ledger.http import create
from ledger.publisher import Publisher
from ledger.settings import LedgerSettings
from ledger.signer_link import SignerLink
from ledger.witness_link import WitnessLink
from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.ledger.note import log_key
from sealcore.service import HttpEndpoint


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
        interval_s: float,
    ) -> None:
        self.publisher = publisher
        self._endpoint, self._link, self._witness, self._token = endpoint, link, witness, token
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="publisher")

    async def start(self) -> None:
        """Serves what is published, and begins to publish; needs neither the signer nor the witness to be there yet."""
        await self._endpoint.start()
        self._thread.start()

    async def stop(self) -> None:
        """Ends after the running pass and the running requests; logs out of the token."""
        self._stopping.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)
        await self._endpoint.stop()
        self._link.close()
        if self._witness is not None:
            self._witness.close()
        self._token.close()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self.publisher.run_pass()
            self._stopping.wait(self._interval_s)


def build(settings: LedgerSettings, *, clock: Clock) -> LedgerService:
    """Opens the token and makes the service; raises CONFIGURATION_INVALID or HSM_*."""
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
    )
    app = create(publisher, settings.public_folder, key, witness.key if witness is not None else None)
    return LedgerService(publisher, HttpEndpoint(app, settings.listen), link, witness, token, interval_s=settings.interval_s)
