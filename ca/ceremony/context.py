"""What a step of the CA's ceremony works with: one token, the CA's record, and the plan."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine

from ca.ceremony.plan import Plan
from ca.issuance import profiles
from ca.issuance.certificate import Parent
from ca.issuance.generations import enrol
from ca.issuance.issue import Issuance, Issuer
from ca.issuance.lint import Linter
from ca.issuance.profiles import AttributeName
from ca.issuance.request import CertificateRequest, read
from ca.names import ISSUING, IssuerName, role_of
from ca.pki import authority_file, request_file
from ca.revocation.crl import CrlPublisher, newest
from ca.settings import CeremonySettings
from sealcore.clock import Clock
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Token
from sealcore.platform import durable


@dataclass(frozen=True)
class Room:
    """What a step works with."""

    settings: CeremonySettings
    plan: Plan
    token: Token
    engine: Engine
    linter: Linter
    clock: Clock

    def issuer(self, name: IssuerName, certificate: x509.Certificate | None) -> Issuer:
        """An authority with its key in this token, as the issuer of others or (without a certificate) of itself."""
        ocsp_url = self.settings.ocsp_url if role_of(name) in ISSUING else None
        return Issuer(Parent(name, certificate, self.settings.public_url, ocsp_url), self.token.key(self.plan[name].key))

    def issuance(self, *issuers: Issuer) -> Issuance:
        """Issuing by these authorities."""
        by_name = {issuer.parent.name: issuer for issuer in issuers}
        return Issuance(self.engine, profiles.load(), by_name, self.linter, clock=self.clock)

    def publisher(self, *issuers: Issuer) -> CrlPublisher:
        """CRLs of these authorities."""
        by_name = {issuer.parent.name: issuer for issuer in issuers}
        enrol(self.engine, by_name)
        return CrlPublisher(self.engine, by_name, self.plan, self.linter, clock=self.clock)

    def ask(self, name: IssuerName) -> None:
        """An issuing CA's key asks for its certificate, and so proves that it is in the token."""
        planned = self.plan[name]
        request = certificate_request(self.token.key(planned.key), planned.common_name, organization=self.settings.organization)
        durable.write(request_file(self.settings.pki_folder, name), request)
        say(step="requests", authority=name, key=planned.key)

    def asked(self, name: IssuerName) -> CertificateRequest:
        """The request that ``ask`` left, under the subject of the ceremony file."""
        return self.named(read(request_file(self.settings.pki_folder, name).read_bytes()), name)

    def own_request(self, name: IssuerName) -> CertificateRequest:
        """The request of a key that is in this token, under the subject of the ceremony file."""
        planned = self.plan[name]
        return self.named(read(certificate_request(self.token.key(planned.key), planned.common_name)), name)

    def named(self, request: CertificateRequest, name: IssuerName) -> CertificateRequest:
        """The request of an authority's key, with the subject that the ceremony file gives it."""
        subject: dict[AttributeName, str] = {
            "country": self.settings.country,
            "organization": self.settings.organization,
            "organization_identifier": self.settings.identifier,
            "common_name": self.plan[name].common_name,
        }
        return replace(request, attributes=MappingProxyType(subject))

    def publish_authority(self, name: IssuerName, certificate: x509.Certificate) -> None:
        """An authority's certificate as a file."""
        durable.write(authority_file(self.settings.pki_folder, name), certificate.public_bytes(Encoding.PEM))
        say(step="root", authority=name, serial=f"{certificate.serial_number:x}", subject=certificate.subject.rfc4514_string())

    def publish_root_crl(self, issuer: Issuer, *, only_if_due: bool) -> None:
        """A root's CRL, anew or if it is due, also as a file."""
        name = issuer.parent.name
        number = self.publisher(issuer).publish(name, only_if_due=only_if_due)
        crl = newest(self.engine, name)
        assert crl is not None, "published above"
        durable.write(self.settings.pki_folder / f"{name}.crl", crl.der)
        say(step="root-crl", authority=name, crl_number=number)


def say(**facts: object) -> None:
    """One line of JSON on standard output for each thing that was done."""
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
