"""The OCSP service: one process over its own token and the CA's record."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from ca.ocsp.ca_link import by_ca
from ca.ocsp.delegate import Certify, Delegation
from ca.ocsp.delegations import Delegations
from ca.ocsp.http import OcspApp
from ca.ocsp.metrics import OcspMetrics
from ca.ocsp.presign import Presigner
from ca.ocsp.record import AnswerRecord, open_record
from ca.ocsp.responder import Responder
from ca.ocsp.settings import OcspSettings
from ca.pki import PkiFolder
from sealcore.clock import Clock
from sealcore.hsm.token import Token
from sealcore.hsm.watch import Watched
from sealcore.platform.db import database_answers
from sealcore.platform.http import HttpEndpoint
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.service import Composed

ANSWERS: Final = "answers.db"  # in the state folder; on PostgreSQL a table beside the CA's
HSM_TIMEOUT_S: Final = 5.0
MOST_HUNG: Final = 4
READERS: Final = 6  # threads that answer from what is pre-signed, however many wait for the HSM


def build(settings: OcspSettings, *, clock: Clock, certify: Certify | None = None) -> Composed:
    """Opens token and database and makes the service; raises CONFIGURATION_INVALID, HSM_* or DATABASE_*.

    It serves at once; until all that is due is made it is not ready, and answers live. The CA makes its tables; this process only reads
    them. ``certify`` in the place of the CA service, where it runs in this process.
    """
    with ExitStack() as opened:
        folder = PkiFolder(settings.pki_folder)
        settings.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = open_record(settings.database.url, settings.state_folder / ANSWERS)
        opened.callback(engine.dispose)
        record = AnswerRecord(engine)
        token = Token.open(settings.token)
        opened.callback(token.close)
        keys = {role: token.key(label) for role, label in settings.keys.items()}
        asks = certify or by_ca(settings.ca_target, settings.tls)
        delegations = Delegations(
            lambda: folder.current,
            keys,
            lambda authority, key: Delegation(authority, key, settings.state_folder, asks, clock=clock),
            clock=clock,
        )
        watched = Watched(HSM_TIMEOUT_S, MOST_HUNG, token.give_up)
        opened.callback(watched.close)
        metrics = OcspMetrics(engine, record, delegations, token, clock=clock)
        presigner = Presigner(record, delegations, watched, metrics, validity=settings.validity, clock=clock)
        responder = Responder(
            record,
            delegations,
            watched,
            validity=settings.validity,
            nonce_answers_per_s=settings.nonce_answers_per_s,
            other_answers_per_s=settings.other_answers_per_s,
            at_once=settings.token.sessions,
            clock=clock,
        )
        app = OcspApp(responder, metrics, threads=settings.token.sessions + READERS, clock=clock)
        opened.callback(app.close)
        parts = (
            presigner,
            Renewal(settings.tls, clock, metrics.registry),
            HttpEndpoint(app, settings.listen, limits=settings.http, metrics=metrics.http),
        )
        checks = {"database": database_answers(engine), "answers": presigner.current}
        return Composed(parts, ObservabilityEndpoint(settings.metrics, metrics.registry, checks), opened.pop_all())
