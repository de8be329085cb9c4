"""What a worker answers to the front's queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import cbor2


@dataclass(frozen=True)
class KeyFacts:
    """A key of the token, as the token itself describes it."""

    label: str
    algorithm: str
    spki_sha256: bytes
    extractable: bool
    sensitive: bool


def encode_keys(keys: Sequence[KeyFacts]) -> bytes:
    """As they are sent to the front."""
    return cbor2.dumps([astuple(key) for key in keys])


def decode_keys(data: bytes) -> list[KeyFacts]:
    """The inverse."""
    return [KeyFacts(*row) for row in cbor2.loads(data)]
