"""The leaf: one document of a batch, and exactly how it is to be sealed (docs/protocol.md, "Leaf and manifest")."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from sealcore.protocol import merkle
from sealcore.protocol.canonical import is_digest, is_integer, is_text, ordered_cbor, require
from sealcore.protocol.labels import LEAF_V1

SALT_BYTES = 16
MOST_DOCUMENTS = 2**20  # of one manifest: a proof is at most 20 hashes long
MOST_MARKS = 1000
MOST_PAGES = 100_000  # of one mark
TEXT_CHARACTERS = 2000  # of one signature text; bounds the signature dictionary
_SINT32 = 2**31 - 1  # the wire's sint32


class MarkKind(StrEnum):
    """Whole on each page, or sliced over the pages."""

    PLAIN = "plain"
    RIDING = "riding"


class Certification(IntEnum):
    """DocMDP level (ISO 32000-2 §12.8.2.2): none, P=1 (no change after), P=2 (others may sign and fill in)."""

    NONE = 0
    FINAL = 1
    FORM_FILL = 2

    @property
    def word(self) -> str:
        """As registers, plans and people have it: none, final, form-fill."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def of_word(cls, word: object) -> Certification:
        """The inverse of ``word``; raises INVALID_ARGUMENT."""
        found = next((one for one in cls if one.word == word), None)
        require(found is not None, "a certification is none, final or form-fill")
        assert found is not None
        return found


class Level(StrEnum):
    """PAdES baseline level (ETSI EN 319 142-1)."""

    B_T = "B-T"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """In default user space of the page, in thousandths of a PDF unit (1/72000 inch); x0 < x1, y0 < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        require(all(is_integer(value, -_SINT32, _SINT32) for value in self.as_list()), "a rectangle has whole millipoints")
        require(self.x0 < self.x1 and self.y0 < self.y1, "a rectangle has its lower left corner first and an area")

    def as_list(self) -> list[int]:
        """[x0, y0, x1, y1]."""
        return [self.x0, self.y0, self.x1, self.y1]


@dataclass(frozen=True, slots=True)
class Mark:
    """A visible seal: the picture with this SHA-256 at one rectangle on some pages (0-based, ascending)."""

    pages: tuple[int, ...]
    rectangle: Rectangle
    picture_sha256: bytes
    kind: MarkKind = MarkKind.PLAIN

    def __post_init__(self) -> None:
        require(isinstance(self.kind, MarkKind), "a mark is plain or riding")
        require(0 < len(self.pages) <= MOST_PAGES, f"a mark names 1 to {MOST_PAGES} pages")
        require(all(is_integer(page, 0, _SINT32) for page in self.pages), "pages are numbered from 0")
        require(all(a < b for a, b in zip(self.pages, self.pages[1:], strict=False)), "the pages of a mark ascend, each once")
        require(is_digest(self.picture_sha256), "a picture is named by its SHA-256")

    def as_map(self) -> dict[str, Any]:
        """The mark as it enters the leaf."""
        return {
            "kind": self.kind.value,
            "rect": self.rectangle.as_list(),
            "pages": list(self.pages),
            "picture": self.picture_sha256,
        }


@dataclass(frozen=True, slots=True)
class SignatureTexts:
    """Texts of the signature dictionary (ISO 32000-2 table 255): Name, Reason, Location, ContactInfo. Empty means absent."""

    name: str = ""
    reason: str = ""
    location: str = ""
    contact: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "reason", "location", "contact"):
            value = getattr(self, name)
            require(value == "" or is_text(value, TEXT_CHARACTERS), f"the text {name!r} is too long or has control characters")

    def as_map(self) -> dict[str, str]:
        """Those that are not empty."""
        texts = {"name": self.name, "reason": self.reason, "contact": self.contact, "location": self.location}
        return {name: value for name, value in texts.items() if value}


@dataclass(frozen=True, slots=True)
class Placement:
    """How a document is to be sealed: everything of the leaf but the document itself."""

    marks: tuple[Mark, ...] = ()
    texts: SignatureTexts = SignatureTexts()
    certification: Certification = Certification.NONE
    level: Level = Level.B_T
    _encoded: tuple[bytes, bytes] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require(len(self.marks) <= MOST_MARKS, f"a document takes at most {MOST_MARKS} marks")
        require(isinstance(self.certification, Certification), "the certification is none, final or form-fill")
        require(isinstance(self.level, Level), "the PAdES level is B-T")

    @property
    def encoded(self) -> tuple[bytes, bytes]:
        """Its two parts of a leaf's CBOR, before and behind the document's own members; made once, since batches share placements."""
        if self._encoded is None:
            middle = {"level": self.level.value, "marks": [mark.as_map() for mark in self.marks], "texts": self.texts.as_map()}
            last = {"certification": int(self.certification)}
            # Frozen all the same: it follows from the other members, and is the same whoever
            # computes it first.
            object.__setattr__(self, "_encoded", (ordered_cbor(middle)[1:], ordered_cbor(last)[1:]))  # without the head of the map
        assert self._encoded is not None
        return self._encoded


@dataclass(frozen=True, slots=True)
class Leaf:
    """Document ``index`` of a batch of ``size``; ``salt`` hides it from who sees only the tree."""

    salt: bytes
    index: int
    size: int
    document_sha256: bytes
    document_size_bytes: int
    placement: Placement

    def __post_init__(self) -> None:
        fits = (  # one look for all, since this is done for each document; which one it was is found out when there is need
            is_digest(self.document_sha256)
            and isinstance(self.salt, bytes)
            and len(self.salt) == SALT_BYTES
            and is_integer(self.size, 1, MOST_DOCUMENTS)
            and is_integer(self.index, 0, self.size - 1)
            and is_integer(self.document_size_bytes)
        )
        if not fits:
            self._refuse()

    def _refuse(self) -> None:
        require(isinstance(self.salt, bytes) and len(self.salt) == SALT_BYTES, "a leaf's salt is 16 bytes")
        require(is_integer(self.size, 1, MOST_DOCUMENTS), f"a batch has 1 to {MOST_DOCUMENTS} documents")
        require(is_integer(self.index, 0, self.size - 1), "a leaf's index lies within its batch")
        require(is_digest(self.document_sha256), "a document is named by its SHA-256")
        require(is_integer(self.document_size_bytes), "a document has a size in bytes")


def placement_map(placement: Placement) -> dict[str, Any]:
    """The four members of a placement, named as in the leaf (digests as bytes)."""
    return {
        "marks": [mark.as_map() for mark in placement.marks],
        "texts": placement.texts.as_map(),
        "certification": int(placement.certification),
        "level": str(placement.level),
    }


# The leaf is a CBOR map of nine members in the order of RFC 8949 §4.2.1: shorter names first, then bytewise. The pieces between
# what differs from leaf to leaf are constant.
_SALT = b"\xa9" + ordered_cbor("salt") + bytes((0x40 | SALT_BYTES,))
_SIZE = ordered_cbor("size")
_INDEX = ordered_cbor("index")
_LENGTH = ordered_cbor("length")
_SHA256 = ordered_cbor("sha256") + b"\x58\x20"


def leaf_input(leaf: Leaf) -> bytes:
    """``vermilion-leaf-v1`` ‖ deterministic CBOR of the leaf."""
    middle, last = leaf.placement.encoded
    numbers = _SIZE + ordered_cbor(leaf.size) + _INDEX + ordered_cbor(leaf.index)
    length = _LENGTH + ordered_cbor(leaf.document_size_bytes)
    return b"".join((LEAF_V1, _SALT, leaf.salt, numbers, middle, length, _SHA256, leaf.document_sha256, last))


def leaf_hash(leaf: Leaf) -> bytes:
    """SHA-256(0x00 ‖ leaf input)."""
    return merkle.leaf_hash(leaf_input(leaf))
