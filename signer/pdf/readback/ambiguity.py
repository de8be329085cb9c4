"""Objects that PDF readers understand differently. If a seal had to rewrite one, the page might look different afterwards, in some readers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import DisagreementError, Doubtful, Ref, UnreadableError

_LED_TO: Final = ("AcroForm", "Fields", "Annots")


def require_plain(reader: Reader, numbers: Iterable[int]) -> None:
    """DisagreementError if one of these objects has a key twice, or reaches form, fields or annotations through a reference to a reference."""
    for number in numbers:
        stack: list[Any] = [reader.resolve(Ref(number, 0))]
        while stack:
            value = stack.pop()
            if isinstance(value, Doubtful):
                raise DisagreementError(f"an object that the seal changes says /{value.key} twice, and readers do not agree which counts")
            if isinstance(value, dict):
                if any(isinstance(value.get(key), Ref) and isinstance(reader.object(value[key]), Ref) for key in _LED_TO):
                    raise DisagreementError("an object that the seal changes is led to by a reference to a reference")
                stack += value.values()
            elif isinstance(value, list):
                stack += value


def require_plain_objects(file: bytes, numbers: Iterable[int]) -> None:
    """The same check while an update is being prepared, so that the document is blamed (DOCUMENT_DAMAGED) and not the writer."""
    try:
        require_plain(Reader(file), numbers)
    except DisagreementError as fault:
        raise VermilionError(Code.DOCUMENT_DAMAGED, str(fault)) from fault
    except (UnreadableError, RecursionError, ValueError, OverflowError):
        return  # a file that our reader cannot read is for PDFium to judge now, and for the account before anything is signed
