"""Puts the CMS into the hole, as hexadecimal digits; the rest stays zero (ISO 32000-2 §12.8.1)."""

from __future__ import annotations

from binascii import hexlify

from sealcore.errors import Code, VermilionError


def fill(update: bytes, hole: tuple[int, int], cms: bytes) -> bytes:
    """The update with ``cms`` in its hole, from ``<`` to behind ``>``; INTERNAL if it does not fit, since the hole is sized for the longest CMS."""
    # Never truncated: a hole that is too small is a fault of ours, and must not go out as a
    # broken seal.
    start, size_bytes = hole[0] + 1, (hole[1] - hole[0] - 2) // 2
    if len(cms) > size_bytes:
        raise VermilionError(Code.INTERNAL, f"the signature has {len(cms)} bytes, the hole {size_bytes}")
    whole = memoryview(update)
    return b"".join((whole[:start], hexlify(cms), whole[start + 2 * len(cms) :]))
