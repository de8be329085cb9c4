"""No part of what is signed can be changed without a change of what its approver reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.protocol import effect
from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import ActCovers, GrantCovers
from sealcore.protocol.decision import DecisionContext, Policy
from sealcore.protocol.effect_model import KnownPerson
from sealcore.protocol.leaf import Certification, Mark, MarkKind, Placement, Rectangle, SignatureTexts
from sealcore.protocol.manifest import DocumentEntry, Manifest
from tests.protocol.effects import CA, DIGEST, EXAMPLES, HELD, KNOWN, PERSON, SEAL, context, told
from tests.signer.office import spki

OTHER_KEY = b64url(spki(ec.generate_private_key(ec.SECP256R1()).public_key()))
OTHER_CERTIFICATE = b64url(CA.root.public_bytes(Encoding.DER))
SAME_KEY_ASKS_AGAIN = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(HELD, SHA256())
OTHERS = {
    "public_key": OTHER_KEY,
    "certificate": OTHER_CERTIFICATE,
    "chain": OTHER_CERTIFICATE,
    "kid": b64url(bytes([1]) * 32),
    "request": b64url(SAME_KEY_ASKS_AGAIN.public_bytes(Encoding.DER)),
    "quorum": "destroy:3",
    "roles": "officer",
    "content_policy": "report",
    "certification": "form-fill",
    "issuer": "infrastructure",
}
MORE: dict[str, dict[str, Any]] = {
    "register.person_add": {"name_hash": DIGEST},
    "register.seal_add": {"content_policy": "strict", "certification": "form-fill"},
    "revoke.revoke": {"invalidity_date": "2026-03-01T00:00:00Z"},
    "create.certificate": dict.fromkeys(("organization", "surname", "given_name", "pseudonym", "serial_number", "country"), "Weber"),
}


def of_act(kind: str, parameters: dict[str, Any], about: DecisionContext) -> str | None:
    """What approvers read; None for what nobody can approve."""
    change = kind.partition(".")[2]
    covers = ActCovers(parameters | ({"change": change} if change else {}))
    try:
        return told(effect.of(replace(about, covers=covers), KNOWN))
    except VermilionError as fault:
        assert fault.code in {Code.EFFECT_UNKNOWN, Code.INVALID_ARGUMENT}
        return None


def mutations(name: str, value: Any) -> Iterator[Any]:
    match value:
        case int():
            yield value + 1
        case str():
            yield OTHERS.get(name, value[:-1] + ("0" if value[-1] != "0" else "1") if value else "x")
        case list():
            yield value[:-1]
            yield [*value, OTHERS.get(name, "cd" * 32)]
            yield [", ".join(map(str, value))] if len(value) > 1 else []
            for at, one in enumerate(value):
                yield from ([*value[:at], other, *value[at + 1 :]] for other in mutations(name, one))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_each_parameter_of_an_act_is_told(kind: str) -> None:
    given, _ = EXAMPLES[kind]
    about = context(ActCovers({}), action=kind.partition(".")[0], seal=SEAL if kind == "resume" else "")
    read = of_act(kind, given, about)
    assert read is not None
    for name, value in given.items():
        for other in mutations(name, value):
            if other != value:
                assert of_act(kind, given | {name: other}, about) != read, (name, other)
    for name, value in MORE.get(kind, {}).items():
        assert of_act(kind, given | {name: value}, about) != read, name
        assert value in (of_act(kind, given | {name: value}, about) or "")


def test_whatever_surrounds_an_act_is_told() -> None:
    """Each of the ten fields that a decision is signed over."""
    given, _ = EXAMPLES["register.seal_retire"]
    about = context(ActCovers({}), action="register")
    read = of_act("register.seal_retire", given, about)
    for name, other in {
        "jti": uuid7(),
        "form": "OFFICE-2026-000002",
        "aud": "https://vermilion.internal/service/ca",
        "sub": "https://vermilion.internal/service/workflow",
        "action": "revoke",
        "policy": Policy("standard", 1, 3),
        "nbf": about.nbf + 1,
        "exp": about.exp + 1,
    }.items():
        assert of_act("register.seal_retire", given, replace(about, **{name: other})) != read, name  # type: ignore[arg-type]
    for policy in (Policy("standard", 2, 2), Policy("another", 1, 2)):
        assert of_act("register.seal_retire", given, replace(about, policy=policy)) != read
    revoked, _ = EXAMPLES["revoke.revoke"]
    about = context(ActCovers({}), action="revoke")
    assert of_act("revoke.revoke", revoked, about) != of_act("revoke.revoke", revoked, replace(about, seal=SEAL))


def test_each_part_of_a_placement_is_told() -> None:
    mark = Mark((0, 2, 3, 4, 9, 12, 20, 21, 40), Rectangle(10_000, 20_000, 1_130_001, 40_000), bytes.fromhex(DIGEST))
    placement = Placement((mark,), SignatureTexts("n", "r", "l", "c"), Certification.FINAL)

    def read(one: Placement, sha256: bytes = bytes(32)) -> str:
        entries = [DocumentEntry("a.pdf", sha256, 1000, one)]
        manifest = Manifest.build(entries, salts=[bytes(16)])
        return told(effect.of(about(manifest), KNOWN, [(entries[0], bytes(16))]))

    frame = context(ActCovers({}), action="seal", seal=SEAL)

    def about(manifest: Manifest) -> DecisionContext:
        return replace(frame, covers=manifest.covers)

    original = effect.placement_words(placement)
    box = mark.rectangle
    for other in (
        replace(mark, pages=(*mark.pages[:-1], 41)),
        replace(mark, pages=(0, 2, 3, 4, 9, 12, 20, 40)),
        replace(mark, kind=MarkKind.RIDING),
        replace(mark, picture_sha256=bytes.fromhex(DIGEST)[:-1] + b"\0"),
        *(replace(mark, rectangle=replace(box, **{name: getattr(box, name) + 1})) for name in ("x0", "y0", "x1", "y1")),
    ):
        assert effect.placement_words(replace(placement, marks=(other,))) != original, other
        assert read(replace(placement, marks=(other,))) != read(placement)
    assert effect.placement_words(replace(placement, marks=(mark, mark))) != original
    for name in ("name", "reason", "location", "contact"):
        assert effect.placement_words(replace(placement, texts=replace(placement.texts, **{name: "x"}))) != original
    for certification in (Certification.NONE, Certification.FORM_FILL):
        assert effect.placement_words(replace(placement, certification=certification)) != original
    assert read(placement, bytes([1]) * 32) != read(placement), "the documents themselves, by their root"


def test_each_term_of_a_grant_is_told() -> None:
    about = context(GrantCovers(5, 1_800_100_000, DIGEST), action="seal", seal=SEAL)
    read = told(effect.of(about, KNOWN))
    for covers in (
        GrantCovers(6, 1_800_100_000, DIGEST),
        GrantCovers(5, 1_800_100_001, DIGEST),
        GrantCovers(5, 1_800_100_000, DIGEST[:-1] + "0"),
        GrantCovers(5, 1_800_100_000, None),
    ):
        assert told(effect.of(replace(about, covers=covers), KNOWN)) != read


def test_a_second_person_of_the_same_name_is_told() -> None:
    """Somebody who is registered twice would count as two: one name in the directory, two keys."""
    twin = uuid7()
    for name in ("Hanna Weber", "HANNA WEBER", "Hanna Weber".replace("W", "\uff37")):
        known = replace(
            KNOWN, names={PERSON: "Hanna Weber", twin: name}, people={PERSON: KnownPerson(frozenset({"approver"}), active=True)}
        )
        act = ActCovers({"change": "person_add", "id": twin, "roles": ["approver"], "public_key": OTHER_KEY})
        shown = told(effect.of(context(act), known))
        assert f"calls others who decide already the same: {PERSON}" in shown
    left = replace(known, people={PERSON: KnownPerson(frozenset({"approver"}), active=False)})
    assert "careful" not in told(effect.of(context(act), left))


def test_an_identity_says_what_it_opens() -> None:
    given, _ = EXAMPLES["create.certificate"]
    about = context(ActCovers({}), action="create")
    shown = of_act("create.certificate", given, about)
    assert shown is not None and "seals by itself where a seal's rule asks for no person" in shown
    assert "sees every form" in (of_act("create.certificate", given | {"profile": "operator"}, about) or "")
    held = of_act("revoke.hold", {"issuer": "infrastructure.2", "serial": "ff"}, context(ActCovers({}), action="revoke"))
    assert held is not None and "every other certificate that its holder has got" in held
