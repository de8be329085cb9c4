"""Reads a sealed document back before it is released: are its bytes those that were accounted for, and is the seal in the hole ours?

The update was read to the last byte before it was signed (``accounted``), and reading the same bytes again would find the same. What can
have gone wrong since is that bytes are no longer the same, or that the new ones in the hole are wrong. So the sealed update is compared with
the accounted one outside of the hole, and the hole must hold one CMS over the accounted digest, followed by zeros.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Final

from sealcore import compiled
from sealcore.errors import Code, VermilionError
from signer.pdf.readback.accounted import Accounted
from signer.pdf.readback.cms import MismatchError, check_cms
from signer.pdf.readback.known_cms import KnownCms

if compiled.AVAILABLE:
    from sealcore.compiled import core

_LENGTH_DIGITS: Final = 12  # tag and length of any CMS that fits into a hole


def read_back(accounted: Accounted | core.Accounted, sealed: bytes, *, spki_sha256: bytes, known: KnownCms) -> None:
    """DOCUMENT_READBACK unless ``sealed`` is the accounted update with a valid signature in its hole.

    That signature is over the accounted digest, verifies with the key of that SPKI, names its certificate in the signed attributes, and
    carries a timestamp over its value.

    known  the CMS of keys that were judged in full before, which the caller keeps
    """
    update, (start, end) = accounted.update, accounted.hole
    if known.seals(update, (start, end), accounted.digest, accounted.hash_name, sealed, spki_sha256):
        return
    if len(sealed) != len(update) or not sealed.startswith(update[: start + 1]) or not sealed.endswith(update[end - 1 :]):
        raise VermilionError(Code.DOCUMENT_READBACK, "the sealed bytes are not those that were accounted for")
    try:
        check_cms(_read(sealed, start + 1, end - 1), accounted.digest, accounted.hash_name, spki_sha256, known)
    except MismatchError as fault:
        raise VermilionError(Code.DOCUMENT_READBACK, f"the seal does not verify when it is read back: {fault}") from fault


def _read(sealed: bytes, start: int, end: int) -> bytes:
    """The DER value that these hexadecimal digits begin with; all digits after it must be zeros."""
    try:
        head = unhexlify(sealed[start : min(start + _LENGTH_DIGITS, end)])
        count = head[1] & 0x7F if head[1] & 0x80 else 0
        size = 2 + count + int.from_bytes(head[2 : 2 + count], "big") if count else 2 + head[1]
        behind = start + 2 * size
        # The byte range leaves the hole out, so what stands behind the CMS is under no signature:
        # only zeros may.
        if count > 4 or behind > end or sealed.count(b"0", behind, end) != end - behind:
            raise MismatchError("something follows it in the hole")
        return unhexlify(sealed[start:behind])
    except (ValueError, IndexError):
        raise MismatchError("the hole holds something else than a signature") from None
