"""Parses timestamp requests, strictly, and encodes responses (RFC 3161 §2.4).

A request that cannot be served is answered with the PKIFailureInfo bit that says why. Parsing raises nothing but ``RefusedError``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from sealcore import compiled
from timestamp.der import (
    BOOLEAN,
    CONTEXT_0,
    INTEGER,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    UTF8_STRING,
    DerError,
    Reader,
    integer,
    named_bits,
    object_identifier,
    read_integer,
    tlv,
)
from timestamp.template import HASHES, NONCE_LIMIT_BYTES
from timestamp.unit import DIGEST_SIZES

if compiled.AVAILABLE:
    from sealcore.compiled import core

REQUEST_LIMIT_BYTES: Final = 4096  # an honest request has 40 to 200 bytes
_GRANTED: Final = tlv(SEQUENCE, integer(0))
_REJECTION: Final = 2
_HASH_NAMES: Final = {oid: name for name, oid in HASHES.items()}


class Failure(IntEnum):
    """PKIFailureInfo (RFC 3161 §2.4.2), by the number of the bit."""

    BAD_ALGORITHM = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    SYSTEM_FAILURE = 25


class RefusedError(Exception):
    """The request gets no token; says why."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TimestampRequest:
    """A TimeStampReq that can be served.

    message_imprint, nonce  their encodings in the request, which the token must repeat
    """

    message_imprint: bytes
    nonce: bytes | None
    cert_req: bool


def parse(data: bytes, *, policy_oid: str) -> TimestampRequest:
    """Reads a TimeStampReq; raises ``RefusedError``."""
    told = core.timestamp_request(data, _encoded(policy_oid)) if compiled.AVAILABLE else None
    return parse_fully(data, policy_oid=policy_oid) if told is None else TimestampRequest(*told)


_encoded: Final = lru_cache(object_identifier)


def parse_fully(data: bytes, *, policy_oid: str) -> TimestampRequest:
    """The same where there is no compiled core, and for what it does not take: this says why."""
    try:
        outer = Reader(data)
        body = Reader(outer.take(SEQUENCE))
        outer.end()
        return _parse_body(body, policy_oid)
    except DerError as fault:
        raise RefusedError(Failure.BAD_DATA_FORMAT, f"the request is not a TimeStampReq: {fault}") from None


def _parse_body(body: Reader, policy_oid: str) -> TimestampRequest:
    if read_integer(body.take(INTEGER)) != 1:
        raise RefusedError(Failure.BAD_REQUEST, "the request's version is not 1")
    message_imprint = _parse_imprint(body)
    if body.next_is(OBJECT_IDENTIFIER) and body.take_whole(OBJECT_IDENTIFIER)[0] != object_identifier(policy_oid):
        raise RefusedError(Failure.UNACCEPTED_POLICY, f"this unit stamps under the policy {policy_oid} alone")
    nonce = None
    if body.next_is(INTEGER):
        nonce, content = body.take_whole(INTEGER)
        if (read_integer(content).bit_length() + 7) // 8 > NONCE_LIMIT_BYTES:
            raise RefusedError(Failure.BAD_REQUEST, f"the nonce has more than {NONCE_LIMIT_BYTES} bytes")
    cert_req = body.next_is(BOOLEAN) and _parse_boolean(body.take(BOOLEAN))
    if body.next_is(CONTEXT_0):
        raise RefusedError(Failure.UNACCEPTED_EXTENSION, "this unit knows no extension of a request")
    body.end()
    return TimestampRequest(message_imprint, nonce, cert_req)


def _parse_imprint(body: Reader) -> bytes:
    whole, content = body.take_whole(SEQUENCE)
    parts = Reader(content)
    algorithm = Reader(parts.take(SEQUENCE))
    oid = algorithm.take_whole(OBJECT_IDENTIFIER)[0]
    digest = parts.take(OCTET_STRING)
    parts.end()
    hash_name = _HASH_NAMES.get(oid)
    if hash_name is None:
        raise RefusedError(Failure.BAD_ALGORITHM, f"an imprint is made by one of {', '.join(HASHES)}")
    # Parameters that are absent or NULL mean the same (RFC 5754 §2); the token repeats the
    # imprint as it came.
    if not algorithm.at_end and (not algorithm.next_is(NULL) or algorithm.take(NULL) or not algorithm.at_end):
        raise RefusedError(Failure.BAD_ALGORITHM, "the hash algorithm has parameters; it takes none, or NULL (RFC 5754 §2)")
    if len(digest) != DIGEST_SIZES[hash_name]:
        raise RefusedError(Failure.BAD_DATA_FORMAT, f"the imprint has {len(digest)} bytes; {hash_name} gives {DIGEST_SIZES[hash_name]}")
    return whole


def _parse_boolean(content: bytes) -> bool:
    if len(content) != 1:
        raise DerError("a BOOLEAN has one octet")
    return content != b"\x00"


def granted(token: bytes) -> bytes:
    """A TimeStampResp that carries ``token``."""
    return tlv(SEQUENCE, _GRANTED, token)


def rejection(refusal: RefusedError) -> bytes:
    """A TimeStampResp that says why there is no token."""
    text = tlv(SEQUENCE, tlv(UTF8_STRING, refusal.reason.encode()))
    return tlv(SEQUENCE, tlv(SEQUENCE, integer(_REJECTION), text, named_bits(refusal.failure)))
