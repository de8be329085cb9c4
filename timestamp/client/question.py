"""The request for one timestamp (RFC 3161 §2.4.1)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from sealcore.errors import Code, VermilionError
from timestamp.der import BOOLEAN, NULL, OCTET_STRING, SEQUENCE, integer, object_identifier, tlv
from timestamp.template import HASHES
from timestamp.unit import DIGEST_SIZES

CONTENT_TYPE: Final = "application/timestamp-query"
_NONCE_BYTES: Final = 8


def draw_nonce() -> int:
    """A random nonce of 63 bits: never 0, and positive also for readers that take it as a signed 64-bit number."""
    return int.from_bytes(os.urandom(_NONCE_BYTES), "big") >> 1 | 1


@dataclass(frozen=True)
class Question:
    """A digest to be timestamped, and the nonce that ties the answer to this request.

    policy_oid  the policy to ask for; None leaves it to the TSA

    Raises INVALID_ARGUMENT if the digest's length is not that of ``hash_name`` (sha256, sha384, sha512).
    """

    digest: bytes
    hash_name: str = "sha256"
    policy_oid: str | None = None
    nonce: int = field(default_factory=draw_nonce)

    def __post_init__(self) -> None:
        if DIGEST_SIZES.get(self.hash_name) != len(self.digest):
            raise VermilionError(Code.INVALID_ARGUMENT, f"a digest of {len(self.digest)} bytes by {self.hash_name} cannot be stamped")

    def encoded(self) -> bytes:
        """The TimeStampReq, DER; it asks for the TSA's certificates."""
        algorithm = tlv(SEQUENCE, HASHES[self.hash_name], tlv(NULL))  # with NULL, which every TSA knows (RFC 5754 §2 allows both)
        parts = [integer(1), tlv(SEQUENCE, algorithm, tlv(OCTET_STRING, self.digest))]
        if self.policy_oid is not None:
            parts.append(object_identifier(self.policy_oid))
        return tlv(SEQUENCE, *parts, integer(self.nonce), tlv(BOOLEAN, b"\xff"))
