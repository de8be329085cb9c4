"""What a PDF holds: by the compiled core where it understands the file to the last byte, else by pyHanko."""

from __future__ import annotations

from typing import Final

from longterm.model import Contents, Signed, Store, placed
from sealcore import compiled
from sealcore.errors import Code, VermilionError
from signer.pdf.full.update import refuse_what_is_no_pdf

if compiled.AVAILABLE:
    from sealcore.compiled import core

MOST_SIGNATURES: Final = 256
MOST_CERTIFICATES: Final = 1024
MOST_CRLS: Final = 256
MOST_OCSPS: Final = 1024
TIMESTAMP_SUBFILTER: Final = "ETSI.RFC3161"


def read(document: bytes) -> Contents:
    """Signatures and DSS. DOCUMENT_…, SIGNATURE_BROKEN; DOCUMENT_UNSIGNED where there is no signature."""
    refuse_what_is_no_pdf(document)
    contents = read_lean(document)
    if contents is None:
        from longterm.full import read_full  # noqa: PLC0415  (pyHanko: most documents never need it)

        contents = read_full(document)
    if not contents.signed:
        raise VermilionError(Code.DOCUMENT_UNSIGNED, "the document carries no signature")
    return contents


def ordered(signed: list[Signed], store: Store) -> Contents:
    """With the signatures by what they cover; DOCUMENT_TOO_COMPLEX where there are more of anything than is held against each other."""
    for count, most, what in (
        (len(signed), MOST_SIGNATURES, "signatures"),
        (len(store.certificates), MOST_CERTIFICATES, "certificates in its security store"),
        (len(store.crls), MOST_CRLS, "revocation lists in its security store"),
        (len(store.ocsps), MOST_OCSPS, "OCSP answers in its security store"),
    ):
        if count > most:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"the document has {count:,} {what}; {most:,} are the most")
    return Contents(tuple(sorted(signed, key=lambda one: one.end)), store)


def read_lean(document: bytes) -> Contents | None:
    """None where the document is not fully understood, or the core is not built. SIGNATURE_BROKEN."""
    if not compiled.AVAILABLE:
        return None
    held = core.read_signed(document)
    if isinstance(held, str):
        return None
    signatures, (certificates, crls, ocsps) = held
    signed = [placed(document, *one) for one in signatures]
    return ordered(signed, Store(tuple(certificates), tuple(crls), tuple(ocsps)))
