"""Issuing: build → lint → record → sign → store. Each step takes only what the step before gives, so none can be left out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine

from ca.certificate import Draft, Parent, build
from ca.lint import Linter, hash_for
from ca.profiles import IssuerName, Profile
from ca.record import Recorded, find_same, record, store
from ca.request import CertificateRequest
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import TokenKey

SERIAL_BITS: Final = 128  # random; CA/Browser Forum asks for 64, RFC 5280 §4.1.2.2 allows 159


def random_serial() -> int:
    """A positive serial number of 128 random bits."""
    while not (serial := secrets.randbits(SERIAL_BITS)):
        pass
    return serial


@dataclass(frozen=True)
class Issuer:
    """A CA that can sign here: its parent side for the extensions, and its key in the token."""

    parent: Parent
    key: TokenKey

    def __post_init__(self) -> None:
        certificate = self.parent.certificate
        if certificate is not None:
            spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if spki != self.key.spki_der:
                raise VermilionError(Code.CONFIGURATION_INVALID, f"the certificate of the CA {self.parent.name} is not for its key")


@dataclass(frozen=True)
class Order:
    """A certificate that is wanted. ``issuer`` where a profile has several; ``days`` where it leaves them open."""

    profile: str
    request: CertificateRequest
    issuer: IssuerName | None = None
    days: int | None = None


class Issuance:
    """Issues under the profiles, by the CAs whose keys are in this process's token. Safe to use from several threads."""

    def __init__(
        self,
        engine: Engine,
        profiles: Mapping[str, Profile],
        issuers: Mapping[IssuerName, Issuer],
        linter: Linter,
        *,
        clock: Clock,
        draw_serial: Callable[[], int] = random_serial,
    ) -> None:
        self._engine = engine
        self._profiles = profiles
        self._issuers = issuers
        self._linter = linter
        self._clock = clock
        self._draw_serial = draw_serial

    def profile(self, name: str) -> Profile:
        """The profile of this name; INVALID_ARGUMENT when there is none."""
        if name not in self._profiles:
            raise VermilionError(Code.INVALID_ARGUMENT, f"there is no profile {name}; there are {', '.join(self._profiles)}")
        return self._profiles[name]

    def issue(self, order: Order) -> x509.Certificate:
        """A new certificate; raises PROFILE_VIOLATION, LINT_FAILED, CONFLICT (key or serial number used), HSM_*, DATABASE_*."""
        draft, issuer = self._draft(order)
        linted = self._linter.certificate(draft, issuer.key.algorithm)
        recorded = record(self._engine, linted, now=self._clock.now())
        certificate = _sign(recorded, issuer)
        store(self._engine, recorded, certificate, now=self._clock.now())
        return certificate

    def ensure(self, order: Order) -> x509.Certificate:
        """The certificate that an earlier, equal order got, if it is valid and not revoked; else as ``issue``.

        For ceremonies, which are run again after a crash.
        """
        draft, _ = self._draft(order)
        return find_same(self._engine, draft, now=self._clock.now()) or self.issue(order)

    def _draft(self, order: Order) -> tuple[Draft, Issuer]:
        profile = self.profile(order.profile)
        name = order.issuer or profile.issuers[0]
        if name not in profile.issuers:
            rule = f"Profile {order.profile}: issued by {', '.join(profile.issuers)}."
            raise VermilionError(Code.PROFILE_VIOLATION, f"the CA {name} does not issue this", rule=rule)
        if name not in self._issuers:
            raise VermilionError(
                Code.INVALID_ARGUMENT, f"the key of the CA {name} is not here: {order.profile} takes a ceremony of its own"
            )
        issuer = self._issuers[name]
        draft = build(
            order.profile,
            profile,
            order.request,
            issuer.parent,
            serial=self._draw_serial(),
            now=self._clock.now(),
            days=order.days,
        )
        return draft, issuer


def _sign(recorded: Recorded, issuer: Issuer) -> x509.Certificate:
    """Signs in the HSM what was linted and recorded, and nothing else."""
    linted = recorded.linted
    certificate = linted.draft.builder.sign(issuer.key.private_key(), hash_for(issuer.key.algorithm))
    if certificate.tbs_certificate_bytes != linted.tbs:
        raise VermilionError(Code.INTERNAL, "what was signed is not what was linted; the certificate was thrown away")
    return certificate
