"""A writer that somebody has taken over gets nothing signed but what the plan asks for, down to the last byte of its update."""

from __future__ import annotations

import re
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import pytest

import signer.pdf.full.prepare as sandboxed
from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Certification, Mark, Placement, Rectangle, SignatureTexts
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.account import require_accounted_in_general
from signer.pdf.readback.quick_account import KnownLooks
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal, accounted, require_accounted
from tests.signer.pdf.taken_over import Parts, put_together, taken_apart

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
OTHER_CONTENTS: Final = b"1 0 0 rg 100 100 300 400 re f"
DORMANT, PACKED, SECTION, ROOT = 21, 22, 23, 24  # objects that the document holds and nothing refers to: harmless when people saw it


def _document() -> bytes:
    """Two pages, a note, a form with a field, two revisions; and, asleep, other contents in several places."""
    packed = b"4 0 <</Length 0>>"
    more = {
        10: b"<< /Type /Annot /Subtype /Square /Rect [60 600 200 700] /C [0 0 1] /F 4 >>",
        11: b"<< /FT /Tx /T (amount) /V (100) >>",
        12: b"<< /Fields [11 0 R] /DA (/Helv 0 Tf) >>",
        DORMANT: b"<< /Length %d >>\nstream\n%b\nendstream" % (len(OTHER_CONTENTS), OTHER_CONTENTS),
        PACKED: b"<< /Type /ObjStm /N 1 /First 4 /Length %d >>\nstream\n%b\nendstream" % (len(packed), packed),
    }
    more[ROOT] = b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>"
    first = documents.simple(page=b"/Annots [10 0 R]", catalog=b"/AcroForm 12 0 R", more=more)
    at = first.index(b"%d 0 obj" % DORMANT)
    rows = b"\1" + at.to_bytes(4, "big") + b"\0"
    head = b"/Type /XRef /Size 25 /W [1 4 1] /Index [4 1] /Root 1 0 R /Length %d" % len(rows)
    more[SECTION] = b"<< %b >>\nstream\n%b\nendstream" % (head, rows)
    first = documents.simple(page=b"/Annots [10 0 R]", catalog=b"/AcroForm 12 0 R", more=more)
    contents = b"4 0 obj\n<< /Length 26 >>\nstream\n0.3 g 100 100 300 400 re f\nendstream\nendobj\n"
    table, previous = len(first) + len(contents), first.rindex(b"xref\n0 ")
    row = b"%010d 00000 n \n" % len(first)
    trailer = b"<< /Size 25 /Root 1 0 R /Prev %d /ID [<00112233><44556677>] >>" % previous
    return first + contents + b"xref\n4 1\n%btrailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (row, trailer, table)


def _in_streams() -> bytes:
    """The same with one cross-reference stream."""
    document = _document()
    places = {int(each[1]): each.start() for each in re.finditer(rb"(?<=\n)(\d+) 0 obj", document)}
    own = 30
    places[own] = len(document)
    rows = b"".join(b"\1" + places[n].to_bytes(4, "big") + b"\0" if n in places else b"\0\0\0\0\0\0" for n in range(own + 1))
    head = b"/Type /XRef /Size %d /W [1 4 1] /Root 1 0 R /Length %d /ID [<00112233><44556677>]" % (own + 1, len(rows))
    section = b"%d 0 obj\n<< %b >>\nstream\n%b\nendstream\nendobj\n" % (own, head, rows)
    return document + section + b"startxref\n%d\n%%%%EOF\n" % len(document)


DOCUMENTS: Final = {"table": _document(), "stream": _in_streams()}


@pytest.fixture
def plan(seal: Seal, picture: bytes, picture_sha256: bytes) -> Plan:
    marks = (Mark((0,), CORNER, picture_sha256),)
    placement = Placement(marks, certification=Certification.FINAL, texts=SignatureTexts(name="Office", reason="Approved"))
    return seal.plan(placement, pictures={picture_sha256: picture})


def made(document: bytes, plan: Plan) -> Prepared:
    """What the lean writer makes of it, honestly."""
    prepared = prepare_lean(document, plan, hash_state("sha256", document))
    assert prepared is not None
    return prepared


Slip = Callable[[Parts], Parts]
FIELD, SIGNATURE, PAGE, CATALOG = b"/FT/Sig", b"/Type/Sig/", b"/Contents 4 0 R", b"/Type /Catalog"
FORM, LOOK, PICTURE = b"/SigFlags 3", b"/Picture Do", b"/Subtype/Form/BBox[0 0 "


def _swap(holder: bytes, old: bytes, new: bytes) -> Slip:
    return lambda parts: parts.changed(parts.find(holder), old, new)


def _entry(holder: bytes, entry: bytes) -> Slip:
    """One entry more at the beginning of a dictionary."""

    def slip(parts: Parts) -> Parts:
        number = parts.find(holder)
        generation, body = parts.objects[number]
        return replace(parts, objects=parts.objects | {number: (generation, b"<<" + entry + body[2:])})

    return slip


def _object(body: bytes, number: int | None = None, generation: int = 0) -> Slip:
    return lambda parts: parts.having(number or parts.free_number, body, generation)


def _before(holder: bytes, text: bytes) -> Slip:
    return lambda parts: replace(parts, between={parts.find(holder): text})


def _trailer(entry: bytes) -> Slip:
    return lambda parts: replace(parts, trailer=parts.trailer + entry)


def _generation(holder: bytes, told: int | None, own: int = 0) -> Slip:
    def slip(parts: Parts) -> Parts:
        number = parts.find(holder)
        objects = parts.objects | {number: (own, parts.objects[number][1])}
        return replace(parts, objects=objects, generations={number: own if told is None else told})

    return slip


def _annotation(parts: Parts) -> Parts:
    number = parts.free_number
    parts = parts.having(number, b"<</Type/Annot/Subtype/Square/Rect[60 60 300 300]/F 4>>")
    return parts.changed(parts.find(PAGE), b"[10 0 R", b"[10 0 R %d 0 R" % number)


def _appended_picture_data(parts: Parts) -> Parts:
    """Behind the compressed data stands what a reader that repairs takes for an object."""
    number = parts.find(PICTURE)
    body = parts.objects[number][1]
    size = re.search(rb"/Length (\d+)", body)
    assert size is not None
    hidden = b"\nendstream\nendobj\n4 0 obj\n<</Length 29>>stream\n%b" % OTHER_CONTENTS
    parts = parts.changed(number, size[0], b"/Length %d" % (int(size[1]) + len(hidden)))
    return parts.changed(number, b"\nendstream", hidden + b"\nendstream")


def _painted_picture(parts: Parts) -> Parts:
    number = parts.find(PICTURE)
    body = parts.objects[number][1]
    head, _, data = body.partition(b"\nstream\n")
    drawn = zlib.compress(zlib.decompress(data.removesuffix(b"\nendstream")) + b"\n0 0 50 50 re f")
    head = re.sub(rb"/Length \d+", b"/Length %d" % len(drawn), head)
    return replace(parts, objects=parts.objects | {number: (0, head + b"\nstream\n" + drawn + b"\nendstream")})


def _look(old: bytes, new: bytes) -> Slip:
    """Within the stream of the look, whose length stays right."""

    def slip(parts: Parts) -> Parts:
        number = parts.find(LOOK)
        body = parts.objects[number][1].replace(old, new)
        assert body != parts.objects[number][1]
        data = body.partition(b"stream\n")[2].removesuffix(b"\nendstream")
        body = re.sub(rb"/Length \d+", b"/Length %d" % len(data), body)
        return replace(parts, objects=parts.objects | {number: (0, body)})

    return slip


def _uncertified(parts: Parts) -> Parts:
    number = parts.find(SIGNATURE)
    body = re.sub(rb"/Reference\[.*?\]", b"", parts.objects[number][1])
    parts = replace(parts, objects=parts.objects | {number: (0, body)})
    number = parts.find(CATALOG)
    return replace(parts, objects=parts.objects | {number: (0, re.sub(rb"/Perms<<.*?>>", b"", parts.objects[number][1]))})


def _other_picture_object(parts: Parts) -> Parts:
    number = parts.free_number
    look = parts.find(LOOK)
    body = re.sub(rb"/Picture (\d+) 0 R", b"/Picture %d 0 R" % number, parts.objects[look][1])
    parts = replace(parts, objects=parts.objects | {look: (0, body)})
    return parts.having(number, b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Length 14>>\nstream\n0 0 50 50 re f\nendstream")


def _second_seal(parts: Parts) -> Parts:
    number, field = parts.free_number, parts.find(FIELD)
    parts = parts.having(number, parts.objects[field][1].replace(b"/T(", b"/T(x"))
    return parts.changed(parts.find(FORM), b"[11 0 R", b"[11 0 R %d 0 R" % number)


SLIPPED: Final[dict[str, Slip]] = {
    "an object that nothing refers to": _object(b"<</Type/Font>>"),
    "an annotation": _annotation,
    "the page's contents, written anew": _object(b"<</Length %d>>\nstream\n%b\nendstream" % (len(OTHER_CONTENTS), OTHER_CONTENTS), 4),
    "another annotation, written anew": _object(b"<</Type/Annot/Subtype/Square/Rect[0 0 595 842]/IC[1 0 0]/F 4>>", 10),
    "another field's value": _object(b"<</FT/Tx/T(amount)/V(999)>>", 11),
    "an object that no section lists": _before(CATALOG, b"4 0 obj\n<</Length 0>>\nendobj\n"),
    "an object in front of the section": lambda parts: replace(parts, between={0: b"4 0 obj\n<</Length 0>>\nendobj\n"}),
    "an object in a comment": _before(CATALOG, b"%x\n% 4 0 obj <</Length 0>> endobj\n"),
    "a comment in an object": _swap(PAGE, b"/Contents 4", b"/Contents%/Contents 21 0 R\n 4"),
    "a comment in the section": lambda parts: replace(parts, trailer=b"%x\n" + parts.trailer),
    "rubbish behind the end": lambda parts: replace(parts, behind=b"\n4 0 obj\n<</Length 0>>\nendobj\n"),
    "a comment behind the end": lambda parts: replace(parts, behind=b"%startxref\n"),
    "the end of an object in an array": _swap(SIGNATURE, b"/Prop_Build<<", b"/X[endobj 4 0 obj <<>> endobj]/Prop_Build<<"),
    "an older revision": lambda parts: replace(parts, previous=_document().rindex(b"xref\n0 ")),
    "a section elsewhere": lambda parts: replace(parts, previous=_document().index(b"%d 0 obj\n<< /Type /XRef" % SECTION)),
    "contents set free": lambda parts: replace(parts, freed=(4,)),
    "a note set free": lambda parts: replace(parts, freed=(10,)),
    "contents in an object stream": lambda parts: replace(parts, packed={4: (PACKED, 0)}),
    "a hidden section": lambda parts: replace(
        parts, trailer=parts.trailer + b"/XRefStm %d" % _document().index(b"%d 0 obj\n<< /Type /XRef" % SECTION)
    ),
    "encryption that changes nothing": _trailer(
        b"/Encrypt<</Filter/Standard/V 4/R 4/Length 128/P -4/O(%b)/U(%b)/StmF/Identity/StrF/Identity/CF<<>>>>" % (b"o" * 32, b"u" * 32)
    ),
    "another catalog": lambda parts: replace(parts, trailer=parts.trailer.replace(b"/Root 1 0 R", b"/Root 2 0 R")),
    "information about the document": _trailer(b"/Info 10 0 R"),
    "an entry of the trailer": _trailer(b"/X<</Y 1>>"),
    "text in the identifier": lambda parts: replace(
        parts, trailer=re.sub(rb"/ID *\[.*?\]", b"/ID[<00112233>(\nendobj\n4 0 obj <<>> endobj\n)]", parts.trailer)
    ),
    "another identifier": lambda parts: replace(parts, trailer=re.sub(rb"/ID *\[<\w+>", b"/ID[<99>", parts.trailer)),
    "a size that hides objects": lambda parts: replace(parts, size=20) if not parts.stream else replace(parts, freed=(10,)),
    "another generation of the page": _generation(PAGE, None, 1),
    "another generation in the section alone": _generation(PAGE, 1),
    "another generation of the field": _generation(FIELD, None, 1),
    "an object listed twice over": lambda parts: replace(parts, packed={parts.find(FIELD): (PACKED, 0)}),
    **{
        f"{key} of the field": _entry(FIELD, entry)
        for key, entry in {
            "a script": b"/AA<</E<</S/JavaScript/JS(1)>>>>",
            "an action": b"/A<</S/URI/URI(https://example.org)>>",
            "a border": b"/MK<</BC[1 0 0]>>",
            "a parent": b"/Parent 11 0 R",
            "a kid": b"/Kids[10 0 R]",
            "a lock": b"/Lock<</Type/SigFieldLock/Action/All>>",
            "a layer": b"/OC<</Type/OCG/Name(x)>>",
            "an earlier rectangle": b"/Rect[0 0 595 842]",
        }.items()
    },
    **{
        f"{key} of the page": _entry(PAGE, entry)
        for key, entry in {
            "a script": b"/AA<</O<</S/JavaScript/JS(1)>>>>",
            "a box": b"/CropBox[0 0 100 100]",
            "a turn": b"/Rotate 90",
            "a group": b"/Group<</S/Transparency>>",
            "a tab order": b"/Tabs/W",
            "earlier contents": b"/Contents 21 0 R",
            "resources": b"/Resources<</XObject<<>>>>",
        }.items()
    },
    **{
        f"{key} of the form": _entry(FORM, entry)
        for key, entry in {
            "resources": b"/DR<<>>",
            "redrawing": b"/NeedAppearances true",
            "an order of calculation": b"/CO[11 0 R]",
            "a second list": b"/Fields[11 0 R]",
        }.items()
    },
    **{
        f"{key} of the catalog": _entry(CATALOG, entry)
        for key, entry in {
            "an action": b"/OpenAction<</S/JavaScript/JS(1)>>",
            "scripts": b"/Names<</JavaScript<</Names[(x)<</S/JavaScript/JS(1)>>]>>>>",
            "layers": b"/OCProperties<</OCGs[]/D<<>>>>",
            "a store": b"/DSS<</Type/DSS>>",
            "a version": b"/Version/2.0",
            "other pages": b"/Pages 3 0 R",
        }.items()
    },
    "other contents of the page": _swap(PAGE, b"/Contents 4 0 R", b"/Contents 21 0 R"),
    "the loss of a note": _swap(PAGE, b"[10 0 R", b"["),
    "the loss of a field": _swap(FORM, b"[11 0 R", b"["),
    "a field more": _second_seal,
    "another name": _swap(FIELD, b"/T(Vermilion-1)", b"/T(Vermilion-9)"),
    "another label": _swap(FIELD, b"/TU<FEFF", b"/TU<FEFF4E00"),
    "a hidden field": _swap(FIELD, b"/F 132", b"/F 134"),
    "another rectangle": _swap(FIELD, b"/Rect[400 20 519 139]", b"/Rect[0 0 595 842]"),
    "another page": _swap(FIELD, b"/P 3 0 R", b"/P 2 0 R"),
    "another look on the mouse": lambda parts: parts.changed(parts.find(FIELD), b"/AP<</N", b"/AP<</R %d 0 R/N" % parts.find(PICTURE)),
    "a look of another generation": lambda parts: parts.changed(
        parts.find(FIELD), b"/AP<</N %d 0 R" % parts.find(LOOK), b"/AP<</N %d 5 R" % parts.find(LOOK)
    ),
    "a picture of another generation": lambda parts: parts.changed(
        parts.find(LOOK), b"/Picture %d 0 R" % parts.find(PICTURE), b"/Picture %d 5 R" % parts.find(PICTURE)
    ),
    "a signature of another generation": lambda parts: parts.changed(
        parts.find(FIELD), b"/V %d 0 R" % parts.find(SIGNATURE), b"/V %d 5 R" % parts.find(SIGNATURE)
    ),
    "a certification of another generation": lambda parts: parts.changed(
        parts.find(CATALOG), b"/DocMDP %d 0 R" % parts.find(SIGNATURE), b"/DocMDP %d 5 R" % parts.find(SIGNATURE)
    ),
    "a field of another generation": lambda parts: parts.changed(
        parts.find(FORM), b" %d 0 R" % parts.find(FIELD), b" %d 5 R" % parts.find(FIELD)
    ),
    "an annotation of another generation": lambda parts: parts.changed(
        parts.find(PAGE), b" %d 0 R" % parts.find(FIELD), b" %d 5 R" % parts.find(FIELD)
    ),
    "a blank that not all readers know": _swap(PAGE, b"/Contents 4 0 R", b"/Contents\x004 0 R"),
    "a look of another kind": _swap(LOOK, b"/Type/XObject", b"/Type/X"),
    "a place before the section before": lambda parts: replace(parts, previous=parts.previous - 1),
    "a bigger look": _swap(LOOK, b"/BBox[0 0 119 119]", b"/BBox[0 0 500 800]"),
    "a turned look": _swap(LOOK, b"/Matrix[1 0 0 1 0 0]", b"/Matrix[-1 0 0 1 0 0]"),
    "a look that hides what is below": _look(b"/Multiply gs\n", b""),
    "a look without blending": lambda parts: _swap(LOOK, b"/ExtGState<</Multiply<</Type/ExtGState/BM/Multiply>>>>", b"")(
        _look(b"/Multiply gs\n", b"")(parts)
    ),
    "a picture without a group of its own": _swap(PICTURE, b"/Group<</Type/Group/S/Transparency/I true/CS/DeviceRGB>>", b""),
    "a look with another blend mode": _swap(LOOK, b"/BM/Multiply", b"/BM/Difference"),
    "a look of a group": _entry(LOOK, b"/Group<</S/Transparency/K true>>"),
    "a look in a layer": _entry(LOOK, b"/OC<</Type/OCG/Name(x)>>"),
    "a look that draws more": _look(b"\nQ\n", b"\nQ\n0 0 50 50 re f\n"),
    "a look with another part": _look(b"/Picture Do", b"/Picture Do /Picture Do"),
    "a resource more": _swap(LOOK, b"<</Picture", b"<</Other 10 0 R/Picture"),
    "another picture": _other_picture_object,
    "a picture that draws more": _painted_picture,
    "bytes behind the data of a picture": _appended_picture_data,
    "a picture cropped": lambda parts: replace(
        parts,
        objects=parts.objects
        | {parts.find(PICTURE): (0, re.sub(rb"/BBox\[[^\]]*\]", b"/BBox[0 0 9 9]", parts.objects[parts.find(PICTURE)][1]))},
    ),
    "another signer's name": _swap(SIGNATURE, b"/Name(Office)", b"/Name(Ministry)"),
    "another reason": _swap(SIGNATURE, b"/Reason(Approved)", b"/Reason(Paid)"),
    "a place": _entry(SIGNATURE, b"/Location(Rome)"),
    "another time": lambda parts: replace(
        parts,
        objects=parts.objects
        | {parts.find(SIGNATURE): (0, re.sub(rb"/M\(D:\d{4}", b"/M(D:1999", parts.objects[parts.find(SIGNATURE)][1]))},
    ),
    "another program": _swap(SIGNATURE, b"/Name/Vermilion", b"/Name/Other"),
    "more about the program": _swap(SIGNATURE, b"/App<<", b"/App<</X(endobj 4 0 obj)"),
    "no certification": _uncertified,
    "a weaker certification": _swap(SIGNATURE, b"/P 1", b"/P 3"),
    "a signature of another kind": _swap(SIGNATURE, b"/ETSI.CAdES.detached", b"/adbe.pkcs7.sha1"),
    "a date of changes": _entry(SIGNATURE, b"/Changes[1 2 3]"),
    "permissions that name something else": lambda parts: parts.changed(
        parts.find(CATALOG), b"/Perms<</DocMDP", b"/Perms<</UR3 %d 0 R/DocMDP" % parts.find(SIGNATURE)
    ),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_was_put_together_again_is_accounted_for(plan: Plan, document: bytes) -> None:
    for good in (made(document, plan), prepare(document, plan)):
        require_accounted(document, good.suffix, plan, good.field_name, KnownLooks())
    good = made(document, plan)
    assert accounted(document, good.suffix, plan, good.field_name, KnownLooks())
    again = put_together(document, taken_apart(document, good.suffix), good)
    require_accounted(document, again.suffix, plan, again.field_name, KnownLooks())


@pytest.mark.parametrize("slipped", SLIPPED)
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_a_writer_slips_in_is_refused(plan: Plan, document: bytes, slipped: str) -> None:
    good = made(document, plan)
    changed = put_together(document, SLIPPED[slipped](taken_apart(document, good.suffix)), good)
    assert changed.suffix != good.suffix
    known = KnownLooks()
    require_accounted(document, good.suffix, plan, good.field_name, known)  # so the honest look is known by now
    for judge in (partial(require_accounted, known=known), require_accounted_in_general):
        with pytest.raises(VermilionError, match="the update is not what was planned") as refusal:
            judge(document, changed.suffix, plan, changed.field_name)
        assert refusal.value.code == Code.DOCUMENT_READBACK


def _repairing(document: bytes, moved: dict[int, int]) -> bytes:
    """A table of contents ahead of the update, which needs none, and says that some objects are elsewhere."""
    places = {int(each[1]): each.start() for each in re.finditer(rb"(?<=\n)(\d+) 0 obj", document)} | moved
    rows = b"".join(b"%d 1\n%010d 00000 n \n" % place for place in sorted(places.items()))
    trailer = b"<</Size 40/Root 1 0 R>>"
    return b"\nxref\n0 1\n0000000000 65535 f \n%btrailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (rows, trailer, len(document) + 1)


@pytest.mark.parametrize("moved", ["contents", "contents of a broken document", "catalog", "left out"])
def test_a_repair_leads_nowhere_else(plan: Plan, moved: str) -> None:
    document = DOCUMENTS["table"]
    if "broken" in moved:
        document = document[: document.rindex(b"startxref")]
    place = document.index(b"<< /Length %d >>\nstream\n%b" % (len(OTHER_CONTENTS), OTHER_CONTENTS)) - len(b"21 0 obj\n")
    repair = _repairing(document, {4: place} if "contents" in moved else {})
    if moved == "left out":
        repair = re.sub(rb"10 1\n\d{10} 00000 n \n", b"", repair)
    if moved == "catalog":
        repair = repair.replace(b"/Root 1 0 R", b"/Root %d 0 R" % ROOT)
    good = prepare(document + repair, plan)
    with pytest.raises(VermilionError, match="the repair leads to another") as refusal:
        require_accounted(document, repair + good.suffix, plan, good.field_name, KnownLooks())
    assert refusal.value.code == Code.DOCUMENT_READBACK


def test_a_page_that_stands_twice_is_told(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    document = documents.simple().replace(b"/Kids [3 0 R] /Count 1", b"/Kids [3 0 R 3 0 R]/Count 2")
    document = documents.assemble({int(n): body for n, body in re.findall(rb"(\d+) 0 obj\n(.*?)\nendobj\n", document, re.DOTALL)})
    monkeypatch.setattr(sandboxed, "require_single", lambda *_: None)
    monkeypatch.setattr(sandboxed, "require_agreed", lambda *_: None)
    good = prepare(document, plan)
    with pytest.raises(VermilionError, match="a marked page stands more than once"):
        require_accounted(document, good.suffix, plan, good.field_name, KnownLooks())


def _refers(reference: bytes) -> bytes:
    return documents.assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
            4: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Annots [" + reference + b"] >>",
        }
    )


@pytest.mark.parametrize("number", [70, 7])
@pytest.mark.parametrize("reference", [b"%d 0 R", b"%d%%x\n0 %%y\rR", b"000%d 0 R", b"%d.0 0 R"])
def test_a_new_object_has_a_number_that_nothing_refers_to(plan: Plan, reference: bytes, number: int) -> None:
    """Else a mark shows wherever the document names an object that it does not have."""
    spelled, plain = reference % number, b"%d 0 R" % number
    # The lean writer leaves what is oddly spelled; whoever has taken it over does not.
    good = made(_refers(plain.ljust(len(spelled))), plan)
    document = _refers(spelled)
    parts = taken_apart(document, good.suffix)
    field = parts.find(FIELD)
    objects = {
        number if each == field else each: (generation, body.replace(b"%d 0 R" % field, b"%d 0 R" % number))
        for each, (generation, body) in parts.objects.items()
    }
    changed = put_together(document, replace(parts, objects=objects), good)
    with pytest.raises(VermilionError, match="the document refers to what is new"):
        require_accounted(document, changed.suffix, plan, changed.field_name, KnownLooks())


def test_an_index_that_names_very_many_objects_costs_no_memory(plan: Plan) -> None:
    document = DOCUMENTS["stream"]
    good = made(document, plan)
    told = re.search(rb"/Index\[\d+ (\d+)", good.suffix)
    assert told is not None
    hostile = good.suffix[: told.start(1)] + b"3000000" + good.suffix[told.end(1) :]
    hostile = re.sub(rb"startxref\n\d+", b"startxref\n%d" % (len(document) + hostile.rindex(b" 0 obj\n<</Type/XRef") - 2), hostile)
    tracemalloc.start()
    try:
        assert not accounted(document, hostile, plan, good.field_name, KnownLooks())
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_the_hole_alone_is_left_out(plan: Plan) -> None:
    document = DOCUMENTS["table"]
    good = made(document, plan)
    told = b"[%d %d %d %d]" % good.byte_range
    for other in (b"[%d %d %d %d]" % (0, good.byte_range[1] - 9, *good.byte_range[2:]), b"[0 1 2 3]"):
        suffix = good.suffix.replace(told, other.ljust(len(told))[: len(told)] if len(other) <= len(told) else other)
        assert suffix != good.suffix
        with pytest.raises(VermilionError):
            require_accounted(document, suffix, plan, good.field_name, KnownLooks())
    filled = good.suffix.replace(b"/Contents<00", b"/Contents<30")
    with pytest.raises(VermilionError, match="the signature has another hole"):
        require_accounted(document, filled, plan, good.field_name, KnownLooks())


STAMP, OTHER_STAMP = b"/Subtype/Stamp/Contents", b"/Rect[20 20 90 90]"
SLIPPED_IN_STAMPS: Final[dict[str, Slip]] = {
    "a script": _entry(STAMP, b"/A<</S/JavaScript/JS(1)>>"),
    "an author": _entry(STAMP, b"/T(Minister)"),
    "an icon": _entry(STAMP, b"/Name/Approved"),
    "a popup": _entry(STAMP, b"/Popup 10 0 R"),
    "another label": _swap(STAMP, b"/Contents<FEFF", b"/Contents<FEFF4E00"),
    "other flags": _swap(STAMP, b"/F 708", b"/F 4"),
    "another rectangle": _swap(STAMP, OTHER_STAMP, b"/Rect[0 0 595 842]"),
    "another kind": _swap(STAMP, b"/Subtype/Stamp", b"/Subtype/Square"),
    "another page": lambda parts: parts.changed(parts.find(STAMP), b"/P 3 0 R", b"/P 5 0 R"),
    "the other's look": lambda parts: parts.changed(
        parts.find(STAMP), b"/N %d 0 R" % _named(parts, STAMP), b"/N %d 0 R" % _named(parts, FIELD)
    ),
    "no stamp": lambda parts: parts.changed(parts.find(PAGE), b" %d 0 R" % parts.find(STAMP), b""),
    "a stamp twice": lambda parts: parts.changed(parts.find(PAGE), b" %d 0 R" % parts.find(STAMP), b" %d 0 R" % parts.find(STAMP) * 2),
    "another order": lambda parts: parts.changed(
        parts.find(PAGE),
        b" %d 0 R %d 0 R" % (parts.find(FIELD), parts.find(STAMP)),
        b" %d 0 R %d 0 R" % (parts.find(STAMP), parts.find(FIELD)),
    ),
}


def _named(parts: Parts, holder: bytes) -> int:
    """The look of an annotation."""
    found = re.search(rb"/N (\d+) 0 R", parts.objects[parts.find(holder)][1])
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("slipped", SLIPPED_IN_STAMPS)
def test_further_marks_are_held_to_the_plan_too(seal: Seal, picture: bytes, picture_sha256: bytes, slipped: str) -> None:
    marks = tuple(Mark((0,), box, picture_sha256) for box in (CORNER, Rectangle(20_000, 20_000, 90_000, 90_000)))
    document, plan = DOCUMENTS["table"], seal.plan(Placement(marks), pictures={picture_sha256: picture})
    good = made(document, plan)
    known = KnownLooks()
    require_accounted_in_general(document, good.suffix, plan, good.field_name)
    assert accounted(document, good.suffix, plan, good.field_name, known)
    changed = put_together(document, SLIPPED_IN_STAMPS[slipped](taken_apart(document, good.suffix)), good)
    with pytest.raises(VermilionError, match="the update is not what was planned"):
        require_accounted(document, changed.suffix, plan, changed.field_name, known)


def test_a_look_is_judged_before_it_is_known(plan: Plan) -> None:
    """What a taken-over writer made first is not what later ones are compared with."""
    document, known = DOCUMENTS["table"], KnownLooks()
    good = made(document, plan)
    bad = put_together(document, SLIPPED["a picture that draws more"](taken_apart(document, good.suffix)), good)
    for _ in range(2):
        assert not accounted(document, bad.suffix, plan, bad.field_name, known)
    assert accounted(document, good.suffix, plan, good.field_name, known)
    assert not accounted(document, bad.suffix, plan, bad.field_name, known)
