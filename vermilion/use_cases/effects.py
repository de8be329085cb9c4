"""What a form would bring about, computed on the decider's own machine from the very context that they sign.

The signer's register is asked directly. Of the workflow's answer nothing is believed but what adds up to what is signed: not the
title, not an effect that it states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealcore.errors import Code
from sealcore.protocol import effect
from sealcore.protocol.canonical import b64url_decode
from sealcore.protocol.effect_model import Effect, Known, KnownPerson, KnownSeal
from sealcore.protocol.json_objects import context_from_json, placement_from_json
from sealcore.protocol.leaf import Certification
from sealcore.protocol.manifest import DocumentEntry
from vermilion.remote.signer_client import SignerClient


def known(signer: SignerClient, names: Mapping[str, str]) -> Known:
    """The signer's register; ``names`` are what the workflow's directory calls people."""
    seals = {
        seal.id: KnownSeal(
            seal.name,
            seal.kind,
            seal.state,
            {rule.action: rule.least_persons for rule in seal.quorum},
            seal.content_policy,
            frozenset(one.hex() for one in seal.picture_sha256),
            seal.certificate,
            Certification.of_word(seal.certification),
        )
        for seal in signer.seals()
    }
    roll = signer.roll()
    people = {person.id: KnownPerson(frozenset(person.roles), person.active) for person in roll.people}
    return Known(seals, people, roll.register_quorum, names)


def of_form(form: Mapping[str, Any], register: Known) -> Effect:
    """The effect of what would be signed; PROOF_INVALID, EFFECT_UNKNOWN."""
    return effect.of(context_from_json(form["context"]), register, documents_of(form))


def documents_of(form: Mapping[str, Any]) -> list[tuple[DocumentEntry, bytes]]:
    """The documents that the workflow shows with a form, each with its salt."""
    return [
        (
            DocumentEntry(one["name"], bytes.fromhex(one["sha256"]), one["size_bytes"], placement_from_json(one["placement"])),
            b64url_decode(one["salt"], Code.PROOF_INVALID),
        )
        for one in form.get("documents") or ()
    ]
