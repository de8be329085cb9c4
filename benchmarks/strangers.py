"""Documents that the lean writer does not take: of the shared corpus where it is there, else our own examples, broken so that they have to be mended.

They are what the sandboxed way is measured on. Where the compiled core is left out, that is every document that can be sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks.documents import Kind, Paper
from benchmarks.machine import REPOSITORY
from sealcore import compiled
from sealcore.errors import VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Placement
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import ContentPolicy, Plan
from signer.pipeline.sandbox import Sandbox

NAME: Final = "sandboxed"
CORPUS: Final = REPOSITORY.parent / "shared" / "corpus"
EXAMPLES: Final = REPOSITORY / "examples" / "documents"
LARGEST_BYTES: Final = 2_000_000  # so that no single document is a large part of a run
_HOLE_BYTES: Final = 9_000


def folder() -> Path:
    """Where the documents come from."""
    return CORPUS if CORPUS.is_dir() else EXAMPLES


def papers(count: int, visible: Placement, picture: bytes) -> Iterator[Paper]:
    """``count`` documents, every one of them in turn; every second one is sealed visibly, as ``visible`` says, where it can be."""
    return islice(cycle(_chosen(visible, picture)), count)


def _chosen(visible: Placement, picture: bytes) -> list[Paper]:
    chosen: list[Paper] = []
    sandbox = Sandbox(largest_document_bytes=LARGEST_BYTES, workers=1)
    try:
        for file in sorted(folder().glob("*.pdf")):
            content = file.read_bytes()
            if folder() == EXAMPLES and compiled.AVAILABLE:
                content = content[: content.rfind(b"startxref")]
            looks = (visible, Placement()) if len(chosen) % 2 else (Placement(),)
            placed = next((look for look in looks if len(content) <= LARGEST_BYTES and _is_for(sandbox, content, look, picture)), None)
            if placed is not None:
                chosen.append(Paper(Kind(file.stem, len(content), 1, 0), "real", bool(placed.marks), content))
    finally:
        sandbox.close()
    return chosen


def _is_for(sandbox: Sandbox, content: bytes, placement: Placement, picture: bytes) -> bool:
    """Whether it takes the sandbox to seal the document, and can be done there."""
    pictures = {hashlib.sha256(picture).digest(): picture}
    plan = Plan("Vermilion-1", datetime.now(UTC), placement, pictures, _HOLE_BYTES, ContentPolicy.REPORT, NAME, NAME)
    if prepare_lean(content, plan, hash_state("sha256", content)) is not None:
        return False
    try:
        sandbox.run(content, plan)
    except VermilionError:
        return False
    return True
