"""A document as an update needs it: its cross-reference sections, and single objects by number (ISO 32000-2 §7.5).

What is relied upon is checked: rows, keywords, numbers and generations where objects begin, lengths of streams, the end of the file.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Final

from signer.pdf.lean.grammar import (
    ARRAY,
    ARRAY_HEAD,
    DICTIONARY_END,
    DICTIONARY_HEAD,
    END,
    ENDSTREAM,
    FOLLOWING,
    HEAD,
    INTEGER_OBJECT,
    SPACE,
    NotLeanError,
    closed,
    entries_from,
    integer,
    is_reference,
    items,
    pairs,
    reference,
    uncommented,
)
from signer.pdf.lean.sections import (
    FREE,
    FREE_PLACE,
    LARGEST_OBJECT_BYTES,
    LARGEST_SLOW_BYTES,
    PACKED,
    PLAIN,
    Place,
    Rows,
    Table,
    check_first_object,
    read_section,
    read_stream,
)
from signer.pdf.lean.values import deep_pairs
from signer.pdf.numbers import LARGEST_OBJECT_NUMBER
from signer.pdf.plan import Document

MOST_SECTIONS: Final = 64  # one per update; documents with more are left to the sandbox
MOST_PACKED: Final = 20_000  # objects in one stream
MOST_DECODED_BYTES: Final = 4 * 1024 * 1024  # of all streams of one document: about 10 ms of decompression
MOST_WORK_BYTES: Final = 8 * 1024 * 1024  # parsed for one document, repeats included: about 0.2 s; 400 kB is unusual already
_TAIL_BYTES: Final = 1024

_HEADER: Final = re.compile(rb"%PDF-[12]\.[0-9]")
_TAIL: Final = re.compile(rb"[\r\n ]startxref[ \t]*+[\r\n]++(\d{1,12}+)[ \t]*+[\r\n]++%%EOF" + SPACE + rb"*+\Z")


@dataclass(slots=True)
class Found:
    """A dictionary: its text, its entries (raw values), and where the data of its stream begins, if it has one."""

    text: bytes
    entries: dict[bytes, bytes]
    data_offset: int | None = None


class File:
    """An opened document. Only the cross-reference sections are read in advance, the newest first.

    next_number  the first that no object has
    in_streams   whether its cross-references are in streams, so that an update's must be, too
    """

    __slots__ = (
        *("_alone", "_counts", "_decoded_bytes", "_hybrid", "_object_streams", "_packed", "_work_bytes"),
        *("document", "in_streams", "next_number", "sections", "size_bytes", "trailer"),
    )

    def __init__(self, document: Document) -> None:
        self.document = document
        self.size_bytes = len(document)
        self._decoded_bytes = self._work_bytes = 0
        self._hybrid = self.in_streams = False
        self._object_streams: list[bytes] | None = None
        self._alone: Table | Rows | None = None
        self._packed: dict[int, tuple[bytes, int, list[int]]] = {}
        self._counts: dict[int, int] = {}
        self.sections: list[Table | Rows] = []
        if _HEADER.match(document) is None:
            raise NotLeanError("the header is not at the beginning")
        # From the end, as readers do: an earlier startxref belongs to an older revision.
        start = document.rfind(b"startxref", max(0, self.size_bytes - _TAIL_BYTES))
        tail = _TAIL.match(document, start - 1) if start > 0 else None
        if tail is None:
            raise NotLeanError("the file does not end with startxref and %%EOF")
        self._read_sections(int(tail[1]))
        if len(self.sections) == 1 and not self._hybrid:
            self._alone = self.sections[0]
        self.trailer = self.sections[0].trailer
        # A wrong /Size would let new objects take the numbers of old ones.
        self.next_number = integer(self.trailer.get(b"Size"))
        for section in self.sections:
            integer(section.trailer.get(b"Size"))
            for first, count, _start in (section.runs[-1], *(section.hidden.runs if isinstance(section, Table) and section.hidden else ())):
                self.next_number = max(self.next_number, first + count)
        if self.next_number > LARGEST_OBJECT_NUMBER:
            raise NotLeanError("object numbers are too large")

    def spend(self, size_bytes: int) -> None:
        """Counts parsed bytes against the document's one allowance, since an object that many others refer to is parsed as many times."""
        self._work_bytes += size_bytes
        if self._work_bytes > MOST_WORK_BYTES:
            raise NotLeanError("the document takes too much work")

    # --- cross-references --------------------------------------------------------------------------------------------------------

    def _read_sections(self, offset: int) -> None:
        seen = {offset}
        while True:
            section = read_section(self, offset)
            self.sections.append(section)
            trailer = section.trailer
            if b"Encrypt" in trailer:
                raise NotLeanError("the document is encrypted")
            if isinstance(section, Rows):
                self.in_streams = True
            elif b"XRefStm" in trailer:
                section.hidden = read_stream(self, integer(trailer[b"XRefStm"]))
                self._hybrid = True
            if b"Prev" not in trailer:
                break
            offset = integer(trailer[b"Prev"])
            # Otherwise /Prev that leads back to its own section would keep the process that holds
            # the keys busy for ever.
            if offset in seen or len(seen) >= MOST_SECTIONS:
                raise NotLeanError("cross-reference sections run in a circle, or there are too many")
            seen.add(offset)
        if isinstance(section, Table):
            check_first_object(section)

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def place(self, number: int) -> Place | None:
        """Where the newest object with that number is; None if there is none (which means null)."""
        if self._alone is not None:
            place = self._alone.place(number)
            return place if place is not None and place[0] != FREE else None
        place = self._newest(number, hidden=self._hybrid)
        # A hybrid file may show one thing to readers before PDF 1.5 and another to later ones; both
        # would be under the seal.
        if self._hybrid and self._newest(number, hidden=False) not in (None, place):
            raise NotLeanError("old and new readers see different objects")
        return place

    def _newest(self, number: int, *, hidden: bool) -> Place | None:
        for depth, section in enumerate(self.sections):
            place = section.place(number)
            if hidden and isinstance(section, Table) and section.hidden is not None and (place is None or place[0] == FREE):
                place = section.hidden.place(number) or place
            if place is None:
                continue
            if place[0] != FREE:
                return place
            if any((older.place(number) or FREE_PLACE)[0] != FREE for older in self.sections[depth + 1 :]):
                raise NotLeanError("an object was freed, which readers take in two ways")
            return None
        return None

    def dictionary(self, number: int, generation: int) -> Found | None:
        """A dictionary or stream; None if the object is missing or free."""
        place = self.place(number)
        if place is None:
            return None
        kind, offset, own_generation = place
        if kind == PACKED:
            data, position = self._packed_at(place, number, generation)
            packed = _packed_dictionary(data, position)
            self.spend(len(packed.text) if packed is not None else LARGEST_SLOW_BYTES)
            return packed or _slowly(data, position)
        document = self.document
        head = DICTIONARY_HEAD.match(document, offset)
        if head is None or kind != PLAIN or not offset:
            raise NotLeanError("there is no dictionary where one should be")
        # A table may name any offset: what is there must say itself that it is this object.
        if int(head[1]) != number or int(head[2]) != generation or generation != own_generation:
            raise NotLeanError("another object is where one should be")
        start = head.end()
        entries, end = entries_from(document, start, start + LARGEST_OBJECT_BYTES)
        behind = DICTIONARY_END.match(document, end)
        if behind is None:
            self.spend(LARGEST_SLOW_BYTES)
            return _slowly(document, start - 2, whole=True)
        self.spend(behind.end() - offset)
        data_offset = None if behind[1] == b"endobj" else behind.end()
        return Found(b"<<%b>>" % document[start:end], entries, data_offset)

    def array(self, number: int, generation: int) -> bytes:
        """The text of an array."""
        place = self._required(number)
        if place[0] == PACKED:
            data, position = self._packed_at(place, number, generation)
            packed = ARRAY.match(data, position, position + LARGEST_OBJECT_BYTES)
            if packed is None:
                raise NotLeanError("an object in a stream is no array")
            self.spend(len(packed[0]))
            return packed[0]
        start = self._plain(ARRAY_HEAD, place, number, generation).end()
        plain = ARRAY.match(self.document, start, place[1] + LARGEST_OBJECT_BYTES)
        if plain is None or END.match(self.document, plain.end()) is None:
            raise NotLeanError("an object is no array")
        self.spend(plain.end() - place[1])
        return plain[0]

    def entries(self, value: bytes | None) -> dict[bytes, bytes] | None:
        """The entries of a direct or indirect dictionary; None if it is missing or null."""
        if value is None or value == b"null":
            return None
        if value.startswith(b"<<"):
            self.spend(len(value))
            return pairs(value)
        found = self.dictionary(*reference(value))
        return found.entries if found is not None else None

    def elements(self, value: bytes | None) -> list[bytes]:
        """The elements of a direct or indirect array; empty if it is missing or null."""
        if value is None or value == b"null":
            return []
        if is_reference(value):
            return items(self.array(*reference(value)))
        if not value.startswith(b"["):
            raise NotLeanError("there is no array where one should be")
        self.spend(len(value))
        return items(value)

    def position(self, number: int, generation: int) -> tuple[Document, int, bool] | None:
        """The text that contains an object, where its value begins, and whether the text is an object stream; None if the object is missing."""
        place = self.place(number)
        if place is None:
            return None
        if place[0] == PACKED:
            return *self._packed_at(place, number, generation), True
        return self.document, self._plain(HEAD, place, number, generation).end(), False

    def data(self, found: Found) -> bytes:
        """The decoded data of a stream."""
        if found.data_offset is None or found.entries.get(b"DecodeParms", b"null") != b"null":
            raise NotLeanError("there is no plain stream where one should be")
        end = self.stream_end(found.entries, found.data_offset)
        return self.decoded(found.entries.get(b"Filter"), self.document[found.data_offset : end])

    def stream_end(self, entries: dict[bytes, bytes], offset: int) -> int:
        """Where the encoded data of a stream ends, given that it begins at ``offset``."""
        length = entries.get(b"Length", b"?")
        if is_reference(length):
            number, generation = reference(length)
            length = self._plain(INTEGER_OBJECT, self._required(number), number, generation)[3]
        end = offset + integer(length)
        # Readers that distrust /Length search for ``endstream``. Both must come to the same data.
        if ENDSTREAM.match(self.document, end) is None:
            raise NotLeanError("a stream does not end where its length says")
        return end

    def object_streams(self) -> list[bytes]:
        """All object streams, decoded."""
        if self._object_streams is None:
            numbers: set[int] = set()
            if self.in_streams or self._hybrid:
                for section in self.sections:
                    numbers |= section.packed_in()
            self._object_streams = [self._stream_of(number)[0] for number in sorted(numbers)]
        return self._object_streams

    def _required(self, number: int) -> Place:
        place = self.place(number)
        if place is None:
            raise NotLeanError("an object is missing")
        return place

    def _plain(self, pattern: re.Pattern[bytes], place: Place, number: int, generation: int) -> re.Match[bytes]:
        match = pattern.match(self.document, place[1], place[1] + LARGEST_OBJECT_BYTES)
        if match is None:
            raise NotLeanError("an object cannot be read where it should be")
        self.spend(match.end() - place[1])
        _require_own(match, place, number, generation)
        return match

    def _packed_at(self, place: Place, number: int, generation: int) -> tuple[bytes, int]:
        _kind, stream, index = place
        data, first, head = self._stream_of(stream)
        if not head:
            head += self._head_of(stream, data, first)
        index *= 2
        if generation or index >= len(head) or head[index] != number:
            raise NotLeanError("an object is not in its stream where it should be")
        return data, first + head[index + 1]

    def _stream_of(self, number: int) -> tuple[bytes, int, list[int]]:
        """A decoded object stream, where its first object begins, and its head (read on first use)."""
        packed = self._packed.get(number)
        if packed is None:
            if self._required(number)[0] == PACKED:
                raise NotLeanError("an object stream is packed in a stream")
            found = self.dictionary(number, 0)
            if found is None or found.entries.get(b"Type") != b"/ObjStm":
                raise NotLeanError("there is no object stream where one should be")
            data, entries = self.data(found), found.entries
            packed = self._packed[number] = (data, integer(entries.get(b"First")), [])
            self._counts[number] = integer(entries.get(b"N"))
        return packed

    def _head_of(self, stream: int, data: bytes, first: int) -> list[int]:
        """Numbers and offsets of the objects in a stream; no number may occur twice."""
        if first > len(data) or first > 2 * 20 * MOST_PACKED:
            raise NotLeanError("an object stream has a very long head")
        text = data[:first]
        head = list(map(int, (uncommented(text) if b"%" in text else text).split()))
        count = self._counts[stream]
        if not 0 < count <= MOST_PACKED or len(head) != 2 * count or len(set(head[::2])) != count:
            raise NotLeanError("an object stream has an odd head")
        return head

    def decoded(self, kind: bytes | None, data: bytes) -> bytes:
        """Decodes data that is coded by Flate, or not coded at all."""
        room = MOST_DECODED_BYTES - self._decoded_bytes
        if kind in (b"/FlateDecode", b"[/FlateDecode]", b"[ /FlateDecode ]"):
            # One byte more than allowed is asked for, so that a stream over the limit is told from
            # one that just fits, without being unpacked whole.
            inflater: Any = zlib.decompressobj()
            data = inflater.decompress(data, room + 1)
            if not inflater.eof:
                raise NotLeanError("a stream is cut off or too large")
        elif kind is not None:
            raise NotLeanError("a stream is coded in another way")
        self._decoded_bytes += len(data)
        if len(data) > room:
            raise NotLeanError("streams are too large")
        return data


def _require_own(match: re.Match[bytes], place: Place, number: int, generation: int) -> None:
    kind, offset, own_generation = place
    if kind != PLAIN or not offset or int(match[1]) != number or generation != own_generation or int(match[2]) != generation:
        raise NotLeanError("another object is where one should be")


def _packed_dictionary(data: bytes, position: int) -> Found | None:
    if data[position : position + 2] != b"<<":
        return None
    entries, end = entries_from(data, position + 2, position + LARGEST_OBJECT_BYTES)
    if closed(data, end) is None:
        return None
    return Found(b"%b>>" % data[position:end], entries)


def _slowly(text: Document, position: int, *, whole: bool = False) -> Found:
    """A dictionary with comments or deep nesting; ``whole``: together with what ends an object in the file itself."""
    window = uncommented(text[position : position + LARGEST_SLOW_BYTES])
    entries, end = deep_pairs(window)
    following = FOLLOWING.match(window, end) if whole else None
    if whole and following is None:
        raise NotLeanError("an object ends oddly")
    is_stream = following is not None and following[1] != b"endobj"
    return Found(window[:end].lstrip(), entries, position + following.end() if following is not None and is_stream else None)
