"""The sealed revision: the bytes up to the end of what the signature covers, read by themselves, and where it refers to what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Final, NamedTuple

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError, PdfStrictReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.xref import ObjStreamRef, XRefSectionData, XRefSectionMetaInfo

from verify.facts import FactError
from verify.steps.changes.revisions import TooManyError
from verify.steps.changes.values import IrregularError, Ref, Stream, Value, from_pyhanko, is_certain, parse, pdf_text

_HEAD = re.compile(rb"[\0\t\n\f\r ]*\d+[\0\t\n\f\r ]+\d+[\0\t\n\f\r ]+obj")
_REFERENCE = re.compile(rb"(\d{1,10})[\0\t\n\f\r ]+(\d{1,5})[\0\t\n\f\r ]+R")
_INHERITABLE: Final = ("/FT", "/Ff", "/V", "/DA", "/Q", "/MaxLen", "/Opt", "/I")
MOST_SITES: Final = 200_000  # objects that a sealed revision may refer to
MOST_PAGES: Final = 20_000
MOST_PAGE_LEVELS: Final = 32
MOST_FIELDS: Final = 20_000
MOST_FIELD_LEVELS: Final = 32


class UnclearError(FactError):
    """The sealed revision is such that nothing can be said about what was added to it, and which part of it."""


class Node(NamedTuple):
    """A field or widget of the sealed form: its dictionary, and that with what it inherits; name and entries of the field above it."""

    ref: Ref
    own: dict[str, Value]
    inherited: dict[str, Value]
    name: str
    is_field: bool
    name_above: str
    above: dict[str, Value]


@dataclass
class SealedRevision:
    """``data`` ends where the signature's covered bytes end."""

    data: bytes
    strict: bool

    def __post_init__(self) -> None:
        self._reader = PdfFileReader(BytesIO(self.data), strict=self.strict)
        self._values: dict[Ref, Value] = {}
        self._above: dict[Ref, list[list[Value]]] = {}  # the page tree's nodes above each page, from the root, wherever the page stands

    @property
    def is_encrypted(self) -> bool:
        """Whether strings and streams of an update would be encrypted too."""
        return self._reader.encrypt_dict is not None

    @property
    def header_version(self) -> str:
        """The version that the first line names, as a catalog would: ``/1.4``."""
        found = re.match(rb"%PDF-(\d\.\d)", self.data)
        return f"/{found[1].decode('ascii')}" if found else ""

    @property
    def section(self) -> int:
        """Where the last cross-reference section begins."""
        return int(self._reader.last_startxref or 0)

    @cached_property
    def trailer(self) -> dict[str, Value]:
        """Of all its sections together."""
        return {str(key): from_pyhanko(value) for key, value in dict.items(self._reader.trailer.flatten())}

    @cached_property
    def root(self) -> Ref:
        """The catalog."""
        root = self.trailer.get("/Root")
        if not isinstance(root, Ref):
            raise UnclearError("catalog_unclear")
        return root

    def get(self, value: Value) -> Value:
        """The value itself, or what a reference leads to; None where that is nothing."""
        if not isinstance(value, Ref):
            return value
        if value not in self._values:
            self._values[value] = self._read(value)
        return self._values[value]

    def has(self, ref: Ref) -> bool:
        """Whether there is an object of this number and generation."""
        return self.place(ref) is not None

    def _read(self, ref: Ref) -> Value:
        if self.place(ref) is None:
            return None
        found = from_pyhanko(self._reader.get_object(self._reference(ref)))
        # pyHanko hands names over decoded. A few of them could come from two spellings, which
        # readers tell apart.
        if not is_certain(found):
            found = self._reread(ref, found)
        return None if isinstance(found, Ref) else found

    def _reread(self, ref: Ref, found: Value) -> Value:
        """The object by our own parser, which tells all names apart; ``found`` where that does not take it."""
        place = self.place(ref)
        try:
            if isinstance(place, ObjStreamRef):
                stream = self._reader.get_object(self._reference(Ref(place.obj_stream_id, 0)))
                start = self._heads(stream)[place.ix_in_stream][1] + int(stream["/First"])
                value, _end = parse(stream.data, start)
            else:
                head = _HEAD.match(self.data, place or 0)
                value, _end = parse(self.data, head.end()) if head is not None else (found, 0)
        except (IrregularError, PdfError, LookupError, ValueError, TypeError):
            return found
        return Stream(value, found.data) if isinstance(found, Stream) and isinstance(value, dict) else value

    def _reference(self, ref: Ref) -> generic.Reference:
        return generic.Reference(ref.number, ref.generation, self._reader)

    def place(self, ref: Ref) -> int | ObjStreamRef | None:
        """Where an object is: its offset, or its object stream; None where there is none of this number and generation."""
        try:
            place: int | ObjStreamRef | None = self._reader.xrefs[self._reference(ref)]
        except KeyError:
            return None
        return place

    def sections(self) -> list[tuple[XRefSectionData, XRefSectionMetaInfo]]:
        """The cross-reference sections that lead from one to the next, the oldest first."""
        xrefs = self._reader.xrefs
        return [(xrefs.get_xref_data(number), xrefs.get_xref_container_info(number)) for number in range(xrefs.total_revisions)]

    def members(self, ref: Ref) -> list[int]:
        """The numbers that an object stream says that it holds, none where it is no stream; raises ValueError, KeyError, TypeError."""
        stream = self._reader.get_object(self._reference(ref))
        if not isinstance(stream, generic.StreamObject):
            return []
        return [number for number, _offset in self._heads(stream)]

    @staticmethod
    def _heads(stream: generic.StreamObject) -> list[tuple[int, int]]:
        """Number and offset of each object in an object stream."""
        heads = re.sub(rb"%[^\r\n]*", b" ", stream.data[: int(stream["/First"])]).split()[: 2 * int(stream["/N"])]
        return [(int(number), int(offset)) for number, offset in zip(heads[::2], heads[1::2], strict=True)]

    def entries(self, value: Value) -> dict[str, Value]:
        """The dictionary that ``value`` is or leads to; empty where it is none."""
        found = self.get(value)
        return found if isinstance(found, dict) else {}

    def elements(self, value: Value) -> list[Value]:
        """The array that ``value`` is or leads to; empty where it is none."""
        found = self.get(value)
        return found if isinstance(found, list) else []

    def sites(self, numbers: set[int]) -> dict[int, int]:
        """How often what is sealed refers to each of these numbers, also where nothing has the number and where an object stream does.

        Follows everything that can be reached from the trailer; raises TooManyError.
        """
        counts = dict.fromkeys(numbers, 0)
        seen: set[Ref] = set()
        waiting: list[Value] = [self.trailer]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Ref):
                if value.number in counts:
                    counts[value.number] += 1
                if value not in seen:
                    seen.add(value)
                    if len(seen) > MOST_SITES:
                        raise TooManyError
                    place = self.place(value)
                    if isinstance(place, ObjStreamRef):
                        waiting.append(Ref(place.obj_stream_id, 0))  # and what its length or filter refers to
                    waiting.append(self._content(value, place))
            elif isinstance(value, dict):
                waiting.extend(each for each in value.values() if isinstance(each, Ref | dict | list))
            elif isinstance(value, list):
                waiting.extend(each for each in value if isinstance(each, Ref | dict | list))
        return counts

    def _content(self, ref: Ref, place: int | ObjStreamRef | None) -> Value:
        """What an object refers to: its value, or where that cannot be read, whatever looks like a reference up to the next object."""
        try:
            content = self.get(ref)
        except PdfStrictReadError:
            raise
        except (PdfError, KeyError, ValueError, TypeError, AttributeError):
            if not isinstance(place, int):
                raise  # it could refer to anything
            end = self.data.find(b"endobj", place)
            # Too many sites is the safe error: an object counts as shared and may not be rewritten.
            text = self.data[place : end if end >= 0 else None]
            return [Ref(int(each[1]), int(each[2])) for each in _REFERENCE.finditer(text)]
        return content.entries if isinstance(content, Stream) else content

    @cached_property
    def pages(self) -> list[tuple[Ref | None, dict[str, Value]]]:
        """Every page in its order; the reference is None where it stands in its parent itself."""
        found: list[tuple[Ref | None, dict[str, Value]]] = []
        seen: set[Ref] = set()
        waiting: list[tuple[Value, list[Value]]] = [(self.entries(self.root).get("/Pages"), [])]
        while waiting:
            value, above = waiting.pop()
            node = self.entries(value)
            if "/Kids" in node:
                if isinstance(value, Ref) and value in seen:
                    raise UnclearError("page_tree_unclear")
                seen |= {value} if isinstance(value, Ref) else set()
                waiting.extend((kid, [*above, value]) for kid in reversed(self.elements(node["/Kids"])))
            else:
                if isinstance(value, Ref):
                    self._above.setdefault(value, []).append(above)
                found.append((value if isinstance(value, Ref) else None, node))
            if len(found) > MOST_PAGES or len(waiting) > MOST_PAGES:
                raise TooManyError
        return found

    def nodes(self) -> set[Ref]:
        """The nodes of the page tree above its pages."""
        assert self.pages is not None  # which finds them
        return {each for places in self._above.values() for nodes in places for each in nodes if isinstance(each, Ref)}

    def inherited(self, page: Ref, key: str) -> Value:
        """What a page has from the nodes above it; None where that is nothing.

        Raises UnclearError where it stands under other nodes than it says: readers go up from the page or down from the root.
        """
        own, above = [], self.get(page)
        while isinstance(above, dict) and "/Parent" in above:
            own.append(above["/Parent"])
            if len(own) > MOST_PAGE_LEVELS:
                raise UnclearError("page_tree_unclear")
            above = self.get(own[-1])
        if any(own != each[::-1] for each in self._above.get(page, [[]])):
            raise UnclearError("page_tree_unclear")
        return next((node[key] for node in map(self.entries, own) if node.get(key) is not None), None)

    def fields(self) -> Iterator[Node]:
        """Every field and widget of the form; raises TooManyError."""
        form = self.entries(self.entries(self.root).get("/AcroForm"))
        waiting: list[tuple[Value, dict[str, Value], str, int]] = [(each, {}, "", 0) for each in self.elements(form.get("/Fields"))]
        count = 0
        while waiting:
            value, above, name, level = waiting.pop()
            own = self.entries(value)
            count += 1
            if level > MOST_FIELD_LEVELS or count > MOST_FIELDS:
                raise TooManyError
            title, name_above = self.get(own.get("/T")), name
            if isinstance(title, bytes):
                name = f"{name}.{pdf_text(title)}" if level else pdf_text(title)
            inherited = above | {key: own[key] for key in _INHERITABLE if self.get(own.get(key)) is not None}
            if isinstance(value, Ref):
                yield Node(value, own, inherited, name, isinstance(title, bytes), name_above, above)
            waiting.extend((each, inherited, name, level + 1) for each in self.elements(own.get("/Kids")))
