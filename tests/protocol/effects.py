"""An act of each kind, and what its approvers read."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.ids import client_uri, uuid7
from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import Covers
from sealcore.protocol.decision import DecisionContext, Policy
from sealcore.protocol.effect_model import Effect, Known, KnownPerson, KnownSeal
from sealcore.protocol.leaf import Certification
from tests.signer.office import SealsCa, spki

CA = SealsCa()


KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


OLD, NEW = (CA.seal(name, KEY).public_bytes(Encoding.DER) for name in ("Old name", "New name"))


SEAL, PERSON, CLIENT, DIGEST = uuid7(), uuid7(), client_uri("erp"), "ab" * 32


KNOWN = Known(
    seals={
        SEAL: KnownSeal("Example Ltd", "contract", "active", {"seal": 2, "resume": 2}, "report", frozenset(), OLD, Certification.FORM_FILL)
    },
    people={PERSON: KnownPerson(frozenset({"approver"}), active=True)},
    register_quorum=2,
    names={PERSON: "Hanna Weber"},
    policies={"two-eyes": (2, 3)},
)


ADDED = {
    "id": uuid7(), "name": "Second Ltd", "kind": "invoice", "key_label": "seal.invoice.2", "certificate": b64url(NEW), "chain": [b64url(OLD)],
    "pictures": [DIGEST], "quorum": ["seal:0"],
}  # fmt: skip


HELD = ec.generate_private_key(ec.SECP256R1())


REQUEST = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(HELD, SHA256()).public_bytes(Encoding.DER)


CERTIFICATE = {"issuer": "seals", "serial": "ff01"}


# What each kind of act must tell whoever decides.
EXAMPLES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "register.person_add": (
        {"id": PERSON, "roles": ["approver", "officer"], "public_key": b64url(spki(KEY))},
        (PERSON, "“Hanna Weber” in the workflow's directory", "approver and officer", hashlib.sha256(spki(KEY)).hexdigest()),
    ),
    "register.person_remove": ({"id": PERSON}, (PERSON, "Removes", "approver → none")),
    "register.issuer_add": ({"public_key": b64url(spki(KEY))}, ("issue approval tokens", hashlib.sha256(spki(KEY)).hexdigest())),
    "register.issuer_remove": ({"kid": b64url(bytes(32))}, ("no longer", "00" * 32)),
    "register.register_quorum": ({"least_persons": 1}, ("before the register itself is changed", "2 → 1 (fewer than now)")),
    "register.seal_add": (
        ADDED,
        ("Second Ltd", "invoice", "seal.invoice.2", "seal, persons: 0; 0 is the workflow alone", "CN=New name", DIGEST),
    ),
    "register.seal_certificate": (
        {"id": SEAL, "certificate": b64url(NEW), "chain": [b64url(OLD)]},
        ("Example Ltd", "CN=Old name → CN=New name"),
    ),
    "register.seal_quorum": (
        {"id": SEAL, "quorum": ["seal:1", "grant-untemplated:3"]},
        (
            "Example Ltd",
            "seal, persons: 2 → 1 (fewer than now)",
            "resume, persons: 2 → nobody may any more",
            "grant-untemplated, persons: 3",
        ),
    ),
    "register.seal_content": ({"id": SEAL, "content_policy": "strict"}, ("Example Ltd", "report → strict", "refused")),
    "register.seal_certification": (
        {"id": SEAL, "certification": "final"},
        ("Example Ltd", "form-fill → final", "nothing may be added after the seal"),
    ),
    "register.seal_picture_add": ({"id": SEAL, "picture": DIGEST}, ("Example Ltd", DIGEST, "look at the picture")),
    "register.seal_retire": ({"id": SEAL}, ("Example Ltd", "for good", "active → retired")),
    "register.template_add": ({"template": DIGEST, "fields": ["name", "sum"], "pdf": "cd" * 32}, (DIGEST, "cd" * 32, "“name”, “sum”")),
    "register.client_stop": ({"client": CLIENT}, ("Shuts", CLIENT)),
    "register.client_allow": ({"client": CLIENT}, ("again", CLIENT)),
    "revoke.revoke": (
        CERTIFICATE | {"reason": "keyCompromise"},
        ("for good", "good → revoked", "ff01", "keyCompromise", "issued by seals"),
    ),
    "revoke.hold": (CERTIFICATE, ("on hold", "ff01")),
    "revoke.release": (CERTIFICATE, ("on hold → good", "ff01")),
    "register.policy_add": (
        {"id": "two-eyes", "version": 3, "quorum": 0, "seal": SEAL, "action": "seal"},
        ("Example Ltd", "action: seal", "may raise: 3 → 0 (fewer than now)", "version 3 of the policy two-eyes", "fewer than until now"),
    ),
    "create.certificate": (
        {
            "profile": "client",
            "uri": CLIENT,
            "spki_sha256": hashlib.sha256(spki(HELD.public_key())).hexdigest(),
            "request": b64url(REQUEST),
            "common_name": "ERP",
        },
        (CLIENT, "profile client", hashlib.sha256(spki(HELD.public_key())).hexdigest(), "common name: ERP"),
    ),
    "resume": ({}, ("Example Ltd", "seal again")),
}


def context(covers: Covers, *, action: str = "register", seal: str = "") -> DecisionContext:
    return DecisionContext(
        jti=uuid7(), form="OFFICE-2026-000001", aud="https://vermilion.internal/service/signer", sub=CLIENT, seal=seal, action=action,
        covers=covers, policy=Policy("standard", 1, 2), nbf=1_800_000_000, exp=1_800_600_000,
    )  # fmt: skip


def told(one: Effect) -> str:
    return "\n".join([one.words, *(fact.words for fact in one.facts)])
