"""Accounts for an update in the lean writer's spelling, in tens of microseconds instead of the general account's hundreds.

The update is split along its own cross-reference section, and each object is compared, as bytes, with what plan and document ask for. If a
single byte differs, the general account (``account``) decides; this one never refuses. A mark's appearance is judged in full once, by
``appearance``; later ones are compared with those that were judged.
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
from signer.pdf.readback.hole import Hole
from signer.pdf.readback.known_appearances import KnownLooks
from signer.pdf.readback.quick_document import Lookup
from signer.pdf.readback.quick_pages import MarkedPage, marked_pages
from signer.pdf.readback.quick_update import Part, take_apart
from signer.pdf.readback.quick_values import Entries, OtherwiseError, entries_of, entries_within, reference, references
from signer.pdf.readback.syntax import BETWEEN, UnreadableError

_RANGE_WIDTH: Final = 80  # between /ByteRange and /Contents at most
_ROUNDING: Final = 0.5  # of a corner, in millipoints
_BLOCK: Final = 10  # numbers that are looked for at once

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
_BOTH_HALVES: Final = re.compile(_HALF * 2 + rb"\]")
_SECOND_HALF: Final = re.compile(_HALF + rb"\]")
_FIRST_HALF: Final = re.compile(rb"\[[\x00\t\n\x0c\r ]*+(\((?:[^()\\]|\\.)*+\)|<[0-9A-Fa-f\x00\t\n\x0c\r ]*+>)", re.DOTALL)
_ADDED: Final = re.compile(rb"(?: \d++ 0 R)++\]")
_TEXT: Final = re.compile(r"[ -'*-\[\]-~]*")
_OF_THE_SECTION: Final = {b"Size", b"Prev", b"ID", b"Type", b"W", b"Index", b"Length", b"Filter", b"DecodeParms", b"XRefStm"}
_OF_THE_CATALOG: Final = frozenset((b"AcroForm", b"Perms"))
_OF_THE_FORM: Final = frozenset((b"Fields", b"SigFlags"))
_OF_THE_PAGE: Final = frozenset((b"Annots",))


def accounted(document: Document, suffix: bytes, plan: Plan, field_name: str, known: KnownLooks) -> Hole | None:
    """The hole of ``suffix`` if it holds what the plan asks for and nothing else; None if not, or if that cannot be told quickly.

    known  appearances that were judged in full before; those of this update are added
    """
    try:
        return _Quickly(document, suffix, plan, field_name, known).settle()
    except (OtherwiseError, UnreadableError, ValueError, LookupError, OverflowError, TypeError, AttributeError):
        return None


class _Quickly:
    __slots__ = ("_base", "_field_name", "_known", "_left", "_lookup", "_parts", "_plan", "_shown", "_suffix")

    def __init__(self, document: Document, suffix: bytes, plan: Plan, field_name: str, known: KnownLooks) -> None:
        self._plan, self._suffix, self._field_name, self._known = plan, suffix, field_name, known
        self._base = len(document)
        self._lookup = Lookup(document)
        self._parts: dict[int, Part] = {}
        self._left: set[int] = set()
        self._shown: set[int] = set()  # numbers of the objects that the marks' appearances consist of

    def settle(self) -> Hole:
        """Claims one object after the other; returns the hole."""
        _require(self._field_name == self._plan.field_name)
        self._parts, trailer, numbers = take_apart(self._suffix, self._base)
        self._left = set(self._parts)
        trailers = self._lookup.trailers()
        self._continued(trailer, trailers, numbers)
        number, generation = reference(trailers.get(b"Root"))
        old, text = self._lookup.dictionary(number, generation)
        new = _changed(old, text, self._taken(number, generation), _OF_THE_CATALOG)
        field = self._form(old, new)
        signature = self._field_and_marks(old, field)
        perms = None if self._plan.placement.certification == Certification.NONE else b"<</DocMDP %d 0 R>>" % signature
        _require(new.get(b"Perms") == old.get(b"Perms") if perms is None else b"Perms" not in old and new.get(b"Perms") == perms)
        hole = self._signature(signature)
        _require(not self._left)
        return hole

    def _continued(self, trailer: bytes, before: Entries, numbers: set[int]) -> None:
        """The trailer is the old one but for half of /ID, which is a hash; nothing in the document refers to the new objects' numbers."""
        lookup, highest = self._lookup, max(numbers)
        _require(highest > lookup.highest)
        _require_usual_blanks(trailer)
        carried = b"".join([b"/%b %b" % entry for entry in before.items() if entry[0] not in _OF_THE_SECTION])
        own = before.get(b"ID")
        first = _FIRST_HALF.match(own) if own is not None else None
        _require((own is None) == (first is None))
        told = b"/Size %d/Prev %d%b/ID[%b" % (highest + 1, lookup.newest_at, carried, first[1] if first is not None else b"")
        halves = _SECOND_HALF if first is not None else _BOTH_HALVES
        _require(trailer.startswith(told) and halves.fullmatch(trailer, len(told)) is not None)
        texts = lookup.texts()
        # Ten numbers at a time: each search goes over the whole document.
        for block in {number // _BLOCK for number in numbers if number > lookup.highest}:
            digits = b"%d" % block
            _require(block > 0)
            for text in texts:
                _require(text.find(digits) < 0 or _referred(digits).search(text) is None)

    # --- the form and the signature ----------------------------------------------------------------------------------------------

    def _form(self, old: Entries, new: Entries) -> int:
        """Checks that the form has one more field and differs in nothing else; returns that field's number."""
        before, after = old.get(b"AcroForm"), new[b"AcroForm"]
        earlier: Entries = {}
        if before is None or before[:2] == b"<<":
            earlier, form = entries_of(before or b"<<>>"), entries_of(after)
        else:
            _require(before == after)
            earlier, _ = self._lookup.dictionary(*reference(before))
            text = self._taken(*reference(before))
            _require_usual_blanks(text)
            form = entries_of(text)
        but = _OF_THE_FORM
        # False is the default (ISO 32000-2 table 224), so leaving it out says the same.
        if earlier.get(b"NeedAppearances") == b"false" and b"NeedAppearances" not in form:
            but = but | {b"NeedAppearances"}
        _require_same(earlier, form, but)
        fields, own = form[b"Fields"], self._lookup.array(earlier.get(b"Fields"))
        _require(form[b"SigFlags"] == b"3")
        *others, (field, generation) = references(fields)
        _require(generation == 0 and tuple(others) == references(own))
        return field

    def _signature(self, number: int) -> Hole:
        plan, base, suffix = self._plan, self._base, self._suffix
        _generation, begin, stop = self._added(number)
        placement = plan.placement
        head = _signature_head(plan.signing_time, placement.texts, plan.writer_version, placement.certification)
        told = begin + len(head)
        start = suffix.index(b"/Contents<", told, told + _RANGE_WIDTH) + len(b"/Contents")
        end = start + 2 * plan.hole_size_bytes + 2
        byte_range = b"[0 %d %d %d]" % (base + start, base + end, len(suffix) - end)
        _require(suffix.startswith(head, begin) and suffix[told : start - len(b"/Contents")].rstrip(b" ") == byte_range)
        _require(end + len(b">>") == stop and suffix.startswith(_empty_hole(plan.hole_size_bytes), start))
        return Hole(start, end)

    # --- pages and marks ---------------------------------------------------------------------------------------------------------

    def _field_and_marks(self, old: Entries, field: int) -> int:
        """Checks the field with its widget, and all other marks, each on its page; returns the signature's number."""
        plan, looks = self._plan, looks_of(self._plan.placement)
        pages = marked_pages(self._lookup, old.get(b"Pages"), {look.page for look in looks})
        label = _text(f"Seal of {plan.owner_name}" if plan.owner_name else "Seal")
        widget = _FIELD.fullmatch(self._suffix, *self._added(field)[1:])
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
            stamp = _STAMP.fullmatch(self._suffix, *self._added(number)[1:])
            _require(stamp is not None)
            assert stamp is not None
            _require((stamp[1], stamp[2]) == (label, b"%d %d" % page.reference))
            self._look(look, page, stamp[3], stamp[4])

    def _annotated(self, page: MarkedPage) -> list[int]:
        """Checks that the page has more annotations after its own and differs in nothing else; returns their numbers."""
        new = _changed(page.entries, page.text, self._taken(*page.reference), _OF_THE_PAGE)
        before = self._lookup.array(page.entries.get(b"Annots"))[:-1]
        after = new[b"Annots"]
        _require(after.startswith(before) and _ADDED.fullmatch(after, len(before)) is not None)
        return [int(each) for each in after[len(before) : -1].split()[::3]]

    def _look(self, look: Look, page: MarkedPage, rectangle: bytes, number: bytes | None) -> None:
        _require(number is not None and _is_rectangle(rectangle, look.rectangle))
        assert number is not None
        self._shown |= self._known.used(look, page.rotation, int(number), self._body, self._plan.pictures)

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def _body(self, number: int) -> bytes:
        _require(number in self._left)
        _generation, start, end = self._parts[number]
        return self._suffix[start:end]

    def _taken(self, number: int, generation: int) -> bytes:
        """Claims an object of the document that was rewritten; returns its new body."""
        self._left.remove(number)
        found, start, end = self._parts[number]
        _require(found == generation)
        return self._suffix[start:end]

    def _added(self, number: int) -> Part:
        """Claims a new object."""
        self._left.remove(number)
        part = self._parts[number]
        _require(part[0] == 0 and number > self._lookup.highest)
        return part


@lru_cache(maxsize=256)
def _signature_head(time: datetime, texts: SignatureTexts, writer_version: str, certification: Certification) -> bytes:
    """The signature dictionary up to /ByteRange, whose value depends on the document's size."""
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
    """Matches a reference to one of ten numbers that begin alike (or to one ending in such a number), or a comment too long to look behind."""
    return re.compile(rb"%b[0-9](?:\.0*+)?+%b(?:%%|\d++%b(?:%%|R))" % (block, BETWEEN, BETWEEN))


def _changed(old: Entries, text: bytes, new: bytes, keys: frozenset[bytes]) -> Entries:
    """The entries of the new dictionary under these keys; OtherwiseError unless all others are as in the old one."""
    _require_usual_blanks(new)
    if new.startswith(text) and new.endswith(b">>"):  # the usual case: entries were appended, so only they need to be read
        entries = entries_within(new[len(text) : -2])
        _require(entries.keys().isdisjoint(old) and entries.keys() <= keys)
        return entries | {key: old[key] for key in keys & old.keys()}
    entries = entries_of(new)
    _require_same(old, entries, keys)
    return entries


def _require_usual_blanks(text: bytes) -> None:
    _require(b"\x00" not in text and b"\x0c" not in text)


def _require_same(old: Entries, new: Entries, but: frozenset[bytes]) -> None:
    _require({key: value for key, value in old.items() if key not in but} == {key: value for key, value in new.items() if key not in but})


def _require(holds: bool) -> None:
    if not holds:
        raise OtherwiseError
