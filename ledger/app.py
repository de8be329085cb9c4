"""The log process: one task publishes, HTTP serves. The checkpoint key is the only key that it opens."""

from __future__ import annotations

from contextlib import ExitStack

from ledger.http import create
from ledger.metrics import LedgerMetrics
from ledger.publisher import Publisher, Reached
from ledger.settings import LedgerSettings
from ledger.signer_link import SignerLink
from ledger.witness_link import WitnessLink
from sealcore.clock import Clock
from sealcore.hsm.token import Token
from sealcore.platform.http import HttpEndpoint
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.periodic import NOW, Periodic
from sealcore.platform.renewal import Renewal
from sealcore.platform.service import Composed
from sealcore.protocol.signed_note import log_key


def build(settings: LedgerSettings, *, clock: Clock, reached: Reached = lambda _step: None) -> Composed:
    """Opens the token and makes the service; raises CONFIGURATION_INVALID or HSM_*.

    It serves what is published; neither the signer nor the witness needs to be up yet. ``reached`` is called with the log's steps, for tests.
    """
    with ExitStack() as opened:
        token = Token.open(settings.token)
        opened.callback(token.close)
        signing_key = token.key(settings.key_label)
        key = log_key(settings.origin, signing_key.spki_der)
        witness = WitnessLink(settings.witness) if settings.witness is not None else None
        if witness is not None:
            opened.callback(witness.close)
        link = SignerLink(settings.signer_target, settings.tls)
        opened.callback(link.close)
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
        parts = (
            HttpEndpoint(app, settings.listen, limits=settings.http, metrics=metrics.http),
            Renewal(settings.tls, clock, metrics.registry),
            Periodic("publisher", metrics.run_pass, settings.interval_s, first_s=NOW),
        )
        checks = {"hsm": token.probe, "log": metrics.follows}
        return Composed(parts, ObservabilityEndpoint(settings.metrics, metrics.registry, checks), opened.pop_all())
