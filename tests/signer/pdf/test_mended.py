"""A broken document that is as any other once it is mended is written by the lean writer, and means what the general one makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

import signer.pdf.full.prepare as general
from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.plan import ContentPolicy, Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.account import require_accounted_in_general
from signer.pdf.reasons import JAVASCRIPT, REPAIRED
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal


def _cut(document: bytes) -> bytes:
    """Without the end of its table of contents."""
    return document[: document.rfind(b"startxref")]


def _astray(document: bytes) -> bytes:
    """With a startxref that leads nowhere."""
    return _cut(document) + b"startxref\n7\n%%EOF\n"


_WHOLE = {
    "simple": documents.simple(),
    "with a form": documents.form(),
    "of two pages": documents.pages(2, rotate=90),
    "with object streams": documents.object_streams(),
    "with a script": documents.simple(catalog=b"/OpenAction << /S /JavaScript /JS (1) >>"),
}


def _plan(seal: Seal, picture: bytes, *, marked: bool) -> Plan:
    if not marked:
        return seal.plan()
    digest = hashlib.sha256(picture).digest()
    return seal.plan(Placement((Mark((0,), Rectangle(20_000, 20_000, 80_000, 80_000), digest),)), pictures={digest: picture})


def _accounted(document: bytes, prepared: Prepared, plan: Plan) -> tuple[object, ...]:
    hole = require_accounted_in_general(document, prepared.suffix, plan, prepared.field_name)
    size_bytes = len(document)
    assert prepared.byte_range == (0, size_bytes + hole.start, size_bytes + hole.end, len(prepared.suffix) - hole.end)
    assert prepared.digest == hash_state("sha256", document).digest(prepared.suffix[: hole.start] + prepared.suffix[hole.end :])
    return prepared.field_name, prepared.warnings, prepared.hole_size_bytes


@pytest.mark.parametrize("marked", [False, True], ids=["invisible", "visible"])
@pytest.mark.parametrize("broken", [_cut, _astray], ids=["cut", "astray"])
@pytest.mark.parametrize("kind", _WHOLE)
def test_both_writers_mean_the_same(  # noqa: PLR0917
    seal: Seal, picture: bytes, monkeypatch: pytest.MonkeyPatch, kind: str, broken: Callable[[bytes], bytes], marked: bool
) -> None:
    document, plan = broken(_WHOLE[kind]), _plan(seal, picture, marked=marked)
    made, quickly = list[Prepared | None](), general._by_lean_writer

    def noted(*given: Any) -> Prepared | None:
        made.append(quickly(*given))
        return made[-1]

    monkeypatch.setattr(general, "_by_lean_writer", noted)
    by_lean = prepare(document, plan)
    assert made == [by_lean], "it went the quick way"
    monkeypatch.setattr(general, "_by_lean_writer", lambda *_given: None)
    assert _accounted(document, by_lean, plan) == _accounted(document, prepare(document, plan), plan)
    assert by_lean.warnings == ((JAVASCRIPT, REPAIRED) if kind == "with a script" else (REPAIRED,))


def test_what_a_strict_seal_refuses_it_refuses_of_a_mended_document(seal: Seal) -> None:
    with pytest.raises(VermilionError) as refusal:
        prepare(_cut(_WHOLE["with a script"]), seal.plan(content_policy=ContentPolicy.STRICT))
    assert refusal.value.code is Code.DOCUMENT_CHANGEABLE


def test_a_broken_document_that_is_signed_stays_refused(seal: Seal) -> None:
    document = documents.simple()
    signed = seal.finish(document, prepare(document, seal.plan()))
    with pytest.raises(VermilionError) as refusal:
        prepare(_astray(signed), seal.plan(field_name="Vermilion-2"))
    assert refusal.value.code is Code.DOCUMENT_DAMAGED
