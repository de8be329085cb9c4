"""The signer's own register as a value: people, pinned issuers, seals, templates. Pure; ``acts`` says how it comes about.

A register is never edited: each change gives a new one with a higher version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm, algorithm_of
from sealcore.protocol.actions import ACTIONS
from sealcore.protocol.canonical import b64url, is_digest, is_integer, is_text, is_uuid7, require
from sealcore.protocol.decision import MOST_PERSONS
from sealcore.protocol.leaf import Certification
from sealcore.protocol.p256 import canonical_spki, p256_key
from sealcore.protocol.token import key_id
from sealcore.unreadable import UNREADABLE

ROLES = frozenset({"approver", "officer"})
SEAL_KINDS = frozenset({"official", "contract", "finance", "invoice", "legal-representative", "department", "job", "personal"})
SEAL_STATES = frozenset({"active", "suspended", "retired"})
CONTENT_POLICIES = frozenset({"report", "strict"})
ENDING_KINDS = frozenset({"official", "finance", "invoice"})
"""Kinds of seals after which nothing is added to a document: letters, receipts, invoices. Under other kinds, people may sign later."""
CERTIFICATIONS = frozenset({"", Certification.FINAL.word, Certification.FORM_FILL.word})
UNTEMPLATED = "grant-untemplated"
"""The quorum rule for grants without a template. A seal that has no such rule uses its rule for ``seal``."""
QUORUM_ACTIONS = ACTIONS | {UNTEMPLATED}
"""What a seal's quorum may be for."""

RULES = 2
"""The version of the rules for accepting acts. Each act is stored with its version, and always judged by that one.

1  (acts without a version) an act is identified by its evidence, byte for byte; a restore compares ``iat``; stops raise epochs
2  an act is identified by its statement; low s; keys in their canonical encoding; a restore compares every time; all that narrows raises epochs
"""

EpochKind = Literal["seal", "grant", "client", "person", "issuer", "template"]
Epochs = Mapping[tuple[EpochKind, str], int]


@dataclass(frozen=True)
class Person:
    """A person who may decide (approver) or stop (officer); ``public_key`` is the SPKI in DER.

    name_hash   lower hex of a salted hash of the name, to be compared by whoever knows the name, which is never stored here
    """

    id: str
    roles: frozenset[str]
    public_key: bytes
    active: bool = True
    name_hash: str = ""

    def __post_init__(self) -> None:
        require(is_uuid7(self.id), "a person's id is a UUIDv7")
        require(self.roles <= ROLES, "a person's roles are approver and officer")
        require(self.name_hash == "" or is_text(self.name_hash, 128), "a name's hash is a short text")
        _ = self.key

    @cached_property
    def key(self) -> ec.EllipticCurvePublicKey:
        """The public key, ready to verify with."""
        return p256_key(self.public_key)

    def as_json(self) -> dict[str, Any]:
        """The record's stored form."""
        return {
            "roles": sorted(self.roles), "public_key": b64url(self.public_key), "active": self.active, "name_hash": self.name_hash,
        }  # fmt: skip


@dataclass(frozen=True)
class Issuer:
    """A pinned approval issuer; its id is its ``kid``."""

    public_key: bytes
    active: bool = True

    def __post_init__(self) -> None:
        _ = self.key

    @cached_property
    def key(self) -> ec.EllipticCurvePublicKey:
        """The public key, ready to verify with."""
        return p256_key(self.public_key)

    @property
    def kid(self) -> str:
        """base64url of the SHA-256 of the SPKI."""
        return key_id(self.public_key)

    def as_json(self) -> dict[str, Any]:
        """The record's stored form."""
        return {"public_key": b64url(self.public_key), "active": self.active}


@dataclass(frozen=True)
class Seal:
    """A seal: whose it is, its key and certificate, its pictures (SHA-256), and who must decide about it.

    certificate, chain  DER; the chain begins with the issuing CA
    quorum              action → least number of distinct persons; an action that is not named is not allowed
    certification       ``final`` or ``form-fill``; empty where no act has said it, so that the kind does (``certifies``)
    """

    id: str
    name: str
    kind: str
    key_label: str
    certificate: bytes
    chain: tuple[bytes, ...]
    pictures: tuple[bytes, ...]
    quorum: Mapping[str, int]
    content_policy: str = "report"
    state: str = "active"
    certification: str = ""

    def __post_init__(self) -> None:
        require(is_uuid7(self.id), "a seal's id is a UUIDv7")
        require(is_text(self.name, 200), "a seal has its owner's registered name")
        require(self.kind in SEAL_KINDS, f"a seal's kind is one of {', '.join(sorted(SEAL_KINDS))}")
        require(self.state in SEAL_STATES, "a seal is active, suspended or retired")
        require(self.content_policy in CONTENT_POLICIES, "a seal's content policy is report or strict")
        require(self.certification in CERTIFICATIONS, "a seal certifies final or form-fill; without certification is for a form to ask")
        require(is_text(self.key_label, 255), "a seal has the label of its key")
        require(all(map(is_digest, self.pictures)), "a picture is named by its SHA-256")
        require(self.quorum.keys() <= QUORUM_ACTIONS, "a quorum is for one of the protocol's actions")
        require(all(is_integer(least, 0, MOST_PERSONS) for least in self.quorum.values()), f"a quorum is 0 to {MOST_PERSONS} persons")
        object.__setattr__(self, "quorum", MappingProxyType(dict(self.quorum)))
        _ = self.algorithm

    @property
    def certifies(self) -> Certification:
        """The certification of a document whose form does not name one; never none."""
        if self.certification:
            return Certification.of_word(self.certification)
        return Certification.FINAL if self.kind in ENDING_KINDS else Certification.FORM_FILL

    @cached_property
    def leaf(self) -> x509.Certificate:
        """The certificate, parsed."""
        return _certificate(self.certificate)

    @cached_property
    def issuers(self) -> tuple[x509.Certificate, ...]:
        """The chain, parsed; the issuing CA first."""
        return tuple(map(_certificate, self.chain))

    @cached_property
    def spki_sha256(self) -> bytes:
        """SHA-256 of the seal key's SubjectPublicKeyInfo."""
        return hashlib.sha256(canonical_spki(self.leaf.public_key())).digest()

    @cached_property
    def algorithm(self) -> Algorithm:
        """The seal key's algorithm, as its certificate says."""
        return algorithm_of(self.leaf.public_key())

    def as_json(self) -> dict[str, Any]:
        """The record's stored form."""
        return {
            "name": self.name, "kind": self.kind, "key_label": self.key_label, "certificate": b64url(self.certificate),
            "chain": [b64url(one) for one in self.chain], "pictures": [one.hex() for one in self.pictures],
            "quorum": dict(self.quorum), "content_policy": self.content_policy, "state": self.state,
            **({"certification": self.certification} if self.certification else {}),  # records of older acts must not change
        }  # fmt: skip


@dataclass(frozen=True)
class Template:
    """A registered base PDF: the hash of its fixed content (``template.fingerprint``) and the fields that may be filled in."""

    id: str
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        require(len(self.id) == 64 and set(self.id) <= set("0123456789abcdef"), "a template is named by the lower hex of a SHA-256")
        require(all(is_text(name, 1000) for name in self.fields), "a template names its fields")

    def as_json(self) -> dict[str, Any]:
        """The record's stored form."""
        return {"fields": list(self.fields)}


@dataclass(frozen=True)
class Register:
    """Everything that the gate believes.

    version       number of acts that led here
    epochs        raised by whatever narrows what may be done, per seal, grant, client, person, issuer and template; else 0
    stopped       grants (jti) withdrawn and clients (URI) shut out
    restored_at   NumericDate of the last restore from a backup; tokens in which anything is dated before it do not count
    rules         by which the last act was accepted
    orders        what each act ordered (``Act.identity``) → the number of the first act that did
    touched       what acts have changed, the office's own rule as ("office", "") → when the last one did, microseconds since 1970 UTC
    """

    office: str = ""
    version: int = 0
    people: Mapping[str, Person] = field(default_factory=dict)
    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    seals: Mapping[str, Seal] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    epochs: Epochs = field(default_factory=dict)
    stopped: frozenset[tuple[EpochKind, str]] = frozenset()
    register_quorum: int = 1
    restored_at: int | None = None
    rules: int = 1
    orders: Mapping[bytes, int] = field(default_factory=dict)
    touched: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def person(self, person_id: str, role: str) -> Person:
        """The active person with ``role``; raises APPROVER_UNKNOWN."""
        person = self.people.get(person_id)
        if person is None:
            raise VermilionError(Code.APPROVER_UNKNOWN, f"the person {person_id} is not in the signer's register")
        if not person.active:
            raise VermilionError(Code.APPROVER_UNKNOWN, f"the person {person_id} has left the signer's register")
        if role not in person.roles:
            raise VermilionError(Code.APPROVER_UNKNOWN, f"the person {person_id} is not registered as {role}")
        return person

    def key_of(self, person_id: str) -> ec.EllipticCurvePublicKey | None:
        """The key of a person in any role, active or not; None for an unknown person."""
        person = self.people.get(person_id)
        return person.key if person is not None else None

    def issuer(self, kid: str) -> Issuer:
        """The pinned issuer; raises ISSUER_NOT_PINNED."""
        issuer = self.issuers.get(kid)
        if issuer is None or not issuer.active:
            raise VermilionError(Code.ISSUER_NOT_PINNED, "the token's issuer is not in the signer's register")
        return issuer

    def seal(self, seal_id: str) -> Seal:
        """The seal in any state; raises SEAL_UNKNOWN."""
        seal = self.seals.get(seal_id)
        if seal is None:
            raise VermilionError(Code.SEAL_UNKNOWN, f"the seal {seal_id} is not in the signer's register")
        return seal

    def least_persons(self, action: str, seal_id: str, *, untemplated: bool = False) -> int:
        """How many distinct persons must approve; raises SEAL_UNKNOWN, or ACTION_MISMATCH when nobody may do this at all."""
        if action == "register":
            return self.register_quorum
        quorum = self.seal(seal_id).quorum
        if action not in quorum:
            raise VermilionError(Code.ACTION_MISMATCH, f"no quorum is registered for the action {action!r} of this seal; nobody may do it")
        return max(quorum[action], quorum.get(UNTEMPLATED, 0)) if untemplated else quorum[action]

    def epoch(self, kind: EpochKind, subject: str) -> int:
        """The current epoch of a seal, grant, client, person, issuer or template."""
        return self.epochs.get((kind, subject), 0)

    def raised(self, kind: EpochKind, subject: str) -> Register:
        """The register with one epoch raised: what was begun before does not commit any more."""
        return replace(self, epochs={**self.epochs, (kind, subject): self.epoch(kind, subject) + 1})

    def with_seal(self, seal: Seal) -> Register:
        """The register with this seal added or replaced."""
        return replace(self, seals={**self.seals, seal.id: seal})

    def with_person(self, person: Person) -> Register:
        """The register with this person added or replaced."""
        return replace(self, people={**self.people, person.id: person})

    def with_issuer(self, issuer: Issuer) -> Register:
        """The register with this issuer added or replaced."""
        return replace(self, issuers={**self.issuers, issuer.kid: issuer})

    def records(self) -> dict[tuple[str, str], Any]:
        """Everything as (kind, id) → JSON value: what is stored, and compared with the acts at start."""
        office = {"name": self.office, "register_quorum": self.register_quorum, "restored_at": self.restored_at}
        return {
            ("office", ""): office,
            **{("person", one.id): one.as_json() for one in self.people.values()},
            **{("issuer", one.kid): one.as_json() for one in self.issuers.values()},
            **{("seal", one.id): one.as_json() for one in self.seals.values()},
            **{("template", one.id): one.as_json() for one in self.templates.values()},
            **{(f"stop-{kind}", subject): {} for kind, subject in self.stopped},
        }


def _certificate(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.public_key()  # parsed lazily by the library: an unknown kind of key must be refused here
    except UNREADABLE:
        raise VermilionError(Code.INVALID_ARGUMENT, "a certificate cannot be read") from None
    return certificate
