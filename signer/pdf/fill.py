"""Puts the CMS into the hole, as hexadecimal digits; the rest stays zero (ISO 32000-2 §12.8.1)."""

from __future__ import annotations

from binascii import hexlify

from sealcore.errors import Code, VermilionError
from signer.pdf.plan import Prepared


def fill(prepared: Prepared, cms: bytes) -> bytes:
    """The suffix with ``cms`` in its hole; INTERNAL if it does not fit, since the hole is sized for the longest CMS."""
    # Never truncated: a hole that is too small is a fault of ours, and must not go out as a
    # broken seal.
    if len(cms) > prepared.hole_size_bytes:
        raise VermilionError(Code.INTERNAL, f"the signature has {len(cms)} bytes, the hole {prepared.hole_size_bytes}")
    start = prepared.hole_offset - prepared.document_size_bytes + 1
    suffix = memoryview(prepared.suffix)
    return b"".join((suffix[:start], hexlify(cms), suffix[start + 2 * len(cms) :]))
