"""Issuing: build → lint → record → sign → store. Each step takes only what the step before gives, so none can be left out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine

from ca.issuance.certificate import Draft, Parent, build
from ca.issuance.holders import CEREMONY, Claim
from ca.issuance.lint import Linter
from ca.issuance.profiles import Profile
from ca.issuance.request import CertificateRequest
from ca.names import IssuerName, Role, name_of, newest
from ca.record import Act, Recorded, find_same, has_revoked, record, require_recordable, store
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
    """A certificate that is wanted.

    issuer      where a profile has several
    generation  of the issuer; the newest one issues where none is named
    days        where the profile leaves them open
    claim       on whose word an identity is issued; matters where the profile has a SAN URI
    act         the approval token that ordered it, which then counts as used
    """

    profile: str
    request: CertificateRequest
    issuer: Role | None = None
    generation: int | None = None
    days: int | None = None
    claim: Claim = CEREMONY
    act: Act | None = None


class Issuance:
    """Issues under the profiles, by the CAs whose keys are in this process's token. Safe to use from several threads.

    authority_keys  SHA-256 of the SPKI of authorities whose keys are not here (the root): their keys get no other certificate
    """

    def __init__(
        self,
        engine: Engine,
        profiles: Mapping[str, Profile],
        issuers: Mapping[IssuerName, Issuer],
        linter: Linter,
        *,
        clock: Clock,
        draw_serial: Callable[[], int] = random_serial,
        authority_keys: Callable[[], Collection[bytes]] = tuple,
    ) -> None:
        self._engine = engine
        self._profiles = profiles
        self._issuers = issuers
        self._linter = linter
        self._clock = clock
        self._draw_serial = draw_serial
        self._authority_keys = authority_keys

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """All profiles by name."""
        return self._profiles

    def profile(self, name: str) -> Profile:
        """The profile of this name; INVALID_ARGUMENT when there is none."""
        if name not in self._profiles:
            raise VermilionError(Code.INVALID_ARGUMENT, f"there is no profile {name}; there are {', '.join(self._profiles)}")
        return self._profiles[name]

    def issue(self, order: Order) -> x509.Certificate:
        """A new certificate; raises PROFILE_VIOLATION, LINT_FAILED, CONFLICT (key, serial number or SAN URI taken), HSM_*, DATABASE_*."""
        draft, issuer = self._draft(order)
        linted = self._linter.certificate(draft, issuer.key.algorithm)
        # The intent before the act: a signature that the CA does not remember could not be revoked.
        recorded = record(self._engine, linted, order.claim, now=self._clock.now())
        certificate = _sign(recorded, issuer)
        store(self._engine, recorded, certificate, order.act, now=self._clock.now())
        return certificate

    def check(self, order: Order) -> None:
        """Raises what ``issue`` would refuse this order for, but for the HSM; nothing is kept."""
        draft, issuer = self._draft(order)
        require_recordable(self._engine, self._linter.certificate(draft, issuer.key.algorithm), order.claim, now=self._clock.now())

    def ensure(self, order: Order) -> x509.Certificate:
        """The certificate that an earlier, equal order got, if it is valid and not revoked; else as ``issue``.

        For ceremonies, which are run again after a crash.
        """
        draft, _ = self._draft(order)
        return find_same(self._engine, draft, now=self._clock.now()) or self.issue(order)

    def _draft(self, order: Order) -> tuple[Draft, Issuer]:
        profile = self.profile(order.profile)
        role = order.issuer or profile.issuers[0]
        if role not in profile.issuers:
            rule = f"Profile {order.profile}: issued by {', '.join(profile.issuers)}."
            raise VermilionError(Code.PROFILE_VIOLATION, f"the CA {role} does not issue this", rule=rule)
        name = newest(role, self._issuers) if order.generation is None else name_of(role, order.generation)
        if name is None or name not in self._issuers:
            raise VermilionError(
                Code.INVALID_ARGUMENT, f"the key of the CA {name or role} is not here: {order.profile} takes a ceremony of its own"
            )
        issuer = self._issuers[name]
        if not profile.ocsp_no_check and has_revoked(self._engine, issuer.key.spki_sha256):  # answers go on, as its CRLs do
            rule = "A revoked CA issues nothing more; its successor does: `vermilion ca rollover`."
            raise VermilionError(Code.CONFLICT, f"the CA {name} is revoked", rule=rule)
        draft = build(
            order.profile,
            profile,
            order.request,
            issuer.parent,
            serial=self._draw_serial(),
            now=self._clock.now(),
            days=order.days,
        )
        authority_keys = {*self._authority_keys(), *(each.key.spki_sha256 for each in self._issuers.values())}
        # A second certificate for an authority's key, of another kind, would let its signatures be
        # read as something else.
        if profile.authority is None and draft.spki_sha256 in authority_keys:
            rule = "An authority's key signs certificates; it gets none of another kind."
            raise VermilionError(Code.CONFLICT, "the key is that of an authority", rule=rule)
        return draft, issuer


def _sign(recorded: Recorded, issuer: Issuer) -> x509.Certificate:
    """Signs in the HSM what was linted and recorded, and nothing else."""
    linted = recorded.linted
    certificate = linted.draft.builder.sign(issuer.key.private_key(), issuer.key.algorithm.hash)
    # Both come from one builder, but only these bytes were linted: a library that adds
    # something at signing must not get past the linter.
    if certificate.tbs_certificate_bytes != linted.tbs:
        raise VermilionError(Code.INTERNAL, "what was signed is not what was linted; the certificate was thrown away")
    return certificate
