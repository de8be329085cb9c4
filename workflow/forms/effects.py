"""What a form would bring about, for those who decide; approvers' own tools compute the same from what they sign."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sealcore.errors import Code, Kind, VermilionError
from sealcore.protocol import effect
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.effect_model import Effect, Known, KnownPerson, KnownSeal
from sealcore.protocol.manifest import DocumentEntry
from workflow.delivery.signer_link import Register, RegisteredSeal
from workflow.forms.model import Form
from workflow.policies.model import Policy, newest


def of_form(
    register: Register, form: Form, documents: Sequence[tuple[DocumentEntry, bytes]], policies: Collection[Policy] = ()
) -> Effect | None:
    """The effect; without old values while the signer's register cannot be asked, and None for an act that there are no words for."""
    try:
        known = replace(_known(register, form), policies={one.id: (one.version, one.quorum) for one in newest(policies).values()})
        if documents:
            return effect.of_manifest(form.context, [entry for entry, _ in documents], known)
        return effect.of(form.context, known)
    except VermilionError as fault:
        if fault.code is not Code.EFFECT_UNKNOWN:
            raise
        return None


def _known(register: Register, form: Form) -> Known:
    covers = form.context.covers
    parameters = covers.parameters if isinstance(covers, ActCovers) else {}
    named = {form.context.seal, str(parameters.get("id", "")), str(parameters.get("seal", ""))}
    try:
        people = {person.id: KnownPerson(person.roles, person.active) for person in register.people().values()}
        return Known(_seals(register, named), people, register.own_quorum())
    except VermilionError as fault:
        if fault.kind is not Kind.UNAVAILABLE:
            raise
        return Known()


def _seals(register: Register, named: set[str]) -> dict[str, KnownSeal]:
    found = {}
    for seal_id in named - {""}:
        try:
            found[seal_id] = seal_as_known(register.seal(seal_id))
        except VermilionError as fault:
            if fault.code is not Code.SEAL_UNKNOWN:
                raise
    return found


def seal_as_known(seal: RegisteredSeal) -> KnownSeal:
    """A seal of the signer's register."""
    pictures = frozenset(digest.hex() for digest in seal.pictures)
    return KnownSeal(seal.name, seal.kind, seal.state, seal.quorum, seal.content_policy, pictures, seal.certificate, seal.certification)
