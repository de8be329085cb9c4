"""How an update goes on from the document it was made for: the same trailer, the newest section before it, numbers that nothing refers to."""

from __future__ import annotations

import re
from typing import Any, Final

from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import BLANK, WHITE, Hex, UnreadableError, same

_LARGEST_NUMBER: Final = 4_000_000  # of an object; what is said of higher ones counts for nothing
_IDENTIFIER_BYTES: Final = 16
_OF_THE_SECTION: Final = {"Size", "Prev", "ID", "Type", "W", "Index", "Length", "Filter", "DecodeParms"}
_NEEDED: Final = ("Root", "Encrypt", "Info")


def require_continued(before: bytes, old: Reader, new: Reader, written: set[int]) -> None:
    """The newest section of ``new`` continues ``old``, the file ``before`` it; ``written`` are the numbers of its objects."""
    older = old.sections()
    for key in new.trailer.keys() - _OF_THE_SECTION:
        told: Any = next((trailer[key] for _, trailer in older if key in trailer), None)
        _require(key != "XRefStm" and same(told, new.trailer[key]), f"the trailer has another /{key}")
    for key in _NEEDED:
        _require(key not in old.trailer or same(old.trailer[key], new.trailer.get(key)), f"the trailer has another /{key}")
    _require_identified(next((trailer["ID"] for _, trailer in older if "ID" in trailer), None), new.trailer["ID"])
    start, end = sorted((new.trailer["Prev"], old.newest_at))
    _require(not before[start:end].strip(WHITE), "the update continues an older revision")
    _require(before[new.trailer["Prev"]] not in WHITE, "the update does not say where the revision before it is")
    known = {number for entries, _ in older for number, entry in entries.items() if entry.offset is not None or entry.stream is not None}
    _require(new.trailer["Size"] > max({each for each in known if each <= _LARGEST_NUMBER} | written), "the update hides objects")
    _require_unreferred({number for number in written if old.generation(number) is None}, [before, *old.object_streams()])


def _require_identified(old: Any, new: Any) -> None:
    """The first half stays; the second is a hash, which changes with each update (ISO 32000-2 §14.4)."""
    first, second = new
    _require(isinstance(second, Hex) and len(second.value) == _IDENTIFIER_BYTES, "the identifier of the document holds something else")
    if isinstance(old, list) and old and isinstance(old[0], bytes | Hex):
        _require(same(first, old[0]), "the document has another identifier")
    else:
        _require(isinstance(first, Hex) and len(first.value) == _IDENTIFIER_BYTES, "the identifier of the document holds something else")


def _require_unreferred(numbers: set[int], texts: list[bytes]) -> None:
    """Nothing in the document refers to a new object: what was nowhere would else be there."""
    found = [text for text in texts if any(b"%d" % number in text for number in numbers)]
    if found:
        these = b"|".join(b"%d" % number for number in sorted(numbers))
        reference = re.compile(
            rb"(?<![0-9])0*(?:%b)(?:\.0*)?(?=[%b%%])%b\d+(?=[%b%%])%bR(?![A-Za-z0-9])" % (these, WHITE, BLANK, WHITE, BLANK)
        )
        _require(not any(reference.search(text) for text in found), "the document refers to what is new")


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise UnreadableError(reason)
