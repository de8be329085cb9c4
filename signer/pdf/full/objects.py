"""PDF values that pyHanko has no class for, and careful lookups in untrusted documents."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfDecodeLimitError

from sealcore.errors import Code, VermilionError
from signer.pdf.marks import decimal_text

_RANGE_WIDTH: Final = 50  # "[0 n n n]" with three numbers of up to 14 digits


def name(text: str) -> generic.NameObject:
    """A PDF name; ``text`` without the slash."""
    return generic.NameObject("/" + text)


def number(value: int) -> generic.NumberObject:
    """A PDF integer."""
    return generic.NumberObject(value)


def dictionary(**entries: Any) -> generic.DictionaryObject:
    """A PDF dictionary from keyword arguments named as the keys."""
    return generic.DictionaryObject({name(key): value for key, value in entries.items()})


class Real(generic.PdfObject):
    """A number written in plain decimals, never with an exponent, at most six places."""

    def __init__(self, value: float) -> None:
        self.value = value

    def write_to_stream(self, stream: Any, handler: Any = None, container_ref: Any = None) -> None:
        stream.write(decimal_text(self.value).encode("ascii"))


def reals(*values: float) -> generic.ArrayObject:
    """A PDF array of numbers."""
    return generic.ArrayObject([Real(value) for value in values])


class Hole(generic.PdfObject):
    """The /Contents of a signature before it is made: zeros, never encrypted (ISO 32000-2 §7.6.2); knows where it was written."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.offset: int | None = None

    def write_to_stream(self, stream: Any, handler: Any = None, container_ref: Any = None) -> None:
        self.offset = stream.tell()
        stream.write(b"<" + b"0" * (2 * self.size_bytes) + b">")


class ByteRange(generic.PdfObject):
    """The /ByteRange, of fixed width because its numbers are known only after everything has been written."""

    def __init__(self) -> None:
        self.offset: int | None = None

    def write_to_stream(self, stream: Any, handler: Any = None, container_ref: Any = None) -> None:
        self.offset = stream.tell()
        stream.write(b" " * _RANGE_WIDTH)

    @staticmethod
    def text(byte_range: tuple[int, int, int, int]) -> bytes:
        """The text that replaces the blanks."""
        numbers = " ".join(str(value) for value in byte_range)
        return f"[{numbers}]".ljust(_RANGE_WIDTH).encode("ascii")


class Appendix(io.BytesIO):
    """A stream that begins where the document ends, so that offsets are those of the whole file without copying it."""

    def __init__(self, document_size_bytes: int) -> None:
        super().__init__()
        self._start = document_size_bytes

    def tell(self) -> int:
        """Offset in the whole file."""
        return self._start + super().tell()


def found(holder: generic.DictionaryObject, key: str) -> Any:
    """The value of a key, with references followed; None if it is missing or null."""
    try:
        value = holder[key]
    except KeyError:
        return None
    return None if isinstance(value, generic.NullObject) else value


def found_dictionary(holder: generic.DictionaryObject, key: str) -> generic.DictionaryObject | None:
    """Like ``found``; None also if the value is not a dictionary."""
    value = found(holder, key)
    return value if isinstance(value, generic.DictionaryObject) else None


def found_array(holder: generic.DictionaryObject, key: str) -> generic.ArrayObject | None:
    """Like ``found``; None also if the value is not an array."""
    value = found(holder, key)
    return value if isinstance(value, generic.ArrayObject) else None


@contextmanager
def plainly(what: str) -> Iterator[None]:
    """Turns whatever pyHanko raises over an untrusted document into one typed error; ``what`` names the part being read."""
    try:
        yield
    except VermilionError:
        raise
    except (RecursionError, MemoryError, PdfDecodeLimitError):
        raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"{what} takes more depth or memory than one document may take") from None
    except Exception as fault:
        raise VermilionError(Code.DOCUMENT_DAMAGED, f"{what} cannot be read") from fault
