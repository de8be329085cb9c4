"""An update that was accounted for: what may be signed, and what the sealed document is compared with afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from sealcore.errors import Code, VermilionError
from sealcore.hashes import HashState
from signer.pdf.plan import Document, Plan, Prepared
from signer.pdf.readback.account import require_accounted_in_general
from signer.pdf.readback.hole import Hole
from signer.pdf.readback.quick_account import KnownLooks, Recognised


@dataclass(frozen=True, slots=True)
class Accounted:
    """An update that was accounted for, with its empty hole. Only ``account_for`` makes one.

    digest  by ``hash_name``, over the document and the update without the hole: the one digest that may be signed
    """

    update: bytes
    hole: Hole
    digest: bytes
    hash_name: str


def account_for(document: Document, state: HashState, prepared: Prepared, plan: Plan, known: KnownLooks) -> Accounted:
    """Checks a writer's update against document and plan before anything is signed; DOCUMENT_READBACK.

    So an attacker who controls the writer gets no other digest signed (I2), and no update with more than the approved marks (I4).

    state  of the signature's hash after the whole document
    known  appearances of marks that were judged in full before, which the caller keeps
    """
    update = prepared.suffix
    hole, digest = require_accounted(document, state, update, plan, prepared.field_name, known)
    # The writer's figures are compared, not used: the ones that go on are computed here from
    # the bytes.
    told = prepared.byte_range[1:], prepared.digest
    size_bytes = len(document)
    if told != ((size_bytes + hole.start, size_bytes + hole.end, len(update) - hole.end), digest):
        raise VermilionError(Code.DOCUMENT_READBACK, "what was prepared is not an update of this document")
    return Accounted(update, hole, digest, state.name)


def require_accounted(document: Document, state: HashState, update: bytes, plan: Plan, field_name: str, known: KnownLooks) -> Recognised:  # noqa: PLR0917
    """Hole and digest of an update; DOCUMENT_READBACK when it holds, or changes, anything but what the plan asks for."""
    quickly = known.recognised(document, state, update, plan) if field_name == plan.field_name else None
    if quickly is not None:
        return quickly
    hole = require_accounted_in_general(document, update, plan, field_name)
    return Recognised(hole, state.digest(update[: hole.start] + update[hole.end :]))
