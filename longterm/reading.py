"""What a PDF holds: by the lean reader where it understands the file to the last byte, else by pyHanko's."""

from __future__ import annotations

import zlib
from typing import Final

from longterm.model import Contents, Signed, Store, placed
from sealcore.errors import Code, VermilionError
from signer.pdf.full.update import refuse_what_is_no_pdf
from signer.pdf.lean.file import File
from signer.pdf.lean.form import MOST_FIELDS
from signer.pdf.lean.grammar import NotLeanError, integer, is_reference, items, reference
from signer.pdf.lean.text import read_text

# What reading strangers' bytes strictly may raise: numbers that are none, rows that are not there, data that is not compressed.
NOT_UNDERSTOOD: Final = (NotLeanError, ValueError, LookupError, OverflowError, zlib.error, RecursionError, MemoryError)
STORE_KEYS: Final = (b"Certs", b"CRLs", b"OCSPs")  # in the order of ``Store``
MOST_SIGNATURES: Final = 256
MOST_CERTIFICATES: Final = 1024
MOST_CRLS: Final = 256
MOST_OCSPS: Final = 1024
TIMESTAMP_SUBFILTER: Final = "ETSI.RFC3161"


def read(document: bytes) -> Contents:
    """Signatures and DSS. DOCUMENT_…, SIGNATURE_BROKEN; DOCUMENT_UNSIGNED where there is no signature."""
    refuse_what_is_no_pdf(document)
    try:
        contents = read_lean(document)
    except NOT_UNDERSTOOD:
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


def read_lean(document: bytes) -> Contents:
    """Raises NotLeanError, or what numbers and slices raise, where the document is not fully understood."""
    file = File(document)
    catalog = file.entries(file.trailer.get(b"Root")) or {}
    form = file.entries(catalog.get(b"AcroForm")) or {}
    signed: list[Signed] = []
    seen: set[int] = set()
    stack = [(each, b"", "") for each in file.elements(form.get(b"Fields"))]
    while stack:
        value, kind, above = stack.pop()
        number, generation = reference(value)
        field = file.dictionary(number, generation)
        if field is None or number in seen or len(seen) > MOST_FIELDS:
            raise NotLeanError("a field is missing, or there twice, or there are very many")
        seen.add(number)
        kind, name = field.entries.get(b"FT", kind), _name(field.entries.get(b"T"), above)
        if is_reference(kind or b"?"):
            raise NotLeanError("the kind of a field is written oddly")
        if kind == b"/Sig" and b"V" in field.entries:
            one = _signed(document, file, field.entries[b"V"], name)
            signed += [one] if one is not None else []
        stack += [(each, kind, name) for each in file.elements(field.entries.get(b"Kids"))]
    return ordered(signed, Store(*_store(file, catalog)))


def _name(raw: bytes | None, above: str) -> str:
    if raw is None:
        return above
    own = read_text(raw)
    if own is None:
        raise NotLeanError("the name of a field is coded oddly")
    return f"{above}.{own}" if above else own


def _signed(document: bytes, file: File, value: bytes, name: str) -> Signed | None:
    entries = file.entries(value)
    if entries is None or b"ByteRange" not in entries:
        return None
    contents = entries.get(b"Contents", b"")
    if not contents.startswith(b"<") or contents.startswith(b"<<"):
        raise NotLeanError("the value of a signature is written oddly")
    byte_range = [integer(each) for each in items(entries[b"ByteRange"])]
    is_timestamp = entries.get(b"SubFilter") == f"/{TIMESTAMP_SUBFILTER}".encode()
    return placed(document, name, is_timestamp, byte_range, bytes.fromhex(contents[1:-1].decode("ascii")))


def _store(file: File, catalog: dict[bytes, bytes]) -> list[tuple[bytes, ...]]:
    entries = file.entries(catalog.get(b"DSS")) or {}
    return [tuple(stream(file, each) for each in file.elements(entries.get(key))) for key in STORE_KEYS]


def stream(file: File, value: bytes) -> bytes:
    """The decoded data of a stream that is referred to."""
    found = file.dictionary(*reference(value))
    if found is None:
        raise NotLeanError("a stream is missing")
    return file.data(found)
