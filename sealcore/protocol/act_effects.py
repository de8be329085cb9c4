"""The effect of each kind of act, from its parameters. A kind without words here is refused where people approve (EFFECT_UNKNOWN)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealcore.errors import Code, VermilionError
from sealcore.protocol.act_facts import (
    arrow,
    certificate_facts,
    certification_fact,
    chain_facts,
    content_fact,
    gone,
    new,
    quorum_fact,
    quorum_facts,
    sha256_hex,
)
from sealcore.protocol.canonical import b64url_decode
from sealcore.protocol.covers import require_kinds
from sealcore.protocol.decision import DecisionContext
from sealcore.protocol.effect_model import Effect, Fact, Known
from sealcore.unreadable import UNREADABLE

Parameters = Mapping[str, Any]
Describe = Callable[[Parameters, Known], tuple[str, list[Fact]]]


def of_act(context: DecisionContext, parameters: Parameters, known: Known) -> Effect:
    """The effect of an act; raises EFFECT_UNKNOWN for what this version has no words for, a parameter included."""
    if context.action == "resume":
        _exactly(parameters, set(), {"seal"})
        if parameters.get("seal", context.seal) != context.seal:
            raise _unknown("a resume that names two seals")
        state = known.seals[context.seal].state if context.seal in known.seals else None
        fact = Fact("state", state, "active", f"state: {arrow(state, 'active')}")
        return Effect("resume", f"Lets the seal {known.seal(context.seal)} seal again.", (fact,))
    change = parameters.get("change")
    table = {"register": REGISTER, "revoke": CERTIFICATES, "create": IDENTITIES}.get(context.action, {})
    if not isinstance(change, str) or change not in table:
        raise _unknown(f"the action {context.action} with the change {str(change)[:40]!r}")
    require_kinds(parameters)
    try:
        words, facts = table[change]({name: value for name, value in parameters.items() if name != "change"}, known)
    # Whatever cannot be put into words is refused here: nobody should approve what they could
    # not be shown.
    except (*UNREADABLE, AttributeError, KeyError) as fault:
        raise _unknown(f"{change} with parameters of another kind ({type(fault).__name__})") from None
    if context.action == "revoke" and context.seal:
        facts.append(Fact("seal", context.seal, context.seal, f"the certificate of the seal {known.seal(context.seal)}"))
    return Effect(f"{context.action}.{change}", words, tuple(facts))


# --- people and issuers


def _person_add(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "roles", "public_key"}, {"name_hash"})
    if not set(given["roles"]) <= ROLES:
        raise _unknown("a role that nobody has")
    roles, key = " and ".join(given["roles"]) or "nothing", sha256_hex(given["public_key"])
    facts = [new("roles", roles, f"roles: {roles}"), new("key", key, f"decides with the key {key}")]
    if hashed := given.get("name_hash"):
        facts.append(new("name_hash", hashed, f"their name is kept as the hash {hashed}"))
    if namesakes := known.namesakes(given["id"]):
        facts.append(new("namesakes", namesakes, f"careful: the directory calls others who decide already the same: {namesakes}"))
    return f"Registers the person {known.person(given['id'])} as {roles}: their decisions count at the signer from then on.", facts


def _person_remove(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id"})
    person = known.people.get(given["id"])
    roles = " and ".join(sorted(person.roles)) if person else None
    facts = [Fact("roles", roles, None, f"roles: {arrow(roles, 'none')}")]
    return f"Removes the person {known.person(given['id'])}: their decisions count for nothing from then on.", facts


def _issuer_add(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"public_key"})
    key = sha256_hex(given["public_key"])
    words = (
        "Trusts one more key to issue approval tokens: whoever holds it can say what people approved where no signature of theirs is asked."
    )
    return words, [new("issuer", key, f"issuer key {key}")]


def _issuer_remove(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"kid"})
    kid = b64url_decode(given["kid"], Code.EFFECT_UNKNOWN).hex()
    return "Trusts an issuer of approval tokens no longer: all tokens by it are refused.", [gone("issuer", kid, f"issuer key {kid}")]


def _register_quorum(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"least_persons"})
    fact = quorum_fact("register_quorum", "persons for a change of the register", known.register_quorum, given["least_persons"])
    return "Changes how many persons must agree before the register itself is changed.", [fact]


# --- seals


def _seal_add(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "name", "kind", "key_label", "certificate", "chain", "pictures", "quorum"}, {"content_policy", "certification"})
    facts = [new(name, given[name], f"{name}: {given[name]}") for name in ("name", "kind", "key_label")]
    content = given.get("content_policy", "report")
    facts += [
        *quorum_facts(given["quorum"], {}),
        content_fact(None, content),
        *certificate_facts(given["certificate"], None),
        *chain_facts(given["chain"]),
    ]
    said = given.get("certification", "")
    facts.append(certification_fact(None, said) if said else new("certification", said, "certification: as the kind of seal has it"))
    facts += [new("picture", one, f"picture {one}") for one in given["pictures"]]
    return (
        f"Adds a seal: “{given['name']}” ({given['kind']}, {given['id']}).",
        facts,
    )


def _seal_certificate(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "certificate", "chain"})
    seal = known.seals.get(given["id"])
    facts = [*certificate_facts(given["certificate"], seal), *chain_facts(given["chain"])]
    return f"Puts another certificate behind the seal {known.seal(given['id'])}.", facts


def _seal_quorum(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "quorum"})
    seal = known.seals.get(given["id"])
    facts = quorum_facts(given["quorum"], seal.quorum if seal else None)
    return f"Changes how many persons must decide about the seal {known.seal(given['id'])}.", facts


def _seal_content(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "content_policy"})
    seal = known.seals.get(given["id"])
    words = f"Changes what happens, under the seal {known.seal(given['id'])}, to documents that can change their look."
    return words, [content_fact(seal.content_policy if seal else None, given["content_policy"])]


def _seal_certification(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "certification"})
    seal = known.seals.get(given["id"])
    words = f"Changes what may happen to documents after the seal {known.seal(given['id'])}, where their form does not say otherwise."
    return words, [certification_fact(seal.certification if seal else None, given["certification"])]


def _seal_picture_add(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "picture"})
    words = f"Allows one more picture for marks of the seal {known.seal(given['id'])}: look at the picture before you approve."
    return words, [new("picture", given["picture"], f"picture {given['picture']}")]


def _seal_retire(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id"})
    seal = known.seals.get(given["id"])
    fact = Fact("state", seal.state if seal else None, "retired", f"state: {arrow(seal.state if seal else None, 'retired')}")
    return f"Retires the seal {known.seal(given['id'])} for good: it never seals again.", [fact]


# --- templates and clients


def _template_add(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"template", "fields", "pdf"})
    fields = ", ".join(f"“{name}”" for name in given["fields"]) or "none"
    facts = [
        new("template", given["template"], f"template {given['template']}"),
        new("pdf", given["pdf"], f"base document {given['pdf']}"),
        new("fields", fields, f"fields that a client may fill in: {fields}"),
    ]
    return "Registers a template: grants may name it, and then documents need to agree with it only outside these fields.", facts


def _client_stop(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"client"})
    return f"Shuts the client {given['client']} out of the signer.", [new("client", given["client"], f"stopped: {given['client']}")]


def _client_allow(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"client"})
    words = f"Lets the client {given['client']}, which was shut out, use the signer again."
    return words, [gone("client", given["client"], f"stopped no longer: {given['client']}")]


# --- certificates, at the CA


def _certificate_change(before: str, after: str, words: str) -> Describe:
    def describe(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
        _exactly(given, {"issuer", "serial"}, {"reason", "invalidity_date"})
        facts = [
            Fact("state", before, after, f"certificate: {before} → {after}"),
            Fact("issuer", given["issuer"], given["issuer"], f"issued by {given['issuer']}"),
            Fact("serial", given["serial"], given["serial"], f"serial number {given['serial']}"),
        ]
        facts += [
            new(name, given[name], f"{name.replace('_', ' ')}: {given[name]}") for name in ("reason", "invalidity_date") if name in given
        ]
        if given["issuer"].partition(".")[0] == "infrastructure":
            facts.append(new("holder", "all", "and so with every other certificate that its holder has got by renewing it"))
        return words, facts

    return describe


def _identity(given: Parameters, _known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"profile", "uri", "spki_sha256", "request"}, set(SUBJECT))
    spki = x509.load_der_x509_csr(b64url_decode(given["request"], Code.EFFECT_UNKNOWN)).public_key()
    key = hashlib.sha256(spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    # The key is computed from the request that is signed; the digest beside it is only what the
    # form says.
    if key != given["spki_sha256"]:
        raise _unknown("a certificate whose request is for another key than the act names")
    request = sha256_hex(given["request"])
    facts = [
        new("uri", given["uri"], f"known as {given['uri']}"),
        new("key", key, f"by the key {key}"),
        new("request", request, f"as asked for in the request {request}"),
    ]
    facts += [new(name, given[name], f"{name.replace('_', ' ')}: {given[name]}") for name in SUBJECT if name in given]
    words = f"Gives a certificate of the profile {given['profile']} to whoever holds a key: at our services they are then {given['uri']}."
    means = MEANS.get(given["profile"], "what such a certificate opens is not known here")
    return words, [*facts, new("profile", given["profile"], f"profile: {given['profile']}; {means}")]


MEANS: Mapping[str, str] = {
    "client": "it applies for seals, and seals by itself where a seal's rule asks for no person",
    "operator": "it sees every form, adds people, clients and stricter policies, and revokes certificates of services and clients",
    "device": "it is known as a machine",
    "person": "it is known as a person",
}
ROLES = frozenset({"approver", "officer"})


# --- policies, at the workflow


def _policy_add(given: Parameters, known: Known) -> tuple[str, list[Fact]]:
    _exactly(given, {"id", "version", "quorum", "seal", "action"})
    seal = f"the seal {known.seal(given['seal'])}" if given["seal"] else "every seal"
    action = given["action"] or "every action"
    before = known.policies.get(given["id"])
    facts = [
        quorum_fact(
            "quorum", "persons that the workflow asks for, which the signer's register may raise", before and before[1], given["quorum"]
        ),
        new("action", given["action"], f"action: {action}"),
        new("seal", given["seal"], f"for {seal}"),
        Fact("version", before and before[0], given["version"], f"version {given['version']} of the policy {given['id']}"),
    ]
    return f"Changes how many approvals the workflow asks for {action} with {seal}; it may ask for fewer than until now.", facts


SUBJECT = (
    "common_name",
    "organization",
    "organization_identifier",
    "surname",
    "given_name",
    "pseudonym",
    "serial_number",
    "country",
)
REGISTER: Mapping[str, Describe] = {
    "person_add": _person_add,
    "person_remove": _person_remove,
    "issuer_add": _issuer_add,
    "issuer_remove": _issuer_remove,
    "register_quorum": _register_quorum,
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
    "policy_add": _policy_add,
}
IDENTITIES: Mapping[str, Describe] = {"certificate": _identity}
CERTIFICATES: Mapping[str, Describe] = {
    "revoke": _certificate_change("good", "revoked", "Revokes a certificate for good."),
    "hold": _certificate_change("good", "on hold", "Puts a certificate on hold, which can be taken back."),
    "release": _certificate_change("on hold", "good", "Releases a certificate from a hold: it counts again."),
}


# --- parts


def _exactly(given: Parameters, names: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    if odd := (given.keys() - names - optional) | (names - given.keys()):
        raise _unknown(f"an act with more or fewer parameters than it takes ({', '.join(sorted(odd))[:200]})")


def _unknown(what: str) -> VermilionError:
    return VermilionError(Code.EFFECT_UNKNOWN, f"there are no words for {what}")
