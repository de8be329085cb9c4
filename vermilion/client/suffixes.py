"""Suffixes that come packed, made whole again."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError


class Suffixes:
    """Of one stream. It keeps what its suffixes have in common, as the digits that it stands for."""

    def __init__(self) -> None:
        self._parts: dict[bytes, bytes] = {}  # by SHA-256

    def take(self, parts: Iterable[bytes]) -> None:
        """The parts that come with a message of results; before its suffixes."""
        for part in parts:
            name = hashlib.sha256(part).digest()
            if name not in self._parts:
                self._parts[name] = binascii.hexlify(part)

    def whole(self, sealed: signer_pb2.Sealed) -> bytes:
        """The suffix of a sealed document; empty when it follows in chunks. INTERNAL when it refers to something that did not come."""
        if not sealed.HasField("packed"):
            return sealed.suffix
        packed = sealed.packed
        hexlify, stretches = binascii.hexlify, packed.stretches
        try:
            pieces = [packed.before, hexlify(stretches[0])]
            for name, stretch in zip(packed.parts, stretches[1:], strict=True):
                pieces += (self._parts[name], hexlify(stretch))
        except (KeyError, IndexError, ValueError):
            raise VermilionError(Code.INTERNAL, "the signer sent a suffix that cannot be put together") from None
        return b"".join((*pieces, b"0" * packed.zeros, packed.after))
