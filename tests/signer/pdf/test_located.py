"""The small reader finds a signature where every reader finds it, or not at all."""

from __future__ import annotations

import pytest

from sealcore.errors import Code, VermilionError
from signer.pdf.readback.locate import Located, locate
from tests.signer.pdf import documents

NAME = "Vermilion-1"
BASE = documents.simple()
HOLE = b"<" + b"3003020105".ljust(64, b"0") + b">"


def located(file: bytes) -> Located | None:
    try:
        return locate(file, NAME)
    except VermilionError as refusal:
        assert refusal.code == Code.DOCUMENT_READBACK
        return None


class Writing:
    """An update of ``BASE`` with every offset right, made from pieces that a test chooses."""

    def __init__(self, catalog: bytes, form: bytes, field: bytes, before: bytes, behind: bytes) -> None:
        self.objects = {1: catalog, 10: form, 11: field}
        self.before, self.behind = before, behind

    def suffix(self, *, stream: bool, trailer: bytes = b"", rows: bytes = b"", end: bytes = b"") -> bytes:
        at, offsets, out = len(BASE), {}, bytearray(b"\n")
        for number, body in self.objects.items():
            offsets[number] = at + len(out)
            out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        offsets[12] = at + len(out)
        out += b"12 0 obj\n<<" + self.before
        start = len(out)
        out += HOLE + self.behind + b">>\nendobj\n"
        section = len(out)
        offsets[13] = at + section
        out += self._stream(offsets, trailer) if stream else self._table(offsets, trailer, rows)
        out += b"startxref\n%d\n%%%%EOF\n" % (at + section) + end
        placed = b"[0 %d %d %d]" % (at + start, at + start + len(HOLE), len(out) - start - len(HOLE))
        return bytes(out).replace(b"[RANGE                                 ]", placed.ljust(40))

    @staticmethod
    def _table(offsets: dict[int, int], trailer: bytes, rows: bytes) -> bytes:
        lines = [b"%d 1\n%010d 00000 n \n" % (number, offset) for number, offset in offsets.items() if number != 13]
        return b"xref\n" + b"".join(lines) + rows + b"trailer\n<< /Size 14 /Root 1 0 R /Prev %d %b>>\n" % (_prev(), trailer)

    @staticmethod
    def _stream(offsets: dict[int, int], trailer: bytes) -> bytes:
        rows = b"".join(b"\x01" + offset.to_bytes(3, "big") for offset in offsets.values())
        index = b" ".join(b"%d 1" % number for number in offsets)
        head = b"/Type /XRef /W [1 3 0] /Index [%b] /Size 14 /Root 1 0 R /Prev %d /Length %d %b" % (index, _prev(), len(rows), trailer)
        return b"13 0 obj\n<< %b>>\nstream\n%b\nendstream\nendobj\n" % (head, rows)


def _prev() -> int:
    return BASE.rindex(b"xref\n0 ")


PLAIN = {
    "catalog": b"<< /Type /Catalog /Pages 2 0 R /AcroForm 10 0 R >>",
    "form": b"<< /Fields [ 11 0 R ] /SigFlags 3 >>",
    "field": b"<< /FT /Sig /T (Vermilion-1) /V 12 0 R >>",
    "before": b" /Type /Sig /ByteRange [RANGE                                 ] /Contents ",
    "behind": b" /M (D:20260101) ",
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_update_is_found(stream: bool) -> None:
    suffix = Writing(**PLAIN).suffix(stream=stream)
    found = located(BASE + suffix)
    assert found is not None and found.byte_range[1] == len(BASE) + suffix.index(HOLE)


@pytest.mark.parametrize("number", [1, 10, 11, 12])
def test_an_object_under_another_number_is_not_found(number: int) -> None:
    suffix = Writing(**PLAIN).suffix(stream=False)
    assert located(BASE + suffix.replace(b"\n%d 0 obj" % number, b"\n%d 0 obj" % (number ^ 1))) is None


@pytest.mark.parametrize("number", [1, 10, 11, 12])
def test_an_object_that_is_marked_as_free_is_not_found(number: int) -> None:
    suffix = Writing(**PLAIN).suffix(stream=False)
    row = suffix.index(b"\n%d 1\n" % number) + len(b"\n%d 1\n" % number)
    assert located(BASE + suffix[: row + 17] + b"f" + suffix[row + 18 :]) is None


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("before", b" /ByteRange [0 1 2 3] /ByteRange [RANGE                                 ] /Contents "),
        ("before", b" /Type /Sig /Contents "),
        ("before", b" /ByteRange [RANGE                                 ] /K "),
        ("field", b"<< /FT /Tx /T (Vermilion-1) /V 12 0 R >>"),
        ("field", b"<< /FT /Sig /T (Other) /V 12 0 R >>"),
        ("field", b"<< /FT /Sig /T (Vermilion-1) /V 1 0 R >>"),
        ("field", b"<< /FT /Sig /T (Vermilion-1) /V null >>"),
        ("form", b"<< /Fields [] /SigFlags 3 >>"),
        ("form", b"<< /Fields 9 0 R >>"),
        ("form", b"<< /Fields [(11 0 R)] >>"),
        ("catalog", b"<< /Type /Catalog /Pages 2 0 R /AcroForm null >>"),
        ("catalog", b"<< /Type /Catalog /Pages 2 0 R /AcroForm 1 0 R >>"),
    ],
)
def test_what_leads_elsewhere_is_not_found(name: str, odd: bytes) -> None:
    for stream in (False, True):
        assert located(BASE + Writing(**PLAIN | {name: odd}).suffix(stream=stream)) is None


def test_the_whole_file_is_covered_or_nothing_is_found() -> None:
    suffix = Writing(**PLAIN).suffix(stream=False)
    for more in (b"\n", b"%", b"\n% comment\n"):
        assert located(BASE + suffix + more) is None
