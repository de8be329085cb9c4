"""People who approve acts for the CA, and the cases that they decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from ca.acts import Acts
from ca.gate import AUDIENCE
from ca.register_link import RegisteredSeal, RegisterView
from ca.revocation.change import Change, Kind
from ca.revocation.crl import newest
from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri, uuid7
from sealcore.protocol import decision as decisions
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.token import ISSUER, Claims, Policy, encode, key_id
from tests.ca.office import Desk, software_request

WORKFLOW = service_uri("workflow")


def spki(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def signs(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class People:
    """Two approvers, an officer and the workflow's issuer, as the signer's register has them."""

    approvers: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=lambda: {uuid7(): new_key() for _ in range(2)})
    officer: str = field(default_factory=uuid7)
    officer_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    issuer: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    seals: dict[bytes, RegisteredSeal] = field(default_factory=dict)
    away: bool = False

    def view(self) -> RegisterView:
        if self.away:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, "the signer is away")
        keys = {person: key.public_key() for person, key in self.approvers.items()}
        issuers = {key_id(spki(self.issuer.public_key())): self.issuer.public_key()}
        return RegisterView(issuers, keys, {**keys, self.officer: self.officer_key.public_key()}, dict(self.seals), own_quorum=2)

    def token(
        self, now: int, change: Change, *, seal: str, by: int = 2, issuer: ec.EllipticCurvePrivateKey | None = None, **about: Any
    ) -> str:
        """A token as the workflow makes it; ``by`` so many approvers."""
        values = {
            "jti": uuid7(),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": WORKFLOW,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "form": "TEST-2026-000001",
            "seal": seal,
            "action": "revoke",
            "covers": ActCovers(change.as_json()),
            "policy": Policy("default", 1, 0),
            "decisions": (),
        }
        claims = Claims(**{**values, **about})
        if not claims.decisions:
            given = [decisions.sign(claims.context, one, "approve", now, signs(key)) for one, key in list(self.approvers.items())[:by]]
            claims = replace(claims, decisions=tuple(given))
        key = issuer or self.issuer
        return encode(claims, kid=key_id(spki(key.public_key())), sign=signs(key))


@dataclass
class Case:
    """A seal's certificate, suspended at the signer, and who may decide about it."""

    desk: Desk
    people: People
    certificate: x509.Certificate
    seal: str
    acts: Acts

    @property
    def spki_sha256(self) -> bytes:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(spki(self.certificate.public_key()))
        return digest.finalize()

    def at_signer(self, state: str, **quorum: int) -> None:
        """How the signer knows the seal."""
        self.people.seals[self.spki_sha256] = RegisteredSeal(self.seal, state, quorum)

    def change(self, kind: Kind = Kind.REVOKE, reason: str = "keyCompromise") -> Change:
        return Change(kind, "seals", self.certificate.serial_number, reason if kind is Kind.REVOKE else "")

    def token(self, change: Change | None = None, **about: Any) -> str:
        return self.people.token(int(self.desk.clock.now().timestamp()), change or self.change(), **{"seal": self.seal, **about})

    def perform(self, token: str, peer: str = WORKFLOW) -> int:
        number = self.acts.perform(token, peer).crl_number
        assert number is not None
        return number

    def refused(self, token: str, peer: str = WORKFLOW) -> Code:
        """The refusal's code; and nothing has changed."""
        with pytest.raises(VermilionError) as refused:
            self.perform(token, peer)
        assert not self.is_listed
        return refused.value.code

    @property
    def is_listed(self) -> bool:
        published = newest(self.desk.engine, "seals")
        assert published is not None
        return x509.load_der_x509_crl(published.der).get_revoked_certificate_by_serial_number(self.certificate.serial_number) is not None


def new_case(desk: Desk, people: People | None = None) -> Case:
    people = people or People()
    certificate = desk.issue("seal", software_request((NameOID.COMMON_NAME, "章")))
    case = Case(desk, people, certificate, uuid7(), Acts(desk.engine, desk.revocation, desk.issuance, people, clock=desk.clock))
    case.at_signer("suspended", revoke=2)
    return case
