"""The CA service: the issuing CAs of all generations, gRPC for operators and the signer, plain HTTP for strangers."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sqlalchemy import Engine

from ca import http
from ca.acts import Acts
from ca.ceremony import plan
from ca.issuance import holders, profiles
from ca.issuance.certificate import Parent, crl_url
from ca.issuance.generations import enrol
from ca.issuance.issue import Issuance, Issuer
from ca.issuance.issuers import PresentIssuers
from ca.issuance.lint import Linter
from ca.metrics import CaMetrics
from ca.names import IssuerName
from ca.outbox import LedgerOutbox
from ca.pki import PkiFolder, spki_of
from ca.register_link import SignerRegister
from ca.revocation.crl import CrlPublisher
from ca.revocation.revoke import Revocation
from ca.revocation.rpc import Means
from ca.rpc import RULES, CertificateAuthority, OwnRecord
from ca.settings import CaSettings
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.db import connect, database_answers, read
from sealcore.platform.log import get as get_log
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.rpc import server
from sealcore.platform.service import HttpEndpoint

CRL_ROUND_S: Final = 5.0  # how long a CRL may stay due after the HSM or the database came back
_GRACE_S: Final = 5.0
_SERVICE_NAME: Final = ca_pb2.DESCRIPTOR.services_by_name["CertificateAuthority"].full_name


class CrlUpkeep:
    """Keeps the CRLs fresh, and takes up new generations, in a thread of its own."""

    def __init__(self, publisher: CrlPublisher, issuers: PresentIssuers) -> None:
        self._publisher = publisher
        self._issuers = issuers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="crl-upkeep", daemon=True)
        self._log = get_log("crl")

    def start(self) -> None:
        """Makes what is due now, which must succeed, and from then on by itself."""
        self._publisher.publish_due()
        self._thread.start()

    def stop(self) -> None:
        """Ends after the CRL in hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(CRL_ROUND_S):
            try:
                self._issuers.take_up()
                self._publisher.publish_due()
            except VermilionError as fault:
                self._log.error("a CRL is due, or a CA to be taken up, and that fails", code=str(fault.code), reason=fault.reason)


@dataclass(frozen=True)
class _Parts:
    token: Token
    engine: Engine
    upkeep: CrlUpkeep
    renewal: Renewal
    outbox: LedgerOutbox
    register: SignerRegister
    endpoint: HttpEndpoint
    servicer: CertificateAuthority
    metrics: CaMetrics
    monitoring: ObservabilityEndpoint
    clock: Clock


class CaService:
    """The running service."""

    def __init__(self, settings: CaSettings, parts: _Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._rpc: Any = None

    async def start(self) -> None:
        """Publishes due CRLs, then serves."""
        self._name_contested()
        self._parts.upkeep.start()
        await self._parts.endpoint.start()
        own, target = OwnRecord(self._parts.engine), self._settings.listen_rpc.target
        self._rpc = server(self._settings.tls, RULES, own, target=target, metrics=self._parts.metrics.rpc)
        ca_pb2_grpc.add_CertificateAuthorityServicer_to_server(self._parts.servicer, self._rpc)  # type: ignore[no-untyped-call]
        healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]  # public, says its source
        await healthy.set(_SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, self._rpc)
        reflection.enable_server_reflection((_SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._rpc)
        await self._rpc.start()
        self._parts.outbox.start()
        self._parts.renewal.start()
        await self._parts.monitoring.start()

    def _name_contested(self) -> None:
        with read(self._parts.engine) as connection:
            for uri, serials in holders.contested(connection, self._parts.clock.now()).items():
                get_log("ca").warning("several holders", uri=uri, serials=serials, way_out="docs/upgrading.md")

    async def stop(self) -> None:
        """Ends after the running requests; logs out of the token."""
        self._parts.monitoring.readiness.drain()
        if self._rpc is not None:
            await self._rpc.stop(_GRACE_S)
        await self._parts.endpoint.stop()
        await self._parts.monitoring.stop()
        self._parts.renewal.stop()
        self._parts.outbox.stop()
        self._parts.upkeep.stop()
        self._parts.register.close()
        self._parts.token.close()
        self._parts.engine.dispose()


def build(settings: CaSettings, *, clock: Clock) -> CaService:
    """Opens token and database and makes the service; raises CONFIGURATION_INVALID, HSM_* or DATABASE_*."""
    declared = plan.load(settings.ceremony_file)
    folder = PkiFolder(settings.pki_folder)
    engine = connect(settings.database.url)
    upgrade(engine, scripts("ca"))
    enrol(engine, folder.current.authorities)
    token = Token.open(settings.token)

    def issuer(name: IssuerName, certificate: x509.Certificate) -> Issuer:
        return Issuer(Parent(name, certificate, settings.public_url, settings.ocsp_url), token.key(declared[name].key))

    try:
        issuers = PresentIssuers(folder, engine, settings.tls.trust_file, issuer)
    except VermilionError:
        token.close()
        raise
    linter = Linter()
    issuance = Issuance(engine, profiles.load(), issuers, linter, clock=clock, authority_keys=lambda: _keys(folder))
    publisher = CrlPublisher(engine, issuers, declared, linter, clock=clock)
    revocation = Revocation(engine, publisher, clock=clock)
    register = SignerRegister(settings.signer_target, settings.tls)
    acts = Acts(engine, revocation, issuance, register, clock=clock)
    outbox = LedgerOutbox(engine, settings.signer_target, settings.tls)
    metrics = CaMetrics(engine, lambda: issuers.authorities, waiting=outbox.waiting, clock=clock)
    means = Means(engine, revocation, acts, publisher, lambda: _urls(settings, folder, issuers), metrics)
    checks = {"database": database_answers(engine), "hsm": token.probe, "crls": metrics.crls_current}
    parts = _Parts(
        token=token,
        engine=engine,
        upkeep=CrlUpkeep(publisher, issuers),
        renewal=Renewal(settings.tls, clock, metrics.registry),
        outbox=outbox,
        register=register,
        endpoint=HttpEndpoint(http.create(engine, lambda: folder.current, clock=clock), settings.listen_http, metrics=metrics.http),
        servicer=CertificateAuthority(engine, issuance, means, folder, metrics),
        metrics=metrics,
        monitoring=ObservabilityEndpoint(settings.metrics, metrics.registry, checks),
        clock=clock,
    )
    return CaService(settings, parts)


def _keys(folder: PkiFolder) -> set[bytes]:
    """SHA-256 of the SPKI of every authority."""
    return {hashlib.sha256(spki_of(each)).digest() for each in folder.current.authorities.values()}


def _urls(settings: CaSettings, folder: PkiFolder, issuers: PresentIssuers) -> dict[IssuerName, str]:
    """Where each CRL is fetched."""
    present = folder.current.authorities
    return {name: crl_url(Parent(name, present[name], settings.public_url)) for name in issuers.authorities}
