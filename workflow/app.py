"""The workflow's composition root: settings in, a service out."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import Engine

from sealcore.clock import Clock
from sealcore.hsm.token import Token
from sealcore.platform.db import connect, database_answers, write
from sealcore.platform.http import HttpEndpoint
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.revocation import CrlWatch
from sealcore.platform.service import Composed
from sealcore.platform.storage import Storage
from workflow.delivery.ca_link import CaAuthority
from workflow.delivery.outbox import Outbox
from workflow.delivery.signer_link import SignerRegister
from workflow.directory import store as directory_store
from workflow.directory.model import Unit
from workflow.forms.issuer import Issuer
from workflow.forms.lapse import Lapse
from workflow.metrics import WorkflowMetrics
from workflow.office import Bounds, Office
from workflow.settings import WorkflowSettings
from workflow.web import app as http
from workflow.web.quota import Quotas

DATABASE_CONNECTIONS = 16


def build(settings: WorkflowSettings, *, clock: Clock) -> Composed:
    """Puts the service together; raises CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, HSM_UNAVAILABLE or HSM_KEY_MISSING."""
    with ExitStack() as opened:
        engine = open_database(settings)
        opened.callback(engine.dispose)
        token = Token.open(settings.token)
        opened.callback(token.close)
        register = SignerRegister(settings.signer_target, settings.tls, clock, settings.register_cache_s)
        opened.callback(register.close)
        authority = CaAuthority(settings.ca_target, settings.tls) if settings.ca_target is not None else None
        if authority is not None:
            opened.callback(authority.close)
        bounds = Bounds(
            settings.audience,
            settings.office_unit,
            settings.token_validity_s,
            settings.grant_validity_s,
            settings.ca_audience if authority is not None else None,
            settings.quota.open_forms,
        )
        storage = Storage.of(settings.database, settings.storage)
        office = Office(engine, register, Issuer(token.key(settings.issuer_key_label)), clock, bounds, authority, storage)
        crl, metrics = CrlWatch(settings.tls, clock), WorkflowMetrics(engine)
        storage.measure(metrics.registry)
        crl.measure(metrics.registry)
        app = http.app(office, crl, Quotas(settings.quota, clock))
        parts = (
            storage,
            crl,
            Renewal(settings.tls, clock, metrics.registry),
            Outbox(engine, register, authority),
            Lapse(office),
            HttpEndpoint(app, settings.listen, settings.tls, limits=settings.http, metrics=metrics.http),
        )
        checks = {
            "database": database_answers(engine),
            "storage": storage.check,
            "hsm": token.probe,
            "signer": register.probe,
            "revocation": crl.require_current,
        }
        return Composed(parts, ObservabilityEndpoint(settings.metrics, metrics.registry, checks), opened.pop_all())


def open_database(settings: WorkflowSettings) -> Engine:
    """The database at its newest schema, with the office's own unit in it."""
    engine = connect(settings.database.url, pool_size=DATABASE_CONNECTIONS)
    upgrade(engine, scripts("workflow"))
    with write(engine) as connection:
        if not directory_store.unit_exists(connection, settings.office_unit):
            directory_store.add_unit(connection, Unit(settings.office_unit, settings.office_name))
    return engine
