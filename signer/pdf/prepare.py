"""Prepares a document in the sandbox: the full writer writes, and readers that share no code with it judge what it wrote."""

from __future__ import annotations

from collections.abc import Iterable

from signer.pdf.full.prepare import prepare as write
from signer.pdf.plan import Plan, Prepared
from signer.pdf.readback import pdfium
from signer.pdf.readback.ambiguity import require_plain_objects


class Independent:
    """Our own small reader, and PDFium."""

    @staticmethod
    def require_plain(file: bytes, numbers: Iterable[int]) -> None:
        """See ``Readers``."""
        require_plain_objects(file, numbers)

    @staticmethod
    def require_found(document: bytes, prepared: Prepared, *, repaired: bool) -> None:
        """See ``Readers``."""
        pdfium.require_found(document, prepared, repaired=repaired)


def prepare(document: bytes, plan: Plan, hash_name: str = "sha256") -> Prepared:
    """The update for ``document`` as the plan says, found by every reader; see ``signer.pdf.full.prepare``."""
    return write(document, plan, hash_name, Independent())
