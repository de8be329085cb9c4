"""Makes pyHanko keep the exact spelling of names and numbers.

pyHanko 0.38 (pinned) refuses a name with a byte above 0x7E that is not escaped, as GBK font names in Chinese documents are, and
writes names that are not UTF-8 in other bytes than it read them: a page rewritten so would lose its fonts. It also writes small
numbers with an exponent, which PDF does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyhanko.pdf_utils import generic

_PLAIN: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"#()<>[]{}/%")
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")


class ExactName(generic.NameObject):
    """A name that is written with the same bytes with which it was read."""

    def write_to_stream(self, stream: Any, handler: Any = None, container_ref: Any = None) -> None:
        raw = self[1:].encode("utf-8", "surrogateescape")
        stream.write(b"/" + b"".join(bytes((byte,)) if byte in _PLAIN else b"#%02X" % byte for byte in raw))


def read_name(raw: bytes) -> ExactName:
    """The name of these bytes (without slash), escapes expanded (ISO 32000-2 §7.3.5); a malformed escape stands for itself."""
    expanded = bytearray()
    position = 0
    while position < len(raw):
        digits = raw[position + 1 : position + 3]
        if raw[position] == 0x23 and len(digits) == 2 and _HEXADECIMAL.issuperset(digits):
            expanded.append(int(digits, 16))
            position += 3
        else:
            expanded.append(raw[position])
            position += 1
    return ExactName("/" + expanded.decode("utf-8", "surrogateescape"))


def _write_number(self: generic.FloatObject, stream: Any, handler: Any = None, container_ref: Any = None) -> None:
    stream.write(format(self, "f").encode("ascii"))


@contextmanager
def exact_names() -> Iterator[None]:
    """While open, pyHanko keeps names and numbers exactly; for one thread of one process (a child of the sandbox)."""
    replacements: tuple[tuple[Any, str, Any], ...] = (
        (generic, "_decode_name", read_name),
        (generic.FloatObject, "write_to_stream", _write_number),
    )
    originals = [getattr(owner, attribute) for owner, attribute, _new in replacements]
    try:
        for owner, attribute, new in replacements:
            setattr(owner, attribute, new)
        yield
    finally:
        for (owner, attribute, _new), original in zip(replacements, originals, strict=True):
            setattr(owner, attribute, original)
