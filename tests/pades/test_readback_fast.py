"""The quick way of reading back finds nothing that the general reader does not find in the same place, and finds every usual seal."""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from signer.pdf.fill import fill
from signer.pdf.full.prepare import prepare
from signer.pdf.plan import Prepared
from signer.pdf.readback import quick_signature as readback_fast
from signer.pdf.readback.signature import Located, locate, read_back
from tests.pades import documents
from tests.pades.kit import Seal

NAME = "Vermilion-1"
BASE = documents.simple()
HOLE = b"<" + b"3003020105".ljust(64, b"0") + b">"

# Where the catalog is written anew, the seal is found the quick way.
SLOWLY = {"form", "fields-elsewhere"}


def located(file: bytes) -> Located | None:
    try:
        return locate(file, NAME)
    except VermilionError as refusal:
        assert refusal.code == Code.DOCUMENT_READBACK
        return None


def assert_same(document: bytes, suffix: bytes, field_name: str = NAME) -> bool:
    """Whether the quick way found it; what it finds is what the general reader finds."""
    found = readback_fast.find(suffix, len(document), field_name)
    if found is None:
        return False
    slowly = locate(document + suffix, field_name)
    assert slowly.byte_range[1:3] == (len(document) + found.start, len(document) + found.end)
    assert slowly.contents.rstrip(b"\x00") == found.contents.rstrip(b"\x00")
    return True


@pytest.mark.parametrize("name", documents.STRUCTURES)
def test_both_ways_agree_on_every_structure(name: str, seal: Seal) -> None:
    document = documents.STRUCTURES[name]()
    prepared = prepare(document, seal.plan())
    suffix = fill(prepared, seal.cms(prepared.digest))
    assert assert_same(document, suffix, prepared.field_name) is (name not in SLOWLY)
    assert assert_same(document, prepared.suffix, prepared.field_name) is (name not in SLOWLY), "with an empty hole too"


@pytest.mark.corpus
@pytest.mark.timeout(600)
def test_both_ways_agree_on_documents_that_we_did_not_write(seal: Seal, documents_folder: Path) -> None:
    quickly = sealed = 0
    for file in sorted(documents_folder.glob("*.pdf")):
        document = file.read_bytes()
        try:
            prepared = prepare(document, seal.plan())
        except VermilionError:
            continue
        suffix = fill(prepared, seal.cms(prepared.digest))
        sealed += 1
        quickly += assert_same(document, suffix, prepared.field_name)
    assert quickly > sealed / 2, f"{quickly} of {sealed}"


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
def test_a_plain_update_is_found_quickly(stream: bool) -> None:
    assert assert_same(BASE, Writing(**PLAIN).suffix(stream=stream))


@pytest.mark.parametrize("number", [1, 10, 11, 12])
def test_an_object_under_another_number_is_not_found(number: int) -> None:
    suffix = Writing(**PLAIN).suffix(stream=False)
    assert readback_fast.find(suffix.replace(b"\n%d 0 obj" % number, b"\n%d 0 obj" % (number ^ 1)), len(BASE), NAME) is None


@pytest.mark.parametrize("number", [1, 10, 11, 12])
def test_an_object_that_is_marked_as_free_is_not_found(number: int) -> None:
    suffix = Writing(**PLAIN).suffix(stream=False)
    row = suffix.index(b"\n%d 1\n" % number) + len(b"\n%d 1\n" % number)
    freed = suffix[: row + 17] + b"f" + suffix[row + 18 :]
    assert readback_fast.find(freed, len(BASE), NAME) is None and located(BASE + freed) is None


# What strangers' documents put into the objects that the writer carries over, and what a faulty writer might: strings, comments and
# nested values that look like what is looked for, keys twice, escapes, references to nowhere.
ODD = [
    *(
        b"/K (x /Contents <00> endobj >>)",
        b"/K (x\\)) /V 5 0 R",
        b"/K ((nested) 1 0 R)",
        b"% /V 5 0 R\n",
        b"/K <</Contents <00>>>",
        b"/#56 5 0 R",
    ),
    *(b"/V null", b"/V 12 0 R", b"/V 1 0 R", b"/FT /Tx", b"/FT/Sig", b"/T (Other)", b"/T <566572>", b"/T (Vermilion\\0551)", b"/Fields []"),
    *(
        b"/Fields 9 0 R",
        b"/Fields [1 0 R]",
        b"/Fields[11 0 R 11 0 R]",
        b"/Fields [(11 0 R)]",
        b"/Fields [[11 0 R]]",
        b"/Fields [11 0 R null]",
    ),
    *(
        b"/AcroForm <</Fields [11 0 R]>>",
        b"/AcroForm 1 0 R",
        b"/AcroForm null",
        b"/ByteRange [0 1 2 3]",
        b"/Contents <3003020105>",
        b"/K true",
    ),
    *(
        b"/K [1 .5 -2 +3 /N (s) <0a> null [] << >>]",
        b"/K",
        b"/K 1 /K 2",
        b"/K falsetrue",
        b"/K 12 0 Rx",
        b"/K <<<<>>>>",
        b"/K {",
        b"\x00\x0c",
    ),
    *(
        b"/Encrypt 5 0 R",
        b"/DecodeParms <</Predictor 12>>",
        b"/Filter /FlateDecode",
        b"/Index [0 1]",
        b"/Root 5 0 R",
        b"/K []]",
        b"endobj",
        b">>",
    ),
]
ROWS = [b"", b"11 1\n0000000009 00000 n \n", b"12 1\n0000000000 00000 f \n", b"40 2\n0000000000 00000 n \n", b"1 0\n", b"012 1\n"]
ENDS = [b"", b"\n", b"%", b"startxref\n9\n%%EOF\n", b" "]
Edit = tuple[str, bytes, int]


def _edited(edits: list[Edit], *, stream: bool, rows: bytes = b"", end: bytes = b"") -> bytes:
    """The plain update with something odd put where a value of one of its objects ends."""
    made = {**PLAIN, "trailer": b"  "}
    for name, extra, at in edits:
        body = made[name]
        ends = [index for index in range(len(body)) if body[index : index + 1] == b" " and (name == "trailer" or index > 1)] or [0]
        place = ends[at % len(ends)]
        made[name] = body[:place] + b" " + extra + body[place:]
    trailer = made.pop("trailer")
    return Writing(**made).suffix(stream=stream, trailer=trailer, rows=rows, end=end)


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_odd_in_any_place_misleads_the_quick_way(stream: bool) -> None:
    quickly = 0
    for name in (*PLAIN, "trailer"):
        for extra in ODD:
            for at in range(1 + PLAIN.get(name, b"").count(b" ")):
                quickly += assert_same(BASE, _edited([(name, extra, at)], stream=stream))
    for rows in ROWS:
        for end in ENDS:
            quickly += assert_same(BASE, _edited([], stream=stream, rows=rows, end=end))
    assert quickly > 100, "what is odd but clear is found"


@given(
    edits=st.lists(st.tuples(st.sampled_from([*PLAIN, "trailer"]), st.sampled_from(ODD), st.integers(0, 20)), min_size=2, max_size=4),
    rows=st.sampled_from(ROWS),
    end=st.sampled_from(ENDS),
    stream=st.booleans(),
)
@settings(max_examples=1000, deadline=None)
def test_nothing_odd_in_several_places_does_either(edits: list[Edit], rows: bytes, end: bytes, stream: bool) -> None:
    assert_same(BASE, _edited(edits, stream=stream, rows=rows, end=end))


@given(st.binary(max_size=300), st.integers(0, 100))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_found_or_not_found(data: bytes, size: int) -> None:
    readback_fast.find(data, size, NAME)


def test_reading_back_takes_linear_time_where_patterns_could_run_away() -> None:
    """Thousands of openings, blanks and digits: patterns are possessive, so that none is tried twice. (It ends within the test's time.)"""
    for piece in (b"(", b"<<", b"[", b" ", b"1 ", b"/a ", b"\\", b"[ [", b"<< /a "):
        made = {**PLAIN, "catalog": b"<< /K " + piece * 20_000 + b" /AcroForm 10 0 R >>"}
        assert_same(BASE, Writing(**made).suffix(stream=False))


@pytest.fixture(scope="module")
def prepared(seal: Seal) -> Prepared:
    return prepare(BASE, seal.plan())


@pytest.fixture(scope="module")
def sealed(seal: Seal, prepared: Prepared) -> bytes:
    return fill(prepared, seal.cms(prepared.digest))


def refused(seal: Seal, prepared: Prepared, suffix: bytes, document: bytes | mmap.mmap = BASE, **changes: object) -> bool:
    expected: dict[str, object] = {
        "document_digest": hashlib.sha256(document),
        "field_name": prepared.field_name,
        "expected_spki_sha256": seal.spki_sha256,
        "expected_digest": prepared.digest,
        "hash_name": "sha256",
        **changes,
    }
    try:
        read_back(document, suffix, **expected)  # type: ignore[arg-type]
    except VermilionError as refusal:
        assert refusal.code == Code.DOCUMENT_READBACK
        return True
    return False


def test_documents_may_be_mapped(seal: Seal, prepared: Prepared, sealed: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(BASE)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as document:
            assert not refused(seal, prepared, sealed, document)
            slowly = sealed.replace(b"startxref", b"%abcdefgh\nstartxref")  # the general way, and no longer what was hashed
            assert refused(seal, prepared, slowly, document)


def test_the_digest_is_copied_and_belongs_to_its_hash(seal: Seal, prepared: Prepared, sealed: bytes) -> None:
    state = hashlib.sha256(BASE)
    assert not refused(seal, prepared, sealed, document_digest=state)
    assert state.digest() == hashlib.sha256(BASE).digest()
    assert refused(seal, prepared, sealed, document_digest=hashlib.sha256(BASE + b"x"))
    assert refused(seal, prepared, sealed, document_digest=hashlib.sha384(BASE))


def harmless(seal: Seal, cms: bytes) -> Iterator[range]:
    """The parts of the CMS that others judge: the issuing CA's certificate sent along, and the timestamp but for its imprint."""
    issuing = seal.authority.issuing.public_bytes(Encoding.DER)
    at = cms.index(issuing)
    yield range(at, at + len(issuing))
    token = cms.index(bytes.fromhex("060b2a864886f70d010910020e"))
    info = cms.index(bytes.fromhex("060b2a864886f70d0109100104"), token)
    imprint = cms.index(b"\x04\x20", cms.index(bytes.fromhex("0609608648016503040201"), info))
    yield range(token, imprint)  # structure: refused where it matters, judged by verifiers where it does not
    yield range(imprint + 2 + 32, len(cms))


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_passes_but_in_what_others_judge(seal: Seal, prepared: Prepared, sealed: bytes, data: st.DataObject) -> None:
    position, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(sealed)
    damaged[position] ^= 1 << bit
    start = prepared.hole_offset - len(BASE) + 1
    digits = sealed[start : start + 2 * prepared.hole_size_bytes]
    same_digit = position - start in range(len(digits)) and bytes((damaged[position],)).lower() == bytes((sealed[position],)).lower()
    cms = bytes.fromhex(digits.decode())
    of_others = any((position - start) // 2 in part for part in harmless(seal, cms[: prepared.hole_size_bytes].rstrip(b"\x00")))
    outcome = refused(seal, prepared, bytes(damaged))
    assert outcome or same_digit or of_others
    if same_digit:
        assert not outcome, "a digit in the other case is the same digit"


@given(places=st.tuples(st.integers(0, 2**20), st.integers(0, 2**20)), size=st.integers(1, 200))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_swapped_pieces_pass(seal: Seal, prepared: Prepared, sealed: bytes, places: tuple[int, int], size: int) -> None:
    first, second = sorted(place % (len(sealed) - size) for place in places)
    if second - first < size or sealed[first : first + size] == sealed[second : second + size]:
        return
    one, other = sealed[first : first + size], sealed[second : second + size]
    swapped = sealed[:first] + other + sealed[first + size : second] + one + sealed[second + size :]
    start = prepared.hole_offset - len(BASE) + 1
    cms = bytes.fromhex(sealed[start : start + 2 * prepared.hole_size_bytes].decode())
    parts = [range(start + 2 * part.start, start + 2 * part.stop) for part in harmless(seal, cms)]
    of_others = all(any(at in part and at + size - 1 in part for part in parts) for at in (first, second))
    assert refused(seal, prepared, swapped) or of_others
