"""The CA service: the issuing CAs of all generations, gRPC for operators and the signer, plain HTTP for strangers."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import Final

from cryptography import x509
from sqlalchemy import Engine

from ca import http, rpc
from ca.acts import Acts
from ca.ceremony import plan
from ca.issuance import holders, profiles
from ca.issuance.certificate import Parent, crl_url
from ca.issuance.generations import enrol
from ca.issuance.issue import Issuance, Issuer
from ca.issuance.issuers import PresentIssuers
from ca.issuance.lint import Linter
from ca.ledger_link import LedgerLink
from ca.metrics import CaMetrics
from ca.names import IssuerName
from ca.outbox import LedgerOutbox
from ca.pki import PkiFolder, spki_of
from ca.register_link import SignerRegister
from ca.revocation.crl import CrlPublisher
from ca.revocation.revoke import Revocation
from ca.revocation.rpc import Means
from ca.rpc import CertificateAuthority
from ca.settings import CaSettings
from sealcore.clock import Clock
from sealcore.hsm.token import Token
from sealcore.platform.db import connect, database_answers, read
from sealcore.platform.http import HttpEndpoint
from sealcore.platform.log import get as get_log
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.periodic import Periodic
from sealcore.platform.renewal import Renewal
from sealcore.platform.rpc.endpoint import RpcEndpoint
from sealcore.platform.service import Composed
from sealcore.platform.storage import Storage

CRL_ROUND_S: Final = 5.0  # how long a CRL may stay due after the HSM or the database came back


class CrlUpkeep:
    """Keeps the CRLs fresh, and takes up new generations, in the background."""

    def __init__(self, publisher: CrlPublisher, issuers: PresentIssuers) -> None:
        self._publisher = publisher
        self._issuers = issuers
        failing = "a CRL is due, or a CA to be taken up, and that fails"
        self._task = Periodic("crl-upkeep", self._round, CRL_ROUND_S, failing=failing)

    def start(self) -> None:
        """Makes what is due now, which must succeed, and from then on by itself."""
        self._publisher.publish_due()
        self._task.start()

    def stop(self) -> None:
        """Ends after the CRL in hand."""
        self._task.stop()

    def _round(self) -> None:
        self._issuers.take_up()
        self._publisher.publish_due()


def build(settings: CaSettings, *, clock: Clock) -> Composed:
    """Opens token and database and makes the service; raises CONFIGURATION_INVALID, HSM_* or DATABASE_*."""
    with ExitStack() as opened:
        declared = plan.load(settings.ceremony_file)
        folder = PkiFolder(settings.pki_folder)
        engine = connect(settings.database.url)
        opened.callback(engine.dispose)
        upgrade(engine, scripts("ca"))
        enrol(engine, folder.current.authorities)
        token = Token.open(settings.token)
        opened.callback(token.close)

        def issuer(name: IssuerName, certificate: x509.Certificate) -> Issuer:
            return Issuer(Parent(name, certificate, settings.public_url, settings.ocsp_url), token.key(declared[name].key))

        issuers = PresentIssuers(folder, engine, settings.tls.trust_file, issuer)
        linter = Linter()
        issuance = Issuance(engine, profiles.load(), issuers, linter, clock=clock, authority_keys=lambda: _keys(folder))
        publisher = CrlPublisher(engine, issuers, declared, linter, clock=clock)
        storage = Storage.of(settings.database, settings.storage)
        revocation = Revocation(engine, publisher, storage, clock=clock)
        register = SignerRegister(settings.signer_target, settings.tls)
        opened.callback(register.close)
        acts = Acts(engine, revocation, issuance, register, clock=clock)
        ledger = LedgerLink(settings.signer_target, settings.tls)
        opened.callback(ledger.close)
        outbox = LedgerOutbox(engine, ledger)
        metrics = CaMetrics(engine, lambda: issuers.authorities, waiting=outbox.waiting, clock=clock)
        storage.measure(metrics.registry)
        means = Means(engine, revocation, acts, publisher, lambda: _urls(settings, folder, issuers), metrics, storage)
        servicer = CertificateAuthority(engine, issuance, means, folder, metrics)
        _name_contested(engine, clock)
        parts = (
            storage,
            CrlUpkeep(publisher, issuers),
            outbox,
            Renewal(settings.tls, clock, metrics.registry),
            HttpEndpoint(
                http.create(engine, lambda: folder.current, clock=clock), settings.listen_http, limits=settings.http, metrics=metrics.http
            ),
            RpcEndpoint(
                lambda: rpc.create_server(servicer, engine, settings.tls, target=settings.listen_rpc.target, metrics=metrics.rpc),
                [rpc.SERVICE],
            ),
        )
        checks = {"database": database_answers(engine), "storage": storage.check, "hsm": token.probe, "crls": metrics.crls_current}
        return Composed(parts, ObservabilityEndpoint(settings.metrics, metrics.registry, checks), opened.pop_all())


def _name_contested(engine: Engine, clock: Clock) -> None:
    with read(engine) as connection:
        for uri, serials in holders.contested(connection, clock.now()).items():
            get_log("ca").warning("several holders", uri=uri, serials=serials, way_out="docs/upgrading.md")


def _keys(folder: PkiFolder) -> set[bytes]:
    """SHA-256 of the SPKI of every authority."""
    return {hashlib.sha256(spki_of(each)).digest() for each in folder.current.authorities.values()}


def _urls(settings: CaSettings, folder: PkiFolder, issuers: PresentIssuers) -> dict[IssuerName, str]:
    """Where each CRL is fetched."""
    present = folder.current.authorities
    return {name: crl_url(Parent(name, present[name], settings.public_url)) for name in issuers.authorities}
