"""What readers take in different ways in the objects that a seal has to change: written anew, it would show otherwise than it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import DisagreementError, Doubtful, Ref

_LED_TO: Final = ("AcroForm", "Fields", "Annots")


def require_plain(reader: Reader, numbers: Iterable[int]) -> None:
    """DisagreementError where one of these objects has a key twice, or leads to what it must lead to by a reference to a reference."""
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
