"""What determines the bytes of one sealed document, and what preparing it results in."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Certification, Placement

HOLE_STEP_BYTES: Final = 1024  # holes are whole KiB, so that their size says little about key and timestamp
LARGEST_HOLE_BYTES: Final = 1024 * 1024
Document = bytes | mmap.mmap
"""A document: in memory, or mapped when it is large. Slices of both are bytes."""

PDF_NAME_CHARACTERS: Final = 127  # ISO 32000-1 Annex C.2; applied to field names, too


class ContentPolicy(StrEnum):
    """What to do with content that can change its appearance: seal it with a warning, or refuse."""

    REPORT = "report"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that determines the update besides the document itself. Frozen at Intend, so that a repeat makes the same update.

    field_name      partial name of the new signature field; made unique where the document has it already
    signing_time    goes into /M, in UTC; whole seconds
    placement       marks, texts and certification as approved
    pictures        one-page PDFs by their SHA-256, which the register has checked: those of the marks
    hole_size_bytes how large a CMS the hole takes
    content_policy  of the seal
    writer_version  recorded in /Prop_Build (PDF Signature Build Dictionary Specification)
    owner_name      the seal's owner, for readers that speak (the tooltip of the field)
    bound           the certification that nobody approved for this document alone (a grant): no other, and none only where the
                    document carries a signature already; None where the approved leaf says it
    """

    field_name: str
    signing_time: datetime
    placement: Placement
    pictures: Mapping[bytes, bytes]
    hole_size_bytes: int
    content_policy: ContentPolicy
    writer_version: str
    owner_name: str
    bound: Certification | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "content_policy", ContentPolicy(self.content_policy))
        _require(0 < len(self.field_name) <= PDF_NAME_CHARACTERS, "a signature field has a name of at most 127 characters")
        _require("." not in self.field_name, "the name of a signature field has no period (ISO 32000-2 §12.7.4.2)")
        _require(self.signing_time.tzinfo is not None, "the signing time has a time zone")
        _require(0 < self.hole_size_bytes <= LARGEST_HOLE_BYTES, "the hole takes at most 1 MiB")
        for mark in self.placement.marks:
            if mark.picture_sha256 not in self.pictures:
                raise VermilionError(Code.PICTURE_UNKNOWN, f"the picture {mark.picture_sha256.hex()[:16]}… is not at hand")

    def certification(self, *, signed: bool) -> Certification:
        """What the seal certifies in a document that carries signatures, or none.

        Raises DOCUMENT_SIGNED where a certification is asked that cannot be, GRANT_CERTIFICATION outside of a grant's bounds.
        """
        asked = self.placement.certification
        if self.bound is not None and asked != self.bound and not (signed and asked == Certification.NONE):
            raise VermilionError(
                Code.GRANT_CERTIFICATION, f"under this grant the seal certifies {self.bound.word}; the request says {asked.word}"
            )
        # ISO 32000-2 §12.8.2.2: a document has one certification signature at most, and it is the
        # first.
        if signed and asked != Certification.NONE:
            raise VermilionError(
                Code.DOCUMENT_SIGNED, f"the document carries a signature already, and its form asks to certify it ({asked.word})"
            )
        return asked


@dataclass(frozen=True, slots=True)
class Prepared:
    """An update with an empty hole.

    suffix      what is appended to the document; the hole is zeros
    hole_offset of the hole's ``<`` in the whole file
    byte_range  as in the signature dictionary: two (offset, length) pairs around the hole
    digest      over these two ranges, by the hash that ``prepare`` was given
    field_name  the name that the field got
    warnings    plain sentences for result and ledger
    """

    suffix: bytes
    hole_offset: int
    hole_size_bytes: int
    byte_range: tuple[int, int, int, int]
    digest: bytes
    field_name: str
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        start, first, second, rest = self.byte_range
        _require(start == 0 and first == self.hole_offset, "the first range ends at the hole")
        _require(second == self.hole_offset + 2 * self.hole_size_bytes + 2, "the second range begins behind the hole")
        _require(0 <= self.document_size_bytes <= self.hole_offset and rest > 0, "the hole lies in the suffix")

    @property
    def document_size_bytes(self) -> int:
        """Length of the document without the update."""
        return self.byte_range[2] + self.byte_range[3] - len(self.suffix)

    @property
    def hole(self) -> tuple[int, int]:
        """From ``<`` to behind ``>``, as offsets in the suffix."""
        size_bytes = self.document_size_bytes
        return self.byte_range[1] - size_bytes, self.byte_range[2] - size_bytes


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise VermilionError(Code.INVALID_ARGUMENT, reason)
