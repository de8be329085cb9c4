"""Reads a sealed document back before it is released: is the signature found, does it cover everything, does it verify?

Shares no code with the writer. What a damaged document hides from readers is caught here (or before, in the sandbox, by PDFium).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sealcore.errors import Code, VermilionError
from signer.pades.readback_cms import MismatchError, check_cms
from signer.pades.reader import Reader
from signer.pades.syntax import Hex, UnreadableError


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
    document: bytes,
    suffix: bytes,
    *,
    field_name: str,
    expected_spki_sha256: bytes,
    expected_digest: bytes,
    hash_name: str = "sha256",
) -> None:
    """Raises DOCUMENT_READBACK unless ``document`` with ``suffix`` behind it holds, in the field of that name, a signature that

    covers everything but itself, has the expected digest, verifies with the key of the expected SPKI, names its certificate in the
    signed attributes, and carries a timestamp over its value.
    """
    file = document + suffix
    located = locate(file, field_name)
    _start, first, second, _rest = located.byte_range
    if first < len(document):
        raise VermilionError(Code.DOCUMENT_READBACK, "the seal that is found lies within the document as it was before")
    digest = hashlib.new(hash_name, memoryview(file)[:first])
    digest.update(memoryview(file)[second:])
    if digest.digest() != expected_digest:
        raise VermilionError(Code.DOCUMENT_READBACK, "the sealed bytes are not those that were hashed")
    try:
        check_cms(located.contents, digest.digest(), hash_name, expected_spki_sha256)
    except MismatchError as fault:
        raise VermilionError(Code.DOCUMENT_READBACK, f"the seal does not verify when it is read back: {fault}") from fault


def _signature(reader: Reader, field_name: str) -> dict[str, Any]:
    root = _dictionary(reader, reader.trailer.get("Root"), "catalog")
    form = _dictionary(reader, root.get("AcroForm"), "form")
    fields = reader.resolve(form.get("Fields"))
    if not isinstance(fields, list):
        raise UnreadableError("the form has no fields")
    for each in reversed(fields):  # ours came last
        field = reader.resolve(each)
        if isinstance(field, dict) and field.get("FT") == "Sig" and (reader.encrypted or _text(field.get("T")) == field_name):
            return _dictionary(reader, field.get("V"), "signature")
    raise UnreadableError("the form does not have the seal's field")


def _dictionary(reader: Reader, value: Any, what: str) -> dict[str, Any]:
    value = reader.resolve(value)
    if not isinstance(value, dict):
        raise UnreadableError(f"there is no {what}")
    return value


def _text(value: Any) -> str | None:
    raw = value.value if isinstance(value, Hex) else value
    if not isinstance(raw, bytes):
        return None
    return raw[2:].decode("utf-16-be", "replace") if raw.startswith(b"\xfe\xff") else raw.decode("latin-1")


def _covering(signature: dict[str, Any], file: bytes) -> Located:
    contents, byte_range = signature.get("Contents"), signature.get("ByteRange")
    if not isinstance(contents, Hex):
        raise UnreadableError("the signature has no contents")
    expected = [0, contents.start, contents.end, len(file) - contents.end]
    if byte_range != expected:
        raise UnreadableError("the signature does not cover the whole file but itself")
    return Located(contents.value, (0, contents.start, contents.end, len(file) - contents.end))
