"""A reference to an object that a document does not have stays without meaning when the document is sealed, by either writer."""

from __future__ import annotations

import hashlib
import re
import subprocess
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, MarkKind, Placement, Rectangle
from signer.pdf.full.numbers import FreeNumbers
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.continuation import reference_to
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, pdfsig

_LIKELY = range(5, 60)  # what a writer that counts on would take
_WRITTEN = {
    "plain": b"%d 0 R",
    "with leading zeros": b"000%d 0 R",
    "with a sign": b"+%d 0 R",
    "over lines with comments": b"%d%%!\r\n 0\t%% 1 0 R\n\n R",
    "as a broken number": b"%d.7 0 R",
}


def _document(how: bytes) -> bytes:
    """Page 1 is for the seal; on page 2 stands an annotation whose look is any of the likely numbers."""
    annotations = b" ".join(
        b"<< /Type /Annot /Subtype /Stamp /Rect [100 500 300 700] /F 4 /AP << /N %b >> >>" % (how % number) for number in _LIKELY
    )
    annots = b"[%b %b]" % (annotations, b" ".join(how % number for number in _LIKELY))
    return documents.assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 /Resources << >> /MediaBox [0 0 595 842] >>",
            3: b"<< /Type /Page /Parent 2 0 R >>",
            4: b"<< /Type /Page /Parent 2 0 R /Annots %b >>" % annots,
        }
    )


def _packed_document(how: bytes) -> bytes:
    """The same, with its objects in an object stream."""
    source = _document(how)
    bodies = [re.search(rb"\n%d 0 obj\n(.*?)\nendobj" % number, source, re.DOTALL) for number in (1, 2, 3, 4)]
    texts = [match[1] for match in bodies if match is not None]
    offsets = [sum(len(each) + 1 for each in texts[:index]) for index in range(4)]
    head = b" ".join(b"%d %d" % (number, offset) for number, offset in zip((1, 2, 3, 4), offsets, strict=True)) + b"\n"
    data = zlib.compress(head + b"\n".join(texts))
    file = b"%%PDF-1.7\n5 0 obj\n<< /Type /ObjStm /N 4 /First %d /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream\nendobj\n"
    file %= (len(head), len(data), data)
    rows = (
        b"\0\0\0\0\0" + b"".join(b"\2\0\0\5%c" % index for index in range(4)) + b"\1\0\0\x09\0" + b"\1%b\0" % len(file).to_bytes(3, "big")
    )
    section = (
        b"6 0 obj\n<< /Type /XRef /Size 7 /W [1 3 1] /Root 1 0 R /Length %d >>\nstream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
    )
    return file + section % (len(rows), rows, len(file))


def _lean(document: bytes, plan: Plan) -> Prepared:
    prepared = prepare_lean(document, plan, hash_state("sha256", document))
    assert prepared is not None, "the lean writer understands this"
    return prepared


def _marked(seal: Seal, picture: bytes) -> Plan:
    """With a mark on the first page."""
    picture_sha256 = hashlib.sha256(picture).digest()
    placement = Placement(marks=(Mark((0,), Rectangle(20_000, 20_000, 60_000, 60_000), picture_sha256, MarkKind.PLAIN),))
    return seal.plan(placement, pictures={picture_sha256: picture})


def _pixels(file: Path, page: int) -> bytes:
    command = ["pdftoppm", "-r", "40", "-f", str(page), "-l", str(page), str(file)]
    return subprocess.run(command, check=True, capture_output=True).stdout


ODD = frozenset({"with leading zeros", "with a sign", "over lines with comments", "as a broken number"})
"""Spellings that the lean writer leaves to the sandbox."""
WRITERS: dict[str, Callable[[bytes, Plan], Prepared]] = {"lean": _lean, "pyHanko": prepare}


SHAPES: dict[str, Callable[[bytes], bytes]] = {"in the file": _document, "in an object stream": _packed_document}


@pytest.mark.parametrize(
    ("writer", "shape", "how"), [*product(["lean"], SHAPES, sorted(_WRITTEN.keys() - ODD)), *product(["pyHanko"], SHAPES, _WRITTEN)]
)
def test_no_reference_of_the_document_comes_to_life(
    seal: Seal, picture: bytes, tmp_path: Path, *, writer: str, shape: str, how: str
) -> None:
    document = SHAPES[shape](_WRITTEN[how])
    prepared = WRITERS[writer](document, _marked(seal, picture))
    new = {int(number) for number in re.findall(rb"(?m)^(\d+) \d+ obj\b", prepared.suffix)} - {1, 2, 3, 4}
    assert len(new) >= 4, "signature, field, look and picture"
    assert not new & set(_LIKELY)
    sealed = seal.finish(document, prepared)
    assert pdfsig(seal.authority, sealed, tmp_path).good
    before, after = tmp_path / "before.pdf", tmp_path / "after.pdf"
    before.write_bytes(document)
    after.write_bytes(sealed)
    assert _pixels(before, 2) == _pixels(after, 2)
    assert _pixels(before, 1) != _pixels(after, 1), "the seal is where it was approved"


@pytest.mark.parametrize(("shape", "how"), sorted(product(SHAPES, ODD)))
def test_an_odd_spelling_of_a_reference_on_any_page_is_left_to_the_sandbox(seal: Seal, picture: bytes, shape: str, how: str) -> None:
    document = SHAPES[shape](_WRITTEN[how])
    assert prepare_lean(document, _marked(seal, picture), hash_state("sha256", document)) is None


def test_a_document_that_leaves_no_number_is_refused() -> None:
    texts = [b"".join(b"[%d0 0 R]" % block for block in range(1, 1000))]
    with pytest.raises(VermilionError) as refused:
        FreeNumbers(7, texts).take()
    assert refused.value.code == Code.DOCUMENT_TOO_COMPLEX


def test_digits_that_are_no_reference_take_no_number_away() -> None:
    numbers = FreeNumbers(7, [b"10 20 30 m 10 0 ob 11 0 rg", b"0000000013 00000 n \n"])
    assert [numbers.take(), numbers.take(9), numbers.take(2), numbers.take(25), numbers.take()] == [10, 11, 20, 30, 55]
    assert numbers.size == 56


@pytest.mark.parametrize(
    ("text", "refers"),
    [
        (b"12 0 R", True), (b"[12 0 R]", True), (b"/A 0012 00 R", True), (b"0 12 0 R", True), (b"x012.0 0 R", True), (b"12%c\n0 R", True),
        (b"120 0 R 12 %" + b"y" * 200 + b"\n0 R", True), (b"121 0 R 7 0 R", True), (b"0 0 0 00007 0 R", True),
        (b"112 0 R", False), (b"1012 0 R", False), (b"120 0 R", False), (b"12.5 0 R", False), (b"12 0 Rx", False), (b"12 0 obj", False),
        (b"70 0 R", False), (b"17 0 R", False), (b"007", False), (b"", False),
    ],
)  # fmt: skip
def test_the_account_finds_a_reference_however_its_number_is_spelled(text: bytes, refers: bool) -> None:
    for behind in (b"", b" ", b"\n1 0 R"):
        assert bool(reference_to({7, 12, 121}).search(text + behind)) is refers
