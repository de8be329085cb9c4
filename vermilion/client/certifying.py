"""What the seal of a document certifies (DocMDP): as the form says, else as the seal is registered; never over signatures of others.

Resolved before anybody approves, because the leaf binds it. What the signer would refuse is refused here already.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Certification, Placement
from vermilion.client.documents import Document, unreadable
from vermilion.client.forms import Place

Certify = Certification | Callable[[Document], Certification | None] | None
"""What a form says of it: one for all documents, or each as a function says; None where it says nothing."""

_TELLTALE: Final = b"/ByteRange"  # stands as it is in every file that carries a signature
_NO_CHANGE, _ANNOTATE = 1, 3


@dataclass(frozen=True)
class Carried:
    """What signatures a document carries: whether any, and the strictest DocMDP level among them (ISO 32000-2 §12.8.2.2)."""

    signed: bool = False
    permission: int | None = None


def certified(place: Place, certify: Certify, default: Certification, *, refuse: bool = True) -> Callable[[Document], Placement]:
    """``place`` with each document's certification filled in.

    refuse  raises DOCUMENT_SIGNED or DOCUMENT_LOCKED for a document that the signer would refuse; else it is left to the signer
    """

    def placed(document: Document) -> Placement:
        placement = place if isinstance(place, Placement) else place(document)
        said = certify(document) if callable(certify) else certify
        if said is None and placement.certification != Certification.NONE:
            said = placement.certification
        found = carried(document)
        if refuse:
            _require_possible(document, placement, said, found)
        if said is None:
            said = Certification.NONE if found.signed else default
        return _with(placement, said)

    return placed


def carried(document: Document) -> Carried:
    """What the document carries; nothing where it cannot be read, which is for the signer to say. INVALID_ARGUMENT without a file."""
    if not _mentions_signatures(document):
        return Carried()
    from vermilion.client.signatures import carried_by  # noqa: PLC0415  (a PDF library, which most documents do not need)

    return Carried(*carried_by(document.source))


def _require_possible(document: Document, placement: Placement, said: Certification | None, found: Carried) -> None:
    if found.permission == _NO_CHANGE:
        reason = "the document is certified as final: no further seal or signature may be added to it"
        raise VermilionError(Code.DOCUMENT_LOCKED, reason, document=document.name)
    if placement.marks and found.permission is not None and found.permission < _ANNOTATE:
        reason = "the document is certified: it may be sealed invisibly, but not marked on its pages"
        raise VermilionError(Code.DOCUMENT_LOCKED, reason, document=document.name)
    if found.signed and said:
        reason = f"the document carries a signature already, and the form asks to certify it ({said.word})"
        raise VermilionError(Code.DOCUMENT_SIGNED, reason, document=document.name)


@lru_cache(maxsize=64)
def _with(placement: Placement, certification: Certification) -> Placement:
    """One value for all documents that are sealed alike: its part of the leaf is then made once."""
    if placement.certification == certification:
        return placement
    return Placement(placement.marks, placement.texts, certification, placement.level)


def _mentions_signatures(document: Document) -> bool:
    if isinstance(document.source, bytes):
        return _TELLTALE in document.source
    try:
        with document.source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(_TELLTALE) >= 0
    except ValueError:  # an empty file
        return False
    except OSError as fault:
        raise unreadable(document.name, fault) from None
