"""Reads a sealed document back before it is released: is the signature found, does it cover everything, does it verify?

Shares no code with the writers. What a damaged document hides from readers is caught here (or before, in the sandbox, by PDFium).
The usual update is read by ``readback_fast``; every other document by the general ``Reader``, whose word is final.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sealcore.errors import Code, VermilionError
from signer.pdf.plan import Document
from signer.pdf.readback import quick_signature as readback_fast
from signer.pdf.readback.cms import MismatchError, check_cms
from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import WHITE, Hex, UnreadableError, plain_text


@dataclass(frozen=True, slots=True)
class Located:
    """The signature as a reader finds it: the hole's bytes and the byte range."""

    contents: bytes
    byte_range: tuple[int, int, int, int]


def locate(file: bytes, field_name: str) -> Located:
    """Walks startxref → cross-references → catalog → form → fields → our field → its signature; DOCUMENT_READBACK when it is not there.

    The byte range must cover the whole file but the hole, and the hole must be what the range leaves out.
    """
    try:
        reader = Reader(file)
        signature = _signature(reader, field_name)
        return _covering(signature, file)
    except (UnreadableError, RecursionError, ValueError, OverflowError) as fault:
        reason = str(fault) if isinstance(fault, UnreadableError) else "it is malformed"
        raise VermilionError(Code.DOCUMENT_READBACK, f"the seal is not found when the document is read back: {reason}") from fault


def read_back(
    document: Document,
    suffix: bytes,
    *,
    document_digest: hashlib._Hash,
    field_name: str,
    expected_spki_sha256: bytes,
    expected_digest: bytes,
    hash_name: str,
) -> None:
    """Raises DOCUMENT_READBACK unless ``document`` with ``suffix`` behind it holds, in the field of that name, a signature that

    covers everything but itself, has the expected digest, verifies with the key of the expected SPKI, names its certificate in the
    signed attributes, and carries a timestamp over its value.

    document_digest  ``hash_name`` over the whole document; it is copied, never updated
    """
    size_bytes = len(document)
    found = readback_fast.find(suffix, size_bytes, field_name)
    if found is not None:
        contents, start, end = found.contents, found.start, found.end
    else:
        located = locate(document[:] + suffix, field_name)
        contents = located.contents
        start, end = located.byte_range[1] - size_bytes, located.byte_range[2] - size_bytes
        if start < 0:
            raise VermilionError(Code.DOCUMENT_READBACK, "the seal that is found lies within the document as it was before")
    digest = _digest(document_digest, suffix, start, end)
    if document_digest.name != hash_name or digest != expected_digest:
        raise VermilionError(Code.DOCUMENT_READBACK, "the sealed bytes are not those that were hashed")
    try:
        check_cms(contents, digest, hash_name, expected_spki_sha256)
    except MismatchError as fault:
        raise VermilionError(Code.DOCUMENT_READBACK, f"the seal does not verify when it is read back: {fault}") from fault


def _digest(document_digest: hashlib._Hash, suffix: bytes, start: int, end: int) -> bytes:
    """Over the byte ranges: the first always ends in the suffix."""
    digest, parts = document_digest.copy(), memoryview(suffix)
    digest.update(parts[:start])
    digest.update(parts[end:])
    return digest.digest()


def _signature(reader: Reader, field_name: str) -> dict[str, Any]:
    root = _dictionary(reader, reader.trailer.get("Root"), "catalog")
    form = _dictionary(reader, root.get("AcroForm"), "form")
    fields = reader.resolve(form.get("Fields"))
    if not isinstance(fields, list):
        raise UnreadableError("the form has no fields")
    for each in reversed(fields):  # ours came last
        field = reader.resolve(each)
        if isinstance(field, dict) and field.get("FT") == "Sig" and plain_text(field.get("T")) == field_name:
            return _dictionary(reader, field.get("V"), "signature")
    raise UnreadableError("the form does not have the seal's field")


def _dictionary(reader: Reader, value: Any, what: str) -> dict[str, Any]:
    value = reader.resolve(value)
    if not isinstance(value, dict):
        raise UnreadableError(f"there is no {what}")
    return value


def _covering(signature: dict[str, Any], file: bytes) -> Located:
    contents, byte_range = signature.get("Contents"), signature.get("ByteRange")
    if not isinstance(contents, Hex):
        raise UnreadableError("the signature has no contents")
    if any(white in file[contents.start : contents.end] for white in WHITE):  # harmless, but never ours
        raise UnreadableError("the signature's contents are not digits alone")
    expected = [0, contents.start, contents.end, len(file) - contents.end]
    if byte_range != expected:
        raise UnreadableError("the signature does not cover the whole file but itself")
    return Located(contents.value, (0, contents.start, contents.end, len(file) - contents.end))
