"""A sealed page looks as the approved one plus the seal, and every other page as before: compared in pixels, by two renderers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, MarkKind, Placement, Rectangle
from signer.pdf.lean import prepare_lean
from signer.pdf.marks import Box
from signer.pdf.plan import Plan
from signer.pdf.prepare import prepare
from tests.conftest import EXAMPLES
from tests.signer.pdf.kit import Seal
from tests.signer.pdf.looks import RENDERERS, by_pdfium, surplus, visible

_SIDE = 60.0  # of a mark, in points


def _corner(box: Box) -> Rectangle:
    """In the lower left of what is visible of a page, in millipoints."""
    left, bottom = box[0] + 20, box[1] + 20
    return Rectangle(*(round(1000 * value) for value in (left, bottom, left + _SIDE, bottom + _SIDE)))


def _faults(seal: Seal, document: bytes, plan: Plan, renderers: list[str]) -> list[str]:
    """Of whichever writer seals the document in use."""
    prepared = prepare_lean(document, plan, hash_state("sha256", document)) or prepare(document, plan)
    sealed = seal.finish(document, prepared)
    boxes: dict[int, Box] = {}
    for mark in plan.placement.marks:
        rectangle = mark.rectangle
        corners = (rectangle.x0 / 1000, rectangle.y0 / 1000, rectangle.x1 / 1000, rectangle.y1 / 1000)
        boxes |= dict.fromkeys(mark.pages, corners)
    return [f"{name}: {each}" for name in renderers for each in surplus(document, sealed, boxes, RENDERERS[name])]


@pytest.mark.parametrize("kind", ["invisible", "on the first page", "riding over all pages"])
def test_the_examples_look_as_before_plus_the_seal(seal: Seal, picture: bytes, picture_sha256: bytes, kind: str) -> None:
    looked_at = 0
    for file in sorted(EXAMPLES.glob("*.pdf")):
        document = file.read_bytes()
        marks: tuple[Mark, ...] = ()
        if kind != "invisible":
            boxes = visible(document)
            pages = (0,) if kind == "on the first page" else tuple(range(len(boxes)))
            if not boxes or (kind != "on the first page" and len(boxes) < 2):
                continue
            marks = (Mark(pages, _corner(boxes[0]), picture_sha256, MarkKind.RIDING if len(pages) > 1 else MarkKind.PLAIN),)
        try:
            faults = _faults(seal, document, seal.plan(Placement(marks), pictures={picture_sha256: picture}), list(RENDERERS))
        except VermilionError as refusal:
            assert refusal.code in {Code.DOCUMENT_LOCKED, Code.DOCUMENT_ENCRYPTED, Code.DOCUMENT_DAMAGED}, (file.name, refusal)
            continue
        assert not faults, (file.name, faults)
        looked_at += 1
    assert looked_at >= (2 if kind == "riding over all pages" else 8)


@pytest.mark.corpus
@pytest.mark.timeout(1200)
def test_the_corpus_looks_as_before_plus_the_seal(seal: Seal, picture: bytes, picture_sha256: bytes, documents_folder: Path) -> None:
    """With one renderer, which runs in this process: PDFium."""
    looked_at, faults = 0, []
    for file in sorted(documents_folder.glob("*.pdf")):
        document = file.read_bytes()
        try:
            boxes = visible(document)
            by_pdfium(document)
        except RuntimeError:  # PDFium cannot show it unsealed either
            continue
        if not boxes or len(boxes) > 200:
            continue
        plan = seal.plan(Placement((Mark((0,), _corner(boxes[0]), picture_sha256),)), pictures={picture_sha256: picture})
        try:
            faults += [f"{file.name}: {each}" for each in _faults(seal, document, plan, ["PDFium"])]
        except VermilionError:
            continue  # refused for a reason, which other tests look into
        looked_at += 1
    assert not faults, faults
    assert looked_at >= (250 if documents_folder != EXAMPLES else 5), looked_at
