"""Where the seals go on a set of documents: what a file beside the folder says, else the bottom right of the last page.

The file is the folder's name with `.toml`; a table for each document, lengths in millimetres from the lower left of the visible page:

    ["contract.pdf"]
    seals = [{ page = 3, x_mm = 34, y_mm = 60 }, { riding = true, y_mm = 150 }]
    reason = "Purchase contract"
    certification = "final"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter

from sealcore.errors import Code, VermilionError
from sealcore.platform.config import Block
from sealcore.protocol.leaf import Certification, Mark, MarkKind, Placement, Rectangle, SignatureTexts
from vermilion.client import Document, Picture, bottom_right
from vermilion.client.documents import below

MILLIPOINTS_A_MM = 72_000 / 25.4
HEADER_BYTES = 1024  # where readers look for the header of a PDF (ISO 32000-2 Annex I)
A4_WIDTH_MM = 210.0


class SealPlace(Block):
    """One impression: its lower left corner on a page (1 is the first), or a riding seal over the right edges of ``pages`` pages."""

    page: int = Field(default=1, ge=1)
    x_mm: float = 0.0
    y_mm: float
    riding: bool = False
    pages: int = Field(default=2, ge=2)
    page_width_mm: float = A4_WIDTH_MM


class DocumentPlan(Block):
    """How one document is sealed. Without ``seals`` it goes to the bottom right of the last page; an empty list: invisible.

    Without ``certification`` it is certified as its seal is registered, and not at all where it carries a signature already.
    """

    seals: tuple[SealPlace, ...] | None = None
    reason: str = ""
    location: str = ""
    certification: Literal["none", "final", "form-fill"] | None = None


Plan = dict[str, DocumentPlan]
_PLAN = TypeAdapter(Plan)


def load(folder: Path) -> Plan:
    """The plan beside ``folder``, empty when there is none; CONFIGURATION_INVALID naming what is wrong."""
    folder = folder.resolve()  # "." has no name
    if not folder.name or not (file := folder.with_name(folder.name + ".toml")).is_file():
        return {}
    try:
        return _PLAN.validate_python(tomllib.loads(file.read_text("utf-8")))
    except ValueError as fault:  # no UTF-8, no TOML, no plan
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{file.name} is not a plan of seals: {str(fault).splitlines()[0]}") from None


def place(plan: Plan, picture: Picture, *, visible: bool = True) -> Callable[[Document], Placement]:
    """Says for each document how it is to be sealed."""

    def placed(document: Document) -> Placement:
        wanted = plan.get(document.file_name, DocumentPlan())
        texts = SignatureTexts(reason=wanted.reason, location=wanted.location)
        if not visible or wanted.seals == ():
            return Placement((), texts)
        if wanted.seals is None:
            return bottom_right(document, picture, texts=texts)
        return Placement(tuple(_mark(seal, picture) for seal in wanted.seals), texts)

    return placed


def certify(plan: Plan, otherwise: Certification | None = None) -> Callable[[Document], Certification | None]:
    """Says for each document what its form asks to be certified; None where it is left to the seal. ``otherwise`` where the plan is silent."""

    def asked(document: Document) -> Certification | None:
        wanted = plan.get(document.file_name, DocumentPlan()).certification
        return otherwise if wanted is None else Certification.of_word(wanted)

    return asked


def _mark(seal: SealPlace, picture: Picture) -> Mark:
    width_mm, height_mm = picture.width_pt / 72 * 25.4, picture.height_pt / 72 * 25.4
    if seal.riding:
        slice_mm = width_mm / seal.pages
        rectangle = _rectangle(seal.page_width_mm - slice_mm, seal.y_mm, slice_mm, height_mm)
        return Mark(tuple(range(seal.pages)), rectangle, picture.sha256, MarkKind.RIDING)
    return Mark((seal.page - 1,), _rectangle(seal.x_mm, seal.y_mm, width_mm, height_mm), picture.sha256, MarkKind.PLAIN)


def _rectangle(x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> Rectangle:
    left, bottom = round(x_mm * MILLIPOINTS_A_MM), round(y_mm * MILLIPOINTS_A_MM)
    return Rectangle(left, bottom, left + round(width_mm * MILLIPOINTS_A_MM), bottom + round(height_mm * MILLIPOINTS_A_MM))


def collect(paths: Iterable[Path], *, without: Path | None = None) -> list[Document]:
    """Every file named, and every PDF under every folder named, in order; hidden ones stay out. INVALID_ARGUMENT when there is none, FILE_UNUSABLE.

    ``without`` is a folder whose files stay out where it lies below one that was named: results are no new documents.
    A PDF is known by its suffix or by its header, so that a damaged one is refused with its code and not passed over.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = [one for one in below(path) if not _hidden(one.relative_to(path)) and _looks_like_pdf(one)]
            results = without.resolve() if without is not None and path.resolve() in without.resolve().parents else None
            files += [one for one in found if results is None or results not in one.resolve().parents]
        elif path.is_file():
            files.append(path)
        else:
            raise VermilionError(Code.FILE_UNUSABLE, f"there is no file or folder {path}")
    if not files:
        raise VermilionError(Code.INVALID_ARGUMENT, "there is nothing to seal: the folder holds no PDF files")
    return [Document(path.name, path) for path in files]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _looks_like_pdf(path: Path) -> bool:
    if path.suffix.lower() == ".pdf":
        return True
    try:
        with path.open("rb") as file:
            return b"%PDF-" in file.read(HEADER_BYTES)
    except OSError:
        return False
