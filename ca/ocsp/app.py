"""The OCSP service: one process over its own token and the CA's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from ca.ocsp.delegate import Certify, Delegation, by_ca
from ca.ocsp.delegations import Delegations
from ca.ocsp.http import OcspApp
from ca.ocsp.metrics import OcspMetrics
from ca.ocsp.presign import Presigner
from ca.ocsp.record import AnswerRecord, open_record
from ca.ocsp.responder import Responder
from ca.ocsp.settings import OcspSettings
from ca.pki import PkiFolder
from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.hsm.watch import Watched
from sealcore.platform.db import database_answers
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.service import HttpEndpoint

ANSWERS: Final = "answers.db"  # in the state folder; on PostgreSQL a table beside the CA's
HSM_TIMEOUT_S: Final = 5.0
MOST_HUNG: Final = 4
READERS: Final = 6  # threads that answer from what is pre-signed, however many wait for the HSM


@dataclass(frozen=True)
class _Parts:
    token: Token
    engine: Engine
    watched: Watched
    presigner: Presigner
    renewal: Renewal
    app: OcspApp
    endpoint: HttpEndpoint
    monitoring: ObservabilityEndpoint


class OcspService:
    """The running service."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts

    async def start(self) -> None:
        """Serves, and makes what is due: until that is done it is not ready, and answers live."""
        self._parts.presigner.start()
        self._parts.renewal.start()
        await self._parts.endpoint.start()
        await self._parts.monitoring.start()

    async def stop(self) -> None:
        """Ends after the running requests; logs out of the token."""
        self._parts.monitoring.readiness.drain()
        await self._parts.endpoint.stop()
        await self._parts.monitoring.stop()
        self._parts.app.close()
        self._parts.renewal.stop()
        self._parts.presigner.stop()
        self._parts.watched.close()
        self._parts.token.close()
        self._parts.engine.dispose()


def build(settings: OcspSettings, *, clock: Clock, certify: Certify | None = None) -> OcspService:
    """Opens token and database and makes the service; raises CONFIGURATION_INVALID, HSM_* or DATABASE_*.

    The CA makes its tables; this process only reads them. ``certify`` in the place of the CA service, where it runs in this process.
    """
    folder = PkiFolder(settings.pki_folder)
    settings.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_record(settings.database.url, settings.state_folder / ANSWERS)
    record = AnswerRecord(engine)
    token = Token.open(settings.token)
    try:
        keys = {role: token.key(label) for role, label in settings.keys.items()}
    except VermilionError:
        token.close()
        raise
    asks = certify or by_ca(settings.ca_target, settings.tls)
    delegations = Delegations(
        lambda: folder.current,
        keys,
        lambda authority, key: Delegation(authority, key, settings.state_folder, asks, clock=clock),
        clock=clock,
    )
    watched = Watched(HSM_TIMEOUT_S, MOST_HUNG, token.give_up)
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
    parts = _Parts(
        token=token,
        engine=engine,
        watched=watched,
        presigner=presigner,
        renewal=Renewal(settings.tls, clock, metrics.registry),
        app=app,
        endpoint=HttpEndpoint(app, settings.listen, metrics=metrics.http),
        monitoring=ObservabilityEndpoint(
            settings.metrics, metrics.registry, {"database": database_answers(engine), "answers": presigner.current}
        ),
    )
    return OcspService(parts)
