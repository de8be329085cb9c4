"""What an act does to the register: the seed, the changes of a ``register`` act, resuming, stopping, restoring. Pure.

A change comes as an act's parameters (texts, whole numbers, lists), so that what people sign is what is carried out.
Bytes travel as base64url, digests as lower hex, a quorum as ``action:persons``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from cryptography import x509

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url_decode, is_integer, is_text, require
from sealcore.protocol.covers import require_kinds
from sealcore.protocol.decision import MOST_PERSONS
from sealcore.protocol.p256 import canonical_spki, require_canonical
from sealcore.unreadable import UNREADABLE
from signer.register.model import QUORUM_ACTIONS, RULES, EpochKind, Issuer, Person, Register, Seal, Template

Parameters = Mapping[str, Any]


def seeded(seed: Parameters, rules: int = RULES) -> Register:
    """The first register. The seed comes from the key ceremony; nobody is registered yet who could approve it."""
    _exactly(seed, {"kind", "office", "people", "issuers", "seals", "register_quorum"})
    require(is_text(seed["office"], 200), "the office has a name")
    require(is_integer(seed["register_quorum"], 1, MOST_PERSONS), f"register_quorum is 1 to {MOST_PERSONS} persons")
    register = Register(office=seed["office"], register_quorum=seed["register_quorum"])
    for person in seed["people"]:
        register = _person_add(register, person)
    for public_key in seed["issuers"]:
        register = _issuer_add(register, {"public_key": public_key})
    for seal in seed["seals"]:
        register = _seal_add(register, seal)
    if rules >= 2:
        _require_distinct_keys(Register(), register)
    return register


def changed(register: Register, parameters: Parameters, rules: int = RULES) -> Register:
    """The register after one change of a ``register`` act; raises INVALID_ARGUMENT or CONFLICT for what cannot be done."""
    change = parameters.get("change")
    apply = CHANGES.get(change) if isinstance(change, str) else None
    if apply is None:
        raise VermilionError(Code.INVALID_ARGUMENT, f"a register act's change is one of {', '.join(sorted(CHANGES))}")
    require_kinds(parameters)
    after = apply(register, {name: value for name, value in parameters.items() if name != "change"})
    if rules >= 2:
        _require_distinct_keys(register, after)
    return after


def resumed(register: Register, seal_id: str) -> Register:
    """The register with a suspended seal active again; raises SEAL_RETIRED, CONFLICT when it is not suspended."""
    seal = register.seal(seal_id)
    if seal.state == "retired":
        raise VermilionError(Code.SEAL_RETIRED, f"the seal {seal_id} is retired; it cannot be resumed")
    if seal.state != "suspended":
        raise VermilionError(Code.CONFLICT, f"the seal {seal_id} is not suspended")
    return register.with_seal(replace(seal, state="active")).raised("seal", seal_id)


def stopped(register: Register, subject_kind: str, subject: str) -> Register:
    """The register after an officer's stop. Stopping something again raises its epoch again: a stop always has its effect."""
    # A grant that is not known yet can be stopped, too: its token may be on its way.
    if subject_kind == "grant":
        return _shut(register, "grant", subject)
    seal = register.seal(subject)
    if seal.state == "retired":
        raise VermilionError(Code.SEAL_RETIRED, f"the seal {subject} is retired; there is nothing to stop")
    return register.with_seal(replace(seal, state="suspended")).raised("seal", subject)


def restored(register: Register, at: int) -> Register:
    """The register after a restore from a backup at ``at`` (NumericDate)."""
    # Only ever later: a record of an older restore must not make tokens valid that a newer one
    # has ended.
    return replace(register, restored_at=max(at, register.restored_at or 0))


def _require_distinct_keys(before: Register, after: Register) -> None:
    """Each new key is in its canonical encoding (INVALID_ARGUMENT) and was never registered for anybody else (CONFLICT)."""
    known = {(one.id, one.public_key) for one in before.people.values()} | {(one.kid, one.active) for one in before.issuers.values()}
    people = [one.public_key for one in after.people.values() if (one.id, one.public_key) not in known]
    issuers = [one.public_key for one in after.issuers.values() if one.active and (one.kid, True) not in known]
    for public_key in (*people, *issuers):
        require_canonical(public_key)
    # Counted by the canonical encoding, and over people who have left as well: a key that was
    # once somebody's never counts as another's.
    holders = Counter(canonical_spki(one.key) for one in after.people.values())
    holders.update(canonical_spki(one.key) for one in after.issuers.values())
    if any(holders[public_key] > 1 for public_key in (*people, *issuers)):
        raise VermilionError(Code.CONFLICT, "another person or issuer holds this key; one key under two names would count twice")


def named_attachments(parameters: Parameters) -> frozenset[bytes]:
    """SHA-256 of each file (picture, base PDF) that a change or a seal of the seed names."""
    digests = [*parameters.get("pictures", []), *(parameters[name] for name in ("picture", "pdf") if name in parameters)]
    return frozenset(map(_digest, digests))


def _person_add(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id", "roles", "public_key"}, {"name_hash"})
    key = b64url_decode(parameters["public_key"], Code.INVALID_ARGUMENT)
    person = Person(parameters["id"], frozenset(_texts(parameters["roles"])), key, name_hash=parameters.get("name_hash", ""))
    if person.id in register.people:
        raise VermilionError(Code.CONFLICT, f"the person {person.id} is in the register already")
    return register.with_person(person)


def _person_remove(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id"})
    person = register.people.get(parameters["id"])
    if person is None or not person.active:
        raise VermilionError(Code.NOT_FOUND, "the person is not in the register")
    # Never deleted: decisions of the past must stay attributable, and the id can never be taken
    # by somebody else.
    return register.with_person(replace(person, active=False)).raised("person", person.id)


def _issuer_add(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"public_key"})
    return register.with_issuer(Issuer(b64url_decode(parameters["public_key"], Code.INVALID_ARGUMENT)))


def _issuer_remove(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"kid"})
    issuer = register.issuers.get(parameters["kid"])
    if issuer is None:
        raise VermilionError(Code.NOT_FOUND, "the issuer is not in the register")
    return register.with_issuer(replace(issuer, active=False))


def _seal_add(register: Register, parameters: Parameters) -> Register:
    _exactly(
        parameters, {"id", "name", "kind", "key_label", "certificate", "chain", "pictures", "quorum"}, {"content_policy", "certification"}
    )
    seal = Seal(
        parameters["id"],
        parameters["name"],
        parameters["kind"],
        parameters["key_label"],
        *_certified(parameters),
        tuple(map(_digest, _texts(parameters["pictures"]))),
        _quorum(parameters["quorum"]),
        parameters.get("content_policy", "report"),
        certification=parameters.get("certification", ""),
    )
    if seal.id in register.seals:
        raise VermilionError(Code.CONFLICT, f"the seal {seal.id} is in the register already")
    return register.with_seal(seal)


def _seal_certificate(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id", "certificate", "chain"})
    certificate, chain = _certified(parameters)
    seal = register.seal(parameters["id"])
    renewed = replace(seal, certificate=certificate, chain=chain)
    # A new key is a new seal, with an approval of its own: entries in the ledger name the key.
    require(renewed.spki_sha256 == seal.spki_sha256, "a renewed certificate is for the seal's present key")
    return register.with_seal(renewed)


def _seal_quorum(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id", "quorum"})
    return register.with_seal(replace(register.seal(parameters["id"]), quorum=_quorum(parameters["quorum"])))


def _seal_content(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id", "content_policy"})
    return register.with_seal(replace(register.seal(parameters["id"]), content_policy=parameters["content_policy"]))


def _seal_certification(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id", "certification"})
    require(parameters["certification"] != "", "a seal certifies final or form-fill")
    return register.with_seal(replace(register.seal(parameters["id"]), certification=parameters["certification"]))


def _seal_picture_add(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id", "picture"})
    seal, picture = register.seal(parameters["id"]), _digest(parameters["picture"])
    return register.with_seal(replace(seal, pictures=tuple(dict.fromkeys((*seal.pictures, picture)))))


def _seal_retire(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"id"})
    return register.with_seal(replace(register.seal(parameters["id"]), state="retired")).raised("seal", parameters["id"])


def _template_add(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"template", "fields", "pdf"})
    _digest(parameters["pdf"])
    template = Template(_digest(parameters["template"]).hex(), tuple(_texts(parameters["fields"])))
    return replace(register, templates={**register.templates, template.id: template})


def _client_stop(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"client"})
    require(is_text(parameters["client"], 255), "a client is named by its URI")
    return _shut(register, "client", parameters["client"])


def _client_allow(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"client"})
    return replace(register, stopped=register.stopped - {("client", parameters["client"])})


def _register_quorum(register: Register, parameters: Parameters) -> Register:
    _exactly(parameters, {"least_persons"})
    require(is_integer(parameters["least_persons"], 1, MOST_PERSONS), f"the register's quorum is 1 to {MOST_PERSONS} persons")
    return replace(register, register_quorum=parameters["least_persons"])


CHANGES: Mapping[str, Callable[[Register, Parameters], Register]] = {
    "person_add": _person_add,
    "person_remove": _person_remove,
    "issuer_add": _issuer_add,
    "issuer_remove": _issuer_remove,
    "seal_add": _seal_add,
    "seal_certificate": _seal_certificate,
    "seal_quorum": _seal_quorum,
    "seal_content": _seal_content,
    "seal_certification": _seal_certification,
    "seal_picture_add": _seal_picture_add,
    "seal_retire": _seal_retire,
    "template_add": _template_add,
    "client_stop": _client_stop,
    "client_allow": _client_allow,
    "register_quorum": _register_quorum,
}


def _shut(register: Register, kind: EpochKind, subject: str) -> Register:
    return replace(register, stopped=register.stopped | {(kind, subject)}).raised(kind, subject)


def _certified(parameters: Parameters) -> tuple[bytes, tuple[bytes, ...]]:
    """Certificate and chain (DER), each signed by the next: verifiers are given this chain."""
    der = [b64url_decode(one, Code.INVALID_ARGUMENT) for one in (parameters["certificate"], *_texts(parameters["chain"]))]
    require(len(der) > 1, "a seal's chain has at least its issuing CA")
    try:
        certificates = [x509.load_der_x509_certificate(one) for one in der]
        for child, parent in pairwise(certificates):
            child.verify_directly_issued_by(parent)
    except UNREADABLE:
        raise VermilionError(Code.INVALID_ARGUMENT, "a seal's certificates do not form a chain") from None
    return der[0], tuple(der[1:])


def _quorum(rules: Any) -> dict[str, int]:
    """``["seal:2", "resume:2"]`` as a mapping; an action named twice is refused."""
    quorum: dict[str, int] = {}
    for rule in _texts(rules):
        action, _, persons = rule.partition(":")
        require(persons.isdecimal() and len(persons) < 4 and action not in quorum, "a quorum is action:persons, each action once")
        require(
            action in QUORUM_ACTIONS,
            f"there is no action {action[:40]!r}; a seal knows {', '.join(sorted(QUORUM_ACTIONS))}",
            Code.ACTION_UNKNOWN,
        )
        quorum[action] = int(persons)
    return quorum


def _digest(text: Any) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except (TypeError, ValueError):
        digest = b""
    require(len(digest) == 32, "a file is named by the lower hex of its SHA-256")
    return digest


def _texts(value: Any) -> list[str]:
    require(isinstance(value, list) and all(isinstance(one, str) for one in value), "a list of texts is expected")
    return list(value)


def _exactly(parameters: Parameters, names: set[str], optional: frozenset[str] | set[str] = frozenset()) -> None:
    missing, unknown = names - parameters.keys(), parameters.keys() - names - optional
    require(not missing, f"{', '.join(sorted(missing))} must be given")
    require(not unknown, f"{', '.join(sorted(unknown))} is not known here")
