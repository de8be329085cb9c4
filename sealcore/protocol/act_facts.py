"""Facts of acts that several kinds share: quorums, certificates, policies, each with its old value beside the new one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography import x509

from sealcore.errors import Code
from sealcore.protocol.canonical import b64url_decode
from sealcore.protocol.effect_model import CERTIFICATIONS, UNTEMPLATED, Fact, KnownSeal, Value
from sealcore.protocol.leaf import Certification


def quorum_facts(rules: list[str], before: Mapping[str, int] | None) -> list[Fact]:
    """A seal's whole quorum: each action that is listed, and each that was and is not any more."""
    after = {action: int(least) for action, _, least in (rule.partition(":") for rule in rules)}
    if len(after) != len(rules):
        raise ValueError("an action twice")
    known = before or {}
    facts = [quorum_fact(f"quorum.{action}", f"{action}, persons", known.get(action), least) for action, least in after.items()]
    return facts + [_quorum_gone(action, least, after) for action, least in known.items() if action not in after]


def _quorum_gone(action: str, least: int, after: Mapping[str, int]) -> Fact:
    """A rule that is taken away forbids its action, but for the higher tier of grants: without it the rule for sealing counts."""
    if action != UNTEMPLATED or "seal" not in after:
        return gone(f"quorum.{action}", least, f"{action}, persons: {least} → nobody may any more")
    return quorum_fact(f"quorum.{action}", f"{action}, persons (no higher tier any more, as for sealing)", least, max(0, after["seal"]))


def quorum_fact(name: str, what: str, before: int | None, after: int) -> Fact:
    """A number of persons, and whether it is more or fewer than now."""
    if not isinstance(after, int):
        raise TypeError(name)
    note = "" if before is None else " (fewer than now)" if after < before else " (more than now)" if after > before else " (unchanged)"
    alone = "; 0 is the workflow alone, without any person" if after == 0 else ""
    return Fact(name, before, after, f"{what}: {arrow(before, after)}{note}{alone}")


def content_fact(before: str | None, after: str) -> Fact:
    """A seal's content policy."""
    meaning = {"strict": "refused", "report": "sealed with a warning"}.get(after, after)
    return Fact("content_policy", before, after, f"content: {arrow(before, after)}; such documents are {meaning}")


def certification_fact(before: Certification | None, after: str) -> Fact:
    """What may happen to a document after the seal."""
    meaning, old = CERTIFICATIONS[Certification.of_word(after)], before.word if before else None
    return Fact("certification", old, after, f"certification: {arrow(old, after)}; {meaning}")


def certificate_facts(encoded: str, seal: KnownSeal | None) -> list[Fact]:
    """A certificate (base64url of its DER) beside the one that the seal has now."""
    new = _named(b64url_decode(encoded, Code.EFFECT_UNKNOWN))
    old = _named(seal.certificate) if seal and seal.certificate else {}
    return [
        Fact(f"certificate.{name}", old.get(name), value, f"certificate {name}: {arrow(old.get(name), value)}")
        for name, value in new.items()
    ]


def chain_facts(encoded: list[str]) -> list[Fact]:
    """The authorities above a certificate, which whoever verifies a seal is shown."""
    found = []
    for der in (b64url_decode(one, Code.EFFECT_UNKNOWN) for one in encoded):
        subject, digest = x509.load_der_x509_certificate(der).subject.rfc4514_string(), hashlib.sha256(der).hexdigest()
        found.append(new("chain", digest, f"below the authority {subject}, SHA-256 {digest}"))
    return found


def _named(der: bytes) -> dict[str, str]:
    certificate = x509.load_der_x509_certificate(der)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "until": certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%SZ"),
        "sha256": hashlib.sha256(der).hexdigest(),
    }


def sha256_hex(encoded: str) -> str:
    """Lower hex SHA-256 of what is base64url here."""
    return hashlib.sha256(b64url_decode(encoded, Code.EFFECT_UNKNOWN)).hexdigest()


def new(name: str, value: Value, words: str) -> Fact:
    """Something that was not there before."""
    return Fact(name, None, value, words)


def gone(name: str, value: Value, words: str) -> Fact:
    """Something that will not be there any more."""
    return Fact(name, value, None, words)


def arrow(before: Value, after: Value) -> str:
    """Old and new value in words."""
    return f"{after}" if before is None or before == after else f"{before} → {after}"
