"""Accounts quickly for an update in the form that the lean writer gives it: what ``objects`` concludes, in tens of microseconds.

The update is taken apart along its own cross-reference section, and every object is held to what the plan and the document ask for, as
bytes: whatever differs in a single one is for the general account, whose word is final. So this never refuses. Shares no code with the
writers. A mark's look is judged in full once, by ``appearance``; later ones are compared with what was judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from sealcore.protocol.leaf import Certification, Rectangle, SignatureTexts
from signer.pdf.plan import Document, Plan
from signer.pdf.readback.appearance import Look, looks_of
from signer.pdf.readback.known_appearances import KnownLooks
from signer.pdf.readback.lookup import Entries, Lookup, OtherwiseError, entries_at, entries_of, reference, references
from signer.pdf.readback.quick_pages import MarkedPage, marked_pages
from signer.pdf.readback.syntax import BLANK, WHITE, UnreadableError

_END_BYTES: Final = 64
_RANGE_WIDTH: Final = 80  # between /ByteRange and /Contents at most
_ROUNDING: Final = 0.5  # of a corner, in millipoints
_BLOCK: Final = 10  # numbers that are looked for at once
_ENDOBJ: Final = b"\nendobj\n"

_STARTXREF: Final = re.compile(rb"startxref\n(\d{1,12})\n%%EOF\n\Z")
_RUNS: Final = rb"(?:\d{1,10} \d{1,10}\n(?:\d{10} \d{5} n \n)++)++"
_TABLE: Final = re.compile(rb"xref\n0 1\n0000000000 65535 f \n(" + _RUNS + rb")trailer\n<<")
_RUN: Final = re.compile(rb"(\d{1,10}) (\d{1,10})\n((?:\d{10} \d{5} n \n)++)")
_ROWS: Final = re.compile(rb"(\d{1,10}) 0 obj\n<</Type/XRef/W\[1 8 2\]/Index\[([\d ]++)\]/Length (\d{1,9})")
_STRING: Final = rb"(\([^()\\]*+\)|<[0-9A-Fa-f]*+>)"
_NUMBERS: Final = rb"\[([-0-9. ]++)\]"
_FIELD: Final = re.compile(
    rb"<</Type/Annot/Subtype/Widget/FT/Sig/T%b/TU%b/V (\d++) 0 R/F 132/Rect%b(?:/AP<</N (\d++) 0 R>>)?+/P (\d++ \d++) R>>"
    % (_STRING, _STRING, _NUMBERS)
)
_STAMP: Final = re.compile(
    rb"<</Type/Annot/Subtype/Stamp/Contents%b/F 708/P (\d++ \d++) R/Rect%b/AP<</N (\d++) 0 R>>>>" % (_STRING, _NUMBERS)
)
_HALF: Final = rb"<[0-9a-f]{32}>"
_HALVES: Final = re.compile(rb"\[%b%b\]" % (_HALF, _HALF))
_FIRST_HALF: Final = re.compile(rb"\[[\x00\t\n\x0c\r ]*+(\((?:[^()\\]|\\.)*+\)|<[0-9A-Fa-f\x00\t\n\x0c\r ]*+>)", re.DOTALL)
_ADDED: Final = re.compile(rb"(?: \d++ 0 R)++\]")
_TEXT: Final = re.compile(r"[ -'*-\[\]-~]*")
_OF_THE_SECTION: Final = {b"Size", b"Prev", b"ID", b"Type", b"W", b"Index", b"Length", b"Filter", b"DecodeParms"}
_LOOKS: Final = KnownLooks()


def accounted(document: Document, suffix: bytes, plan: Plan, field_name: str) -> bool:
    """Whether ``suffix`` holds what the plan asks for and nothing else; False also where that is not to be seen quickly."""
    try:
        _Quickly(document, suffix, plan, field_name).settle()
    except (OtherwiseError, UnreadableError, ValueError, LookupError, OverflowError, TypeError, AttributeError):
        return False
    return True


_Object = tuple[int, bytes, int]
"""Generation, body, and where the body begins in the suffix."""


class _Quickly:
    __slots__ = ("_base", "_field_name", "_left", "_lookup", "_plan", "_shown", "_suffix")

    def __init__(self, document: Document, suffix: bytes, plan: Plan, field_name: str) -> None:
        self._plan, self._suffix, self._field_name = plan, suffix, field_name
        self._base = len(document)
        self._lookup = Lookup(document)
        self._left: dict[int, _Object] = {}
        self._shown: set[int] = set()  # numbers of what shows the marks

    def settle(self) -> None:
        """Claims object after object."""
        _require(self._field_name == self._plan.field_name)
        trailer = self._take_apart()
        lookup = self._lookup
        number, generation = reference(trailer.get(b"Root"))
        old, text = lookup.dictionary(number, generation)
        new = _changed(old, text, self._taken(number, generation), {b"AcroForm", b"Perms"})
        field = self._form(old, new)
        signature = self._field_and_marks(old, field)
        perms = None if self._plan.placement.certification == Certification.NONE else b"<</DocMDP %d 0 R>>" % signature
        _require(new.get(b"Perms") == old.get(b"Perms") if perms is None else b"Perms" not in old and new.get(b"Perms") == perms)
        self._signature(signature)
        _require(not self._left)

    # --- the section -------------------------------------------------------------------------------------------------------------

    def _take_apart(self) -> Entries:
        """All objects, one behind the other, each where the section says; gives the trailer."""
        suffix = self._suffix
        end = _STARTXREF.search(suffix, max(0, len(suffix) - _END_BYTES))
        _require(end is not None)
        assert end is not None
        at = int(end[1]) - self._base
        table = _TABLE.match(suffix, at) if at > 0 else None
        places, trailer = self._table(table, end.start()) if table is not None else self._rows(at, end.start())
        offsets = sorted((offset - self._base, number, generation) for number, generation, offset in places)
        expected = 1
        _require(suffix[:1] == b"\n" and len({number for number, _, _ in places}) == len(places))
        ends = [offset for offset, _, _ in offsets[1:]]
        for (offset, number, generation), behind in zip(offsets, [*ends, at], strict=True):
            head = b"%d %d obj\n" % (number, generation)
            start, stop = offset + len(head), behind - len(_ENDOBJ)
            _require(offset == expected and suffix[offset:start] == head and start <= stop and suffix[stop:behind] == _ENDOBJ)
            self._left[number] = generation, suffix[start:stop], start
            expected = behind
        self._continued(trailer, {number for number, _, _ in places} | ({int(trailer[b"Size"]) - 1} if table is None else set()))
        return trailer

    def _table(self, table: re.Match[bytes], end: int) -> tuple[list[tuple[int, int, int]], Entries]:
        places: list[tuple[int, int, int]] = []
        for first, count, rows in _RUN.findall(table[1]):
            _require(len(rows) == 20 * int(count))
            numbers = range(int(first), int(first) + int(count))
            places += [
                (n, int(rows[i + 11 : i + 16]), int(rows[i : i + 10])) for n, i in zip(numbers, range(0, len(rows), 20), strict=True)
            ]
        trailer, behind = entries_at(self._suffix, table.end())
        _require(self._suffix[behind:end] == b"\n")
        _require_usual_blanks(self._suffix[table.end() : behind])
        return places, trailer

    def _rows(self, at: int, end: int) -> tuple[list[tuple[int, int, int]], Entries]:
        suffix = self._suffix
        head = _ROWS.match(suffix, at) if at > 0 else None
        _require(head is not None)
        assert head is not None
        trailer, behind = entries_at(suffix, suffix.index(b"<<", at) + 2)
        index, size, own = [int(each) for each in head[2].split()], int(head[3]), int(head[1])
        _require_usual_blanks(suffix[at:behind])
        start = behind + len(b"\nstream\n")
        _require(suffix[behind:start] == b"\nstream\n" and suffix[start + size : end] == b"\nendstream\nendobj\n")
        numbers = [number for i in range(0, len(index), 2) for number in range(index[i], index[i] + index[i + 1])]
        _require(11 * len(numbers) == size)
        places = []
        for number, i in zip(numbers, range(start, start + size, 11), strict=True):
            _require(suffix[i] == 1)
            place = number, int.from_bytes(suffix[i + 9 : i + 11], "big"), int.from_bytes(suffix[i + 1 : i + 9], "big")
            if number != own:
                places.append(place)
            else:
                _require(place == (own, 0, self._base + at))
        _require(own in numbers and int(trailer[b"Size"]) == own + 1)
        return places, trailer

    def _continued(self, trailer: Entries, numbers: set[int]) -> None:
        """The same trailer as before, and new objects under numbers that nothing in the document refers to."""
        lookup = self._lookup
        highest = lookup.highest
        _require(int(trailer[b"Prev"]) == lookup.newest_at and int(trailer[b"Size"]) > max(highest, *numbers))
        for key in (lookup.trailer.keys() - {b"XRefStm"}) | trailer.keys():
            _require(key in _OF_THE_SECTION or (trailer.get(key) == lookup.carried(key) and key != b"XRefStm"))
        old, new = lookup.carried(b"ID"), trailer[b"ID"]
        if old is None:
            _require(_HALVES.fullmatch(new) is not None)
        else:
            first = _FIRST_HALF.match(old)
            _require(
                first is not None and new.startswith(b"[" + first[1]) and re.fullmatch(_HALF + rb"\]", new[1 + len(first[1]) :]) is not None
            )
        texts = lookup.texts()
        for prefix in {number // _BLOCK for number in numbers if number > highest}:
            digits = b"%d" % prefix
            for text in texts:
                _require(text.find(digits) < 0 or _referred(digits).search(text) is None)

    # --- the form and the signature ----------------------------------------------------------------------------------------------

    def _form(self, old: Entries, new: Entries) -> int:
        """The form with one field more, whose number this gives."""
        before, after = old.get(b"AcroForm"), new[b"AcroForm"]
        if before is None:
            earlier, form = {}, entries_of(after)
        elif before[:2] == b"<<":
            earlier, form = entries_of(before), entries_of(after)
        else:
            _require(before == after)
            earlier, _ = self._lookup.dictionary(*reference(before))
            text = self._taken(*reference(before))
            _require_usual_blanks(text)
            form = entries_of(text)
        if earlier.get(b"NeedAppearances") == b"false" and b"NeedAppearances" not in form:
            del earlier[b"NeedAppearances"]
        _require_same(earlier, form, {b"Fields", b"SigFlags"})
        fields = references(form[b"Fields"])
        _require(form[b"SigFlags"] == b"3" and fields[:-1] == references(self._lookup.array(earlier.get(b"Fields"))))
        _require(fields[-1][1] == 0)
        return fields[-1][0]

    def _signature(self, number: int) -> None:
        plan, base = self._plan, self._base
        _generation, body, at = self._added(number)
        placement = plan.placement
        head = _signature_head(plan.signing_time, placement.texts, plan.writer_version, placement.certification)
        hole = body.index(b"/Contents<", len(head), len(head) + _RANGE_WIDTH) + len(b"/Contents")
        start, end = at + hole + base, at + hole + base + 2 * plan.hole_size_bytes + 2
        byte_range = b"[0 %d %d %d]" % (start, end, base + len(self._suffix) - end)
        told = body[len(head) : hole - len(b"/Contents")]
        _require(body.startswith(head) and told.rstrip(b" ") == byte_range and body[hole:] == _empty_hole(plan.hole_size_bytes))

    # --- pages and marks ---------------------------------------------------------------------------------------------------------

    def _field_and_marks(self, old: Entries, field: int) -> int:
        """The field, its widget and all further marks, each on its page; gives the signature's number."""
        plan, looks = self._plan, looks_of(self._plan.placement)
        pages = marked_pages(self._lookup, old.get(b"Pages"), {look.page for look in looks})
        label = _text(f"Seal of {plan.owner_name}" if plan.owner_name else "Seal")
        widget = _FIELD.fullmatch(self._added(field)[1])
        _require(widget is not None)
        assert widget is not None
        page = pages[looks[0].page if looks else 0]
        _require((widget[1], widget[2], widget[6]) == (_text(self._field_name), label, b"%d %d" % page.reference))
        if not looks:
            _require((widget[4], widget[5]) == (b"0 0 0 0", None))
            _require([field] == self._annotated(page))
            return int(widget[3])
        self._look(looks[0], page, widget[4], widget[5])
        for index in dict.fromkeys(look.page for look in looks):
            self._page(pages[index], [look for look in looks if look.page == index], looks[0], field, label)
        for number in self._shown:
            self._added(number)
        return int(widget[3])

    def _page(self, page: MarkedPage, looks: Sequence[Look], first: Look, field: int, label: bytes) -> None:
        for number, look in zip(self._annotated(page), looks, strict=True):
            if look is first:
                _require(number == field)
                continue
            stamp = _STAMP.fullmatch(self._added(number)[1])
            _require(stamp is not None)
            assert stamp is not None
            _require((stamp[1], stamp[2]) == (label, b"%d %d" % page.reference))
            self._look(look, page, stamp[3], stamp[4])

    def _annotated(self, page: MarkedPage) -> list[int]:
        """The page is written anew with these annotations behind its own; everything else of it is as before."""
        new = _changed(page.entries, page.text, self._taken(*page.reference), {b"Annots"})
        before = self._lookup.array(page.entries.get(b"Annots"))[:-1]
        after = new[b"Annots"]
        _require(after.startswith(before) and _ADDED.fullmatch(after, len(before)) is not None)
        return [int(each) for each in after[len(before) : -1].split()[::3]]

    def _look(self, look: Look, page: MarkedPage, rectangle: bytes, number: bytes | None) -> None:
        _require(number is not None and _is_rectangle(rectangle, look.rectangle))
        assert number is not None
        self._shown |= _LOOKS.used(look, page.rotation, int(number), self._body, self._plan.pictures)

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def _body(self, number: int) -> bytes:
        return self._left[number][1]

    def _taken(self, number: int, generation: int) -> bytes:
        """One of the document's, written anew."""
        found = self._left.pop(number)
        _require(found[0] == generation)
        return found[1]

    def _added(self, number: int) -> _Object:
        """A new one."""
        found = self._left.pop(number)
        _require(found[0] == 0 and number > self._lookup.highest)
        return found


@lru_cache(maxsize=256)
def _signature_head(time: datetime, texts: SignatureTexts, writer_version: str, certification: Certification) -> bytes:
    """The signature but for what the writer measures."""
    named = zip((b"Name", b"Reason", b"Location", b"ContactInfo"), (texts.name, texts.reason, texts.location, texts.contact), strict=True)
    said = b"".join(b"/" + key + _text(text) for key, text in named if text)
    moment = _text(time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'"))
    level = b"/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P %d/V/1.2>>>>]" % int(certification)
    return (
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached%b/M%b/Prop_Build<</App<</Name/Vermilion/REx%b>>>>%b/ByteRange"
        % (*(said, moment, _text(writer_version), level if certification != Certification.NONE else b""),)
    )


@lru_cache(maxsize=256)
def _text(text: str) -> bytes:
    if _TEXT.fullmatch(text):
        return b"(%b)" % text.encode("ascii")
    return b"<FEFF%b>" % text.encode("utf-16-be").hex().encode("ascii")


@lru_cache(maxsize=16)
def _empty_hole(size_bytes: int) -> bytes:
    return b"<%b>>>" % (b"00" * size_bytes)


@lru_cache(maxsize=1024)
def _is_rectangle(told: bytes, rectangle: Rectangle) -> bool:
    corners = (rectangle.x0, rectangle.y0, rectangle.x1, rectangle.y1)
    return all(abs(float(each) * 1000 - corner) < _ROUNDING for each, corner in zip(told.split(), corners, strict=True))


@lru_cache(maxsize=2048)
def _referred(block: bytes) -> re.Pattern[bytes]:
    """What may be a reference to one of ten numbers that begin alike."""
    return re.compile(rb"%b[0-9](?<![1-9]%b[0-9])(?:\.0*+)?+(?=[%b%%])%b\d++(?=[%b%%])%bR" % (block, block, WHITE, BLANK, WHITE, BLANK))


def _changed(old: Entries, text: bytes, new: bytes, keys: set[bytes]) -> Entries:
    """What the new text of a dictionary says for these keys, all others being as in the old one."""
    _require_usual_blanks(new)
    if new.startswith(text):  # then it has the entries that are behind, and those that it had
        entries, end = entries_at(new, len(text))
        _require(end == len(new) and entries.keys().isdisjoint(old) and entries.keys() <= keys)
        return entries | {key: old[key] for key in keys & old.keys()}
    entries = entries_of(new)
    _require_same(old, entries, keys)
    return entries


def _require_usual_blanks(text: bytes) -> None:
    _require(b"\x00" not in text and b"\x0c" not in text)


def _require_same(old: Entries, new: Entries, but: set[bytes]) -> None:
    _require({key: value for key, value in old.items() if key not in but} == {key: value for key, value in new.items() if key not in but})


def _require(holds: bool) -> None:
    if not holds:
        raise OtherwiseError
