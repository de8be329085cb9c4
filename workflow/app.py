"""The workflow's composition root: settings in, a service out. Used by ``__main__``, the launcher and the tests alike."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from sealcore.clock import Clock, SystemClock
from sealcore.hsm.token import Token
from sealcore.platform.db import connect, database_answers, write
from sealcore.platform.http import uvicorn_server
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.revocation import CrlWatch
from workflow.delivery.ca_link import CaAuthority
from workflow.delivery.outbox import Outbox
from workflow.delivery.signer_link import SignerRegister
from workflow.directory import store as directory_store
from workflow.directory.model import Unit
from workflow.forms.issuer import Issuer
from workflow.metrics import WorkflowMetrics
from workflow.office import Bounds, Office
from workflow.settings import WorkflowSettings
from workflow.web import app as http
from workflow.web.quota import Quotas

DATABASE_CONNECTIONS = 16


@dataclass(frozen=True)
class Service:
    """A composed workflow. ``start`` and ``close`` frame its life; ``server.serve()`` answers requests in between."""

    app: FastAPI
    server: uvicorn.Server
    office: Office
    outbox: Outbox
    monitoring: ObservabilityEndpoint
    _token: Token
    _register: SignerRegister
    _authority: CaAuthority | None
    _crl: CrlWatch
    _renewal: Renewal

    def start(self) -> None:
        """Starts the background work: delivery to the signer, the watch over revocations, renewal of the certificate."""
        self._crl.start()
        self._renewal.start()
        self.outbox.start()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers requests until told to stop."""
        await self.monitoring.start()
        try:
            await self.server.serve(sockets)
        finally:
            await self.monitoring.stop()

    def close(self) -> None:
        """Ends background work, connections and the HSM session."""
        self.outbox.stop()
        self._renewal.stop()
        self._crl.stop()
        self._register.close()
        if self._authority is not None:
            self._authority.close()
        self._token.close()
        self.office.engine.dispose()


def build(settings: WorkflowSettings, *, clock: Clock | None = None) -> Service:
    """Puts the service together; raises CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, HSM_UNAVAILABLE or HSM_KEY_MISSING."""
    clock = clock or SystemClock()
    engine = open_database(settings)
    token = Token.open(settings.token)
    register = SignerRegister(settings.signer_target, settings.tls, clock, settings.register_cache_s)
    authority = CaAuthority(settings.ca_target, settings.tls) if settings.ca_target is not None else None
    ca_audience = settings.ca_audience if authority is not None else None
    bounds = Bounds(
        settings.audience,
        settings.office_unit,
        settings.token_validity_s,
        settings.grant_validity_s,
        ca_audience,
        settings.quota.open_forms,
    )
    office = Office(engine, register, Issuer(token.key(settings.issuer_key_label)), clock, bounds, authority)
    crl = CrlWatch(settings.tls, clock)
    app, metrics = http.app(office, crl, Quotas(settings.quota, clock)), WorkflowMetrics(engine)
    server = uvicorn_server(app, settings.listen, settings.tls, metrics=metrics.http)
    crl.measure(metrics.registry)
    checks = {
        "database": database_answers(engine),
        "hsm": token.probe,
        "signer": register.probe,
        "revocation": crl.require_current,
    }
    monitoring = ObservabilityEndpoint(settings.metrics, metrics.registry, checks)
    renewal = Renewal(settings.tls, clock, metrics.registry)
    return Service(app, server, office, Outbox(engine, register, authority), monitoring, token, register, authority, crl, renewal)


def open_database(settings: WorkflowSettings) -> Engine:
    """The database at its newest schema, with the office's own unit in it."""
    engine = connect(settings.database.url, pool_size=DATABASE_CONNECTIONS)
    upgrade(engine, scripts("workflow"))
    with write(engine) as connection:
        if not directory_store.unit_exists(connection, settings.office_unit):
            directory_store.add_unit(connection, Unit(settings.office_unit, settings.office_name))
    return engine
