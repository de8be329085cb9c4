"""The general writer takes a picture's commands as they are coded, where that is how the account has them."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.prepare import prepare
from signer.pdf.readback.account import require_accounted_in_general
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal

_COMMANDS = b"0.784 0.196 0.122 rg 2 2 38 38 re f " * 40
_CODED = zlib.compress(_COMMANDS, 9)
_EARLIER, _LATER = zlib.compress(b"0.784 0.196 0.122 rg"), zlib.compress(b"2 2 38 38 re f")


def _stream(head: bytes, data: bytes) -> bytes:
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (head, len(data), data)


_PICTURES = {
    "coded by Flate": ({4: _stream(b"/Filter/FlateDecode", _CODED)}, True),
    "not coded": ({4: _stream(b"", _COMMANDS)}, False),
    "with bytes behind its data": ({4: _stream(b"/Filter/FlateDecode", _CODED + b"9 0 obj<</Type/Annot>>endobj")}, False),
    "of one stream in an array": ({4: b"[5 0 R]", 5: _stream(b"/Filter/FlateDecode", _CODED)}, True),
    "of two streams": (
        {4: b"[5 0 R 6 0 R]", 5: _stream(b"/Filter/FlateDecode", _EARLIER), 6: _stream(b"/Filter/FlateDecode", _LATER)},
        False,
    ),
}


@pytest.mark.parametrize("kind", _PICTURES)
def test_however_a_picture_is_coded_it_is_sealed_and_accounted_for(seal: Seal, kind: str) -> None:
    content, as_it_is = _PICTURES[kind]
    picture = documents.assemble(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 42 42]/Resources<<>>/Contents 4 0 R>>",
            **content,
        }
    )
    digest = hashlib.sha256(picture).digest()
    plan = seal.plan(Placement((Mark((0,), Rectangle(20_000, 20_000, 80_000, 80_000), digest),)), pictures={digest: picture})
    document = documents.simple()
    prepared = prepare(document, plan)
    assert (_CODED in prepared.suffix) is as_it_is
    assert b"9 0 obj<</Type/Annot>>" not in prepared.suffix
    hole = require_accounted_in_general(document, prepared.suffix, plan, prepared.field_name)
    update = prepared.suffix[: hole.start] + prepared.suffix[hole.end :]
    assert hash_state("sha256", document).digest(update) == prepared.digest
