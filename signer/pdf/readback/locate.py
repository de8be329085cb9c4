"""Finds one signature in a file the way readers do, starting from the end: is it there, and does it cover everything but itself?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sealcore.errors import Code, VermilionError
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


def _signature(reader: Reader, field_name: str) -> dict[str, Any]:
    root = _dictionary(reader, reader.trailer.get("Root"), "catalog")
    form = _dictionary(reader, root.get("AcroForm"), "form")
    fields = reader.resolve(form.get("Fields"))
    if not isinstance(fields, list):
        raise UnreadableError("the form has no fields")
    for each in reversed(fields):  # ours was added last
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
    # Computed from where the hole is found: a byte range that leaves out more would let bytes
    # change under the seal.
    expected = [0, contents.start, contents.end, len(file) - contents.end]
    if byte_range != expected:
        raise UnreadableError("the signature does not cover the whole file but itself")
    return Located(contents.value, (0, contents.start, contents.end, len(file) - contents.end))
