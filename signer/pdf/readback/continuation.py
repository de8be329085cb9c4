"""An update continues the very document it was made for: same trailer, /Prev to the newest section, object numbers that nothing refers to.

Otherwise an update could bring an older revision back to life, or objects that lie in the file unused.
"""

from __future__ import annotations

import re
from typing import Any, Final

from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import BETWEEN, WHITE, Hex, UnreadableError, same

_LARGEST_NUMBER: Final = 4_000_000  # of an object; readers ignore entries for higher ones
_IDENTIFIER_BYTES: Final = 16
_OF_THE_SECTION: Final = {"Size", "Prev", "ID", "Type", "W", "Index", "Length", "Filter", "DecodeParms"}
_NEEDED: Final = ("Root", "Encrypt", "Info")


def require_continued(before: bytes, old: Reader, new: Reader, written: set[int]) -> None:
    """``new`` is the file with the update, ``old`` reads the file ``before`` it; ``written`` are the numbers of the update's objects."""
    older = old.sections()
    for key in new.trailer.keys() - _OF_THE_SECTION:
        told: Any = next((trailer[key] for _, trailer in older if key in trailer), None)
        # An update of ours never makes a hybrid file; /XRefStm in it could lead other readers to
        # other objects.
        _require(key != "XRefStm" and same(told, new.trailer[key]), f"the trailer has another /{key}")
    for key in _NEEDED:
        _require(key not in old.trailer or same(old.trailer[key], new.trailer.get(key)), f"the trailer has another /{key}")
    _require_identified(next((trailer["ID"] for _, trailer in older if "ID" in trailer), None), new.trailer["ID"])
    # The two may differ by blanks, which readers skip.
    start, end = sorted((new.trailer["Prev"], old.newest_at))
    _require(not before[start:end].strip(WHITE), "the update continues an older revision")
    _require(before[new.trailer["Prev"]] not in WHITE, "the update does not say where the revision before it is")
    known = {number for entries, _ in older for number, entry in entries.items() if entry.offset is not None or entry.stream is not None}
    _require(new.trailer["Size"] > max({each for each in known if each <= _LARGEST_NUMBER} | written), "the update hides objects")
    _require_unreferred({number for number in written if old.generation(number) is None}, [before, *old.object_streams()])


def _require_identified(old: Any, new: Any) -> None:
    """The first half of /ID stays the same; the second is a hash that changes with each update (ISO 32000-2 §14.4)."""
    first, second = new
    _require(isinstance(second, Hex) and len(second.value) == _IDENTIFIER_BYTES, "the identifier of the document holds something else")
    if isinstance(old, list) and old and isinstance(old[0], bytes | Hex):
        _require(same(first, old[0]), "the document has another identifier")
    else:
        _require(isinstance(first, Hex) and len(first.value) == _IDENTIFIER_BYTES, "the identifier of the document holds something else")


def _require_unreferred(numbers: set[int], texts: list[bytes]) -> None:
    """Nothing in the document refers to a new object. A reference to no object means null; with the update it would suddenly mean something."""
    found = [text for text in texts if any(b"%d" % number in text for number in numbers)]
    if found:
        reference = reference_to(numbers)
        _require(not any(reference.search(text) for text in found), "the document refers to what is new")


def reference_to(numbers: set[int]) -> re.Pattern[bytes]:
    """Matches a reference to one of these objects, or a number followed by a comment too long to look behind."""
    these = [b"%d" % number for number in sorted(numbers)]
    # Each way begins with a digit, behind which it is seen that none stands before it: so the search passes over all that is no digit quickly.
    ways = [b"0(?<![0-9]0)0*+(?:%b)" % b"|".join(these), *(b"%b(?<![0-9]%b)%b" % (each[:1], each[:1], each[1:]) for each in these)]
    return re.compile(rb"(?:%b)(?:\.0*+)?+%b(?:%%|\d++%b(?:%%|R(?![A-Za-z0-9])))" % (b"|".join(ways), BETWEEN, BETWEEN))


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise UnreadableError(reason)
