"""Certificate revocation lists (RFC 5280 §5): complete, numbered, linted, replaced on schedule and at every revocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier
from sqlalchemy import Connection, Engine, Row, Select, func, insert, select, text, update

from ca.ceremony.plan import Plan
from ca.instants import from_text, to_text
from ca.issuance.certificate import Parent, crl_url
from ca.issuance.generations import is_spent
from ca.issuance.issue import Issuer
from ca.issuance.lint import Linter
from ca.names import IssuerName, role_of
from ca.revocation.change import ON_HOLD
from ca.tables import State, certificates, crls, issuers
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.platform.log import get as get_log

LAST_NEXT_UPDATE: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""nextUpdate of an archived generation's last CRL (after ETSI EN 319 411): nothing that it lists or leaves out can change any more."""

EXPIRED_CERTS_ON_CRL: Final = ObjectIdentifier("2.5.29.60")


@dataclass(frozen=True)
class PublishedCrl:
    """A CRL as it is handed out."""

    number: int
    this_update: datetime
    next_update: datetime
    der: bytes


def newest(engine: Engine, issuer: str) -> PublishedCrl | None:
    """The CRL to hand out for this CA, or None before its first."""
    wanted = select(crls).where(crls.c.issuer == issuer).order_by(crls.c.number.desc()).limit(1)
    with read(engine) as connection:
        row = connection.execute(wanted).one_or_none()
    return PublishedCrl(row.number, from_text(row.this_update), from_text(row.next_update), row.crl) if row else None


_NEWEST_NUMBER = text("SELECT max(number) FROM crls WHERE issuer = :issuer")  # asked every second by every service


class NewestCrls:
    """The newest CRLs for many questions. Which is the newest is asked of the database each time, its content once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[str, tuple[PublishedCrl, bool]] = {}

    def of(self, issuer: str) -> tuple[PublishedCrl, bool] | None:
        """The CRL to hand out for this CA and whether it ``is_alone_in_its_second``; None before its first."""
        with read(self._engine) as connection:
            number = connection.execute(_NEWEST_NUMBER, {"issuer": issuer}).scalar_one()
        held = self._held.get(issuer)
        if held is not None and held[0].number == number:
            return held
        published = newest(self._engine, issuer)
        if published is None:
            return None
        self._held[issuer] = published, is_alone_in_its_second(self._engine, issuer, published)
        return self._held[issuer]


def is_alone_in_its_second(engine: Engine, issuer: IssuerName, published: PublishedCrl) -> bool:
    """Whether no other CRL of this CA has the same thisUpdate, which is in whole seconds."""
    same = select(func.count()).where(crls.c.issuer == issuer, crls.c.this_update == to_text(published.this_update))
    with read(engine) as connection:
        return connection.execute(same).scalar_one() == 1


def overdue(engine: Engine, issuer: IssuerName, *, now: datetime) -> timedelta:
    """For how long a recorded change has waited for a CRL; zero when none waits."""
    with read(engine) as connection:
        since = connection.execute(select(issuers.c.due_since).where(issuers.c.name == issuer)).scalar_one_or_none()
    return now - from_text(since) if since else timedelta(0)


class CrlPublisher:
    """Makes the CRLs of the CAs whose keys are in this process's token. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, issuing: Mapping[IssuerName, Issuer], plan: Plan, linter: Linter, *, clock: Clock) -> None:
        self._engine = engine
        self._issuing = issuing
        self._plan = plan
        self._linter = linter
        self._clock = clock
        self._log = get_log("crl")

    def require_key(self, name: IssuerName) -> None:
        """INVALID_ARGUMENT unless this process can sign CRLs of that CA."""
        if name not in self._issuing:
            here = ", ".join(sorted(self._issuing))
            raise VermilionError(Code.INVALID_ARGUMENT, f"the key of the CA {name[:40]} is not here; there are {here}")

    def publish_due(self) -> None:
        """Makes each CRL that is due: a revocation waits for it, it is the first, or its time has come."""
        for name in self._issuing:
            self.publish(name, only_if_due=True)

    def publish(self, name: IssuerName, *, only_if_due: bool = False) -> int:
        """The number of the newest CRL, which is a new one, or at least lacks nothing if ``only_if_due``.

        One transaction holds the issuer's row while the CRL is made, so numbers have no gaps and no CRL can miss a
        revocation that an earlier number has. A crash leaves ``crl_due`` as it was, and the next round makes the CRL.
        """
        self.require_key(name)
        with write(self._engine) as connection:
            row = connection.execute(select(issuers).where(issuers.c.name == name).with_for_update()).one()
            now = self._clock.now().replace(microsecond=0)
            if only_if_due and not row.crl_due and not self._too_old(connection, name, row.crl_number, now):
                return int(row.crl_number)
            number = int(row.crl_number) + 1
            next_update = LAST_NEXT_UPDATE if is_spent(connection, name, now) else now + self._plan[name].crl_lifetime
            crl = self._make(connection, name, number, now, next_update, previous=self._made(connection, name, row.crl_number))
            connection.execute(
                insert(crls).values(issuer=name, number=number, this_update=to_text(now), next_update=to_text(next_update), crl=crl)
            )
            done = {"crl_number": number, "crl_due": False, "due_since": None}
            connection.execute(update(issuers).where(issuers.c.name == name).values(done))
        self._log.info("crl published", issuer=name, number=number)
        return number

    def _too_old(self, connection: Connection, name: IssuerName, number: int, now: datetime) -> bool:
        made = self._made(connection, name, number)
        if made is None:
            return True
        last = select(crls.c.number).where(crls.c.issuer == name, crls.c.number == number, crls.c.next_update == to_text(LAST_NEXT_UPDATE))
        return now - made >= self._plan[name].crl_every and connection.execute(last).first() is None

    def _made(self, connection: Connection, name: IssuerName, number: int) -> datetime | None:
        """thisUpdate of a CRL; None where there is none of this number."""
        made = connection.execute(select(crls.c.this_update).where(crls.c.issuer == name, crls.c.number == number)).scalar_one_or_none()
        return from_text(made) if made is not None else None

    def _make(
        self, connection: Connection, name: IssuerName, number: int, now: datetime, next_update: datetime, *, previous: datetime | None
    ) -> bytes:
        issuer = self._issuing[name]
        certificate = issuer.parent.certificate
        assert certificate is not None, "a CA has its certificate before it has a CRL"
        issuer_key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.subject)
            .last_update(now)
            .next_update(next_update)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        )
        if role_of(name) != "root":
            builder = builder.add_extension(_distribution_point(issuer.parent), critical=True)
        keeps = self._plan[name].crl_keeps_expired
        if keeps:
            builder = builder.add_extension(_expired_certificates_since(certificate), critical=False)
        for row in connection.execute(_listed(name)):
            if keeps or not _may_leave(row, previous):
                builder = builder.add_revoked_certificate(_entry(row))
        linted_tbs = self._linter.crl(builder, issuer.key.algorithm)
        crl = builder.sign(issuer.key.private_key(), issuer.key.algorithm.hash)
        if crl.tbs_certlist_bytes != linted_tbs:
            raise VermilionError(Code.INTERNAL, "the CRL that was signed is not what was linted; it was thrown away")
        return crl.public_bytes(Encoding.DER)


def _listed(name: IssuerName) -> Select[Any]:
    """The certificates that are not good, in the order in which they stopped being so."""
    since = func.coalesce(certificates.c.revoked_at, certificates.c.held_at)
    columns = (certificates.c[column] for column in ("serial", "state", "reason", "invalidity_date", "not_after"))
    bad = certificates.c.state.in_((State.REVOKED, State.HELD))
    return select(*columns, since.label("since")).where(certificates.c.issuer == name, bad).order_by(since, certificates.c.serial)


def _may_leave(row: Row[Any], previous: datetime | None) -> bool:
    """Whether an expired certificate stood on a CRL made after its expiry, and so need not stand on another (RFC 5280 §3.3)."""
    return previous is not None and previous > max(from_text(row.not_after), from_text(row.since))


def _entry(row: Row[Any]) -> x509.RevokedCertificate:
    entry = x509.RevokedCertificateBuilder().serial_number(int(row.serial, 16)).revocation_date(from_text(row.since))
    flag = x509.ReasonFlags(ON_HOLD if row.state == State.HELD else row.reason)
    if flag is not x509.ReasonFlags.unspecified:  # RFC 5280 §5.3.1: absent rather than unspecified
        entry = entry.add_extension(x509.CRLReason(flag), critical=False)
    if row.invalidity_date is not None:
        entry = entry.add_extension(x509.InvalidityDate(from_text(row.invalidity_date)), critical=False)
    return entry.build()


def _distribution_point(parent: Parent) -> x509.IssuingDistributionPoint:
    """What this CRL is about (RFC 5280 §5.2.5): all that this CA issued, fetched where its certificates say.

    A root's CRL has none and is the whole list. Its own certificate names no CRL, so that whoever checks the root too (openssl's
    ``-crl_check_all``) would find a named place out of scope; and a scope without a place is unknown to others (EU DSS).
    """
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(crl_url(parent))],
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _expired_certificates_since(authority: x509.Certificate) -> x509.UnrecognizedExtension:
    """expiredCertsOnCRL (X.509 §9.5.2.8): whoever was revoked stays listed, also those that expired, from the CA's first day on."""
    since = core.GeneralizedTime(authority.not_valid_before_utc.replace(microsecond=0))
    return x509.UnrecognizedExtension(EXPIRED_CERTS_ON_CRL, since.dump())
