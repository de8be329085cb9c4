"""Text strings (ISO 32000-2 §7.9.2.2), written and read."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_NO_ESCAPE_NEEDED: Final = re.compile(r"[ -'*-\[\]-~]*")
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|\r\n|[\x00-\xff])")
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}
_SPACES: Final = b"\t\n\x0c\r "


@lru_cache(maxsize=256)
def text_string(text: str) -> bytes:
    """Plain ASCII in parentheses; anything else as UTF-16 with its byte order mark, in hexadecimal."""
    if _NO_ESCAPE_NEEDED.fullmatch(text):
        return b"(" + text.encode("ascii") + b")"
    return b"<FEFF" + text.encode("utf-16-be").hex().encode("ascii") + b">"


def read_text(raw: bytes) -> str | None:
    """The text of a raw string; None if it is neither UTF-16 with byte order mark nor plain ASCII: readers may then disagree."""
    if raw.startswith(b"<"):
        digits = raw[1:-1].translate(None, _SPACES)
        value = bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
    else:
        value = _ESCAPE.sub(_unescaped, raw[1:-1]) if b"\\" in raw else raw[1:-1]
    if value.startswith(b"\xfe\xff"):
        return value[2:].decode("utf-16-be")
    return value.decode("ascii") if value.isascii() and (not value or min(value) >= 0x20) and b"\x7f" not in value else None


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if escape.isdigit():
        return bytes((int(escape, 8) & 0xFF,))
    return _ESCAPES.get(escape, escape)
