"""Certificate revocation lists (RFC 5280 §5): complete, numbered, linted, replaced on schedule and at every revocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Engine, insert, select, update

from ca.issue import Issuer
from ca.lint import Linter, hash_for
from ca.plan import Plan
from ca.profiles import IssuerName
from ca.tables import State, certificates, crls, from_text, issuers, to_text
from sealcore.clock import Clock
from sealcore.db import read, write
from sealcore.errors import Code, VermilionError
from sealcore.log import get as get_log


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


class CrlPublisher:
    """Makes the CRLs of the CAs whose keys are in this process's token. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, issuing: Mapping[IssuerName, Issuer], plan: Plan, linter: Linter, *, clock: Clock) -> None:
        self._engine = engine
        self._issuing = issuing
        self._plan = plan
        self._linter = linter
        self._clock = clock
        self._log = get_log("crl")

    def publish_due(self) -> None:
        """Makes each CRL that is due: a revocation waits for it, it is the first, or its time has come."""
        for name in self._issuing:
            self.publish(name, only_if_due=True)

    def publish(self, name: IssuerName, *, only_if_due: bool = False) -> int:
        """The number of the newest CRL, which is a new one, or at least lacks nothing if ``only_if_due``.

        One transaction holds the issuer's row while the CRL is made, so numbers have no gaps and no CRL can miss a
        revocation that an earlier number has. A crash leaves ``crl_due`` as it was, and the next round makes the CRL.
        """
        if name not in self._issuing:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the key of the CA {name} is not here")
        with write(self._engine) as connection:
            row = connection.execute(select(issuers).where(issuers.c.name == name).with_for_update()).one()
            now = self._clock.now().replace(microsecond=0)
            if only_if_due and not row.crl_due and not self._too_old(connection, name, row.crl_number, now):
                return int(row.crl_number)
            number = int(row.crl_number) + 1
            crl = self._make(connection, name, number, now)
            next_update = now + self._plan[name].crl_lifetime
            connection.execute(
                insert(crls).values(issuer=name, number=number, this_update=to_text(now), next_update=to_text(next_update), crl=crl)
            )
            connection.execute(update(issuers).where(issuers.c.name == name).values(crl_number=number, crl_due=False))
        self._log.info("crl published", issuer=name, number=number)
        return number

    def _too_old(self, connection: Connection, name: IssuerName, number: int, now: datetime) -> bool:
        made = connection.execute(select(crls.c.this_update).where(crls.c.issuer == name, crls.c.number == number)).scalar_one_or_none()
        return made is None or now - from_text(made) >= self._plan[name].crl_every

    def _make(self, connection: Connection, name: IssuerName, number: int, now: datetime) -> bytes:
        issuer = self._issuing[name]
        certificate = issuer.parent.certificate
        assert certificate is not None, "a CA has its certificate before it has a CRL"
        issuer_key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.subject)
            .last_update(now)
            .next_update(now + self._plan[name].crl_lifetime)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        )
        revoked = (
            select(certificates.c.serial, certificates.c.revoked_at, certificates.c.reason)
            .where(certificates.c.issuer == name, certificates.c.state == State.REVOKED)
            .order_by(certificates.c.revoked_at, certificates.c.serial)
        )
        for row in connection.execute(revoked):
            builder = builder.add_revoked_certificate(_entry(row.serial, row.revoked_at, row.reason))
        linted_tbs = self._linter.crl(builder, issuer.key.algorithm)
        crl = builder.sign(issuer.key.private_key(), hash_for(issuer.key.algorithm))
        if crl.tbs_certlist_bytes != linted_tbs:
            raise VermilionError(Code.INTERNAL, "the CRL that was signed is not what was linted; it was thrown away")
        return crl.public_bytes(Encoding.DER)


def _entry(serial: str, revoked_at: str, reason: str) -> x509.RevokedCertificate:
    entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(from_text(revoked_at))
    flag = x509.ReasonFlags(reason)
    if flag is not x509.ReasonFlags.unspecified:  # RFC 5280 §5.3.1: absent rather than unspecified
        entry = entry.add_extension(x509.CRLReason(flag), critical=False)
    return entry.build()
