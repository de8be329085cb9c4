"""An update that was accounted for: what may be signed, and what the sealed document is compared with afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError
from signer.pdf.plan import Document, Plan, Prepared
from signer.pdf.readback.account import require_accounted
from signer.pdf.readback.hole import Hole
from signer.pdf.readback.known_appearances import KnownLooks


@dataclass(frozen=True, slots=True)
class Accounted:
    """An update that was accounted for, with its empty hole. Only ``account_for`` makes one.

    digest  by ``hash_name``, over the document and the update without the hole: the one digest that may be signed
    """

    update: bytes
    hole: Hole
    digest: bytes
    hash_name: str


def account_for(document: Document, document_digest: hashlib._Hash, prepared: Prepared, plan: Plan, known: KnownLooks) -> Accounted:
    """Checks a writer's update against document and plan before anything is signed; DOCUMENT_READBACK.

    So an attacker who controls the writer gets no other digest signed (I2), and no update with more than the approved marks (I4).

    document_digest  state of the signature's hash after the whole document; it is copied, never updated
    known            appearances of marks that were judged in full before, which the caller keeps
    """
    update = prepared.suffix
    hole = require_accounted(document, update, plan, prepared.field_name, known)
    digest, parts = document_digest.copy(), memoryview(update)
    digest.update(parts[: hole.start])
    digest.update(parts[hole.end :])
    # The writer's figures are compared, not used: the ones that go on are computed here from
    # the bytes.
    told = prepared.byte_range[1:], prepared.digest
    size_bytes = len(document)
    if told != ((size_bytes + hole.start, size_bytes + hole.end, len(update) - hole.end), digest.digest()):
        raise VermilionError(Code.DOCUMENT_READBACK, "what was prepared is not an update of this document")
    return Accounted(update, hole, prepared.digest, digest.name)
