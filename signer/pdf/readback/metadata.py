"""What a document's XMP metadata declare. The writers ask the same, in code of their own."""

from __future__ import annotations

import re
from typing import Final

_PDFA: Final = b"http://www.aiim.org/pdfa/ns/id/"
_CHARACTER: Final = re.compile(rb"&#(?:x0*([0-9A-Fa-f]{1,6})|0*([0-9]{1,7}));")  # XML 1.0 §4.1


def declares_pdfa(metadata: bytes) -> bool:
    """Whether the PDF/A namespace occurs (ISO 19005-1 §6.7.11), in any Unicode encoding."""
    text = metadata.replace(b"\x00", b"")  # what is left of ASCII characters in UTF-16 and UTF-32
    return _PDFA in _CHARACTER.sub(_spelled, text)


def _spelled(reference: re.Match[bytes]) -> bytes:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    return bytes((code,)) if code < 0x80 else reference[0]
