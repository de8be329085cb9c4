"""The encodings below every signed statement: RFC 8785 JSON, strict base64url, deterministic CBOR, and checks of plain values."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import cbor2
import rfc8785

from sealcore.errors import Code, VermilionError

MOST_INTEGER = 2**53 - 1  # RFC 8785 §3.2.2.3: integers that every JSON reader takes whole
SHA256_BYTES = 32
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_URN = re.compile(r"[!-~]{1,255}", re.ASCII)


def canonical_json(value: Any) -> bytes:
    """RFC 8785 form of a JSON value; raises INVALID_ARGUMENT for what has none (floats that are not finite, lone surrogates)."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError):
        raise VermilionError(Code.INVALID_ARGUMENT, "the value has no canonical JSON form") from None


def strict_json(data: bytes, code: Code) -> Any:
    """The value of canonical JSON; raises ``code`` for anything that is not exactly its own canonical form.

    This refuses repeated members, floats written otherwise, spaces and every other second spelling at once.
    """
    try:
        # Written again and compared: what JSON leaves open (repeated members, 1.0 for 1, escapes)
        # would let two programs read two things.
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
        if canonical_json(value) == data:
            return value
    except (ValueError, RecursionError, VermilionError):
        pass
    raise VermilionError(code, "the JSON is not in the canonical form of RFC 8785")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def canonical_cbor(value: Any) -> bytes:
    """Deterministic CBOR (RFC 8949 §4.2.1). Keys are text, for which cbor2's canonical order is the bytewise one."""
    return cbor2.dumps(value, canonical=True)


def ordered_cbor(value: Any) -> bytes:
    """The same for maps whose keys the caller has put in order, shorter before longer and then bytewise: half the time a document.

    Only for structures whose order a test holds against ``canonical_cbor``.
    """
    return cbor2.dumps(value)


def b64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: Any, code: Code) -> bytes:
    """The inverse; raises ``code`` for padding, other alphabets and loose bits at the end."""
    if isinstance(text, str):
        try:
            data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            # base64 ignores loose bits in the last character: one value would have several
            # spellings, and so one token several texts.
            if b64url(data) == text:
                return data
        except (UnicodeEncodeError, binascii.Error):
            pass
    raise VermilionError(code, "a value is not base64url without padding")


def is_integer(value: Any, least: int = 0, most: int = MOST_INTEGER) -> bool:
    """Whether ``value`` is an integer (not a bool) within the bounds."""
    # Python's bool is an int; JSON's true is no number.
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_text(value: Any, most: int = 2000) -> bool:
    """Whether ``value`` is a non-empty text of at most ``most`` characters, without control characters."""
    return isinstance(value, str) and 0 < len(value) <= most and _CONTROL.search(value) is None


def is_uuid7(value: Any) -> bool:
    """Whether ``value`` is a UUIDv7 in its canonical spelling."""
    return isinstance(value, str) and _UUID7.fullmatch(value) is not None


def is_urn(value: Any) -> bool:
    """Whether ``value`` can be a SAN URI: printable ASCII without spaces."""
    return isinstance(value, str) and _URN.fullmatch(value) is not None


def is_digest(value: Any) -> bool:
    """Whether ``value`` is 32 bytes."""
    return isinstance(value, bytes) and len(value) == SHA256_BYTES


def require(condition: bool, reason: str, code: Code = Code.INVALID_ARGUMENT) -> None:
    """Raises ``code`` with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise VermilionError(code, reason)


def members(value: Any, names: frozenset[str], code: Code, what: str) -> Mapping[str, Any]:
    """``value`` as an object with exactly the members ``names``; raises ``code`` naming the first that is missing or unknown."""
    if not isinstance(value, dict):
        raise VermilionError(code, f"{what} is not an object")
    for name in sorted(value.keys() - names):
        raise VermilionError(code, f"{what} has the unknown member {name[:40]!r}")
    for name in sorted(names - value.keys()):
        raise VermilionError(code, f"{what} lacks {name!r}")
    return value
