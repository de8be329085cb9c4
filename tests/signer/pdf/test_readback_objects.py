"""Each object of an update is explained by the plan: whatever a writer slips in beside the approved marks is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyhanko.pdf_utils import generic

import signer.pdf.full.prepare as writer
from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Certification, Mark, MarkKind, Placement, Rectangle, SignatureTexts
from signer.pdf.full.objects import dictionary, name, reals
from signer.pdf.full.update import Opened
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback.account import require_accounted_in_general
from signer.pdf.readback.quick_account import KnownLooks
from tests.conftest import EXAMPLES
from tests.judges import standards
from tests.signer.pdf import documents
from tests.signer.pdf.broken import BROKEN
from tests.signer.pdf.kit import Seal, accounted, require_accounted
from tests.signer.pdf.shared import SHARED

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
ASIDE = Rectangle(20_000, 20_000, 90_000, 90_000)
TEXTS = SignatureTexts(name="朱印公司", reason="同意 (contract) \\", location="Łódź – Œuvre, 5 €", contact="•")
DOCUMENTS: dict[str, bytes] = {
    **{f"structure {key}": make() for key, make in documents.STRUCTURES.items()},
    **{f"shared {key}": document for key, document in SHARED.items()},
    **{f"broken {key}": document for key, document in BROKEN.items()},
    **{path.name: path.read_bytes() for path in EXAMPLES.glob("*.pdf") if path.stat().st_size < 500_000},
    "PDF/A-1": standards.pdfa(1),
    "PDF/A-2": standards.pdfa(2),
    "PDF/UA": standards.pdfua(),
    "PDF/UA below the root": standards.pdfua(root="root"),
    "PDF/UA with a branched parent tree": standards.pdfua(parents="kids"),
}


@pytest.fixture
def plans(seal: Seal, picture: bytes, picture_sha256: bytes) -> dict[str, Plan]:
    pictures = {picture_sha256: picture}
    mark = Mark((0,), CORNER, picture_sha256)
    return {
        "invisible": seal.plan(Placement(texts=TEXTS)),
        "visible": seal.plan(Placement((mark,), certification=Certification.FINAL), pictures=pictures),
        "several": seal.plan(Placement((mark, Mark((0, 1), ASIDE, picture_sha256, MarkKind.RIDING))), pictures=pictures),
    }


@pytest.mark.parametrize("key", DOCUMENTS)
def test_what_either_writer_makes_is_accounted_for(seal: Seal, plans: dict[str, Plan], key: str) -> None:
    document = DOCUMENTS[key]
    for plan in plans.values():
        try:
            made = [prepare(document, plan)]
        except VermilionError:
            continue  # refused for the document's sake, or it has no second page
        lean = prepare_lean(document, plan, hash_state("sha256", document))
        for prepared in (*made, *([lean] if lean is not None else [])):
            require_accounted_in_general(document, prepared.suffix, plan, prepared.field_name)
            assert prepared is not lean or accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())
            sealed = document + prepared.suffix
        if key == "structure classic" and plan is plans["invisible"]:
            again = prepare(sealed, seal.plan())
            require_accounted(sealed, again.suffix, seal.plan(), again.field_name, KnownLooks())


@pytest.mark.corpus
@pytest.mark.timeout(900)
def test_the_corpus_is_accounted_for(plans: dict[str, Plan], documents_folder: Path) -> None:
    faults = []
    for file in sorted(documents_folder.glob("*.pdf")):
        document = file.read_bytes()
        for plan in (plans["invisible"], plans["visible"]):
            try:
                prepared = prepare(document, plan)
            except VermilionError:
                continue
            try:
                require_accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())
            except VermilionError as refusal:
                faults.append(f"{file.name}: {refusal}")
    assert not faults, (len(faults), faults)


def _annotation(opened: Opened) -> None:
    update = opened.update
    page = opened.root["/Pages"]["/Kids"].raw_get(0)
    note = dictionary(Type=name("Annot"), Subtype=name("Square"), Rect=reals(60, 60, 300, 300), F=generic.NumberObject(4))
    page.get_object()["/Annots"].append(update.add_object(note))
    update.mark_update(page)


def _first_page(opened: Opened) -> generic.DictionaryObject:
    page = opened.root["/Pages"]["/Kids"].raw_get(0)
    opened.update.mark_update(page)
    found = page.get_object()
    assert isinstance(found, generic.DictionaryObject)
    return found


def _contents(opened: Opened) -> None:
    page = _first_page(opened)
    page["/Contents"] = opened.update.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))


def _contents_in_place(opened: Opened) -> None:
    reference = _first_page(opened).raw_get("/Contents")
    opened.update.objects[reference.reference.generation, reference.idnum] = generic.StreamObject(stream_data=b"0 0 500 500 re f")


def _script(opened: Opened) -> None:
    opened.root["/OpenAction"] = dictionary(S=name("JavaScript"), JS=generic.TextStringObject("app.alert(1)"))
    opened.update.update_container(opened.root)


def _field_entry(key: str, value: Callable[[Opened], object]) -> Callable[[Opened], None]:
    def slip(opened: Opened) -> None:
        field = opened.root["/AcroForm"]["/Fields"][-1]
        field[key] = value(opened)

    return slip


def _certificate_store(opened: Opened) -> None:
    opened.root["/DSS"] = opened.update.add_object(dictionary(Type=name("DSS")))
    opened.update.update_container(opened.root)


def _value_of_another_field(opened: Opened) -> None:
    field = opened.root["/AcroForm"]["/Fields"].raw_get(0)
    field.get_object()["/V"] = generic.TextStringObject("999")
    opened.update.mark_update(field)


def _other_field(opened: Opened) -> None:
    form = opened.root["/AcroForm"]
    form["/Fields"].insert(0, opened.update.add_object(dictionary(FT=name("Tx"), T=generic.TextStringObject("x"))))


def _look(change: Callable[[Opened, generic.StreamObject], None]) -> Callable[[Opened], None]:
    def slip(opened: Opened) -> None:
        stream = opened.root["/AcroForm"]["/Fields"][-1]["/AP"]["/N"]
        change(opened, stream)

    return slip


def _bigger(_opened: Opened, look: generic.StreamObject) -> None:
    look["/BBox"] = reals(0, 0, 500, 800)


def _painted_over(_opened: Opened, look: generic.StreamObject) -> None:
    look._data = look.data + b"0 0 50 50 re f\n"
    look._encoded_data = None


def _other_picture(_opened: Opened, look: generic.StreamObject) -> None:
    picture = look["/Resources"]["/XObject"]["/Picture"]
    picture._data, picture._encoded_data = b"0 0 50 50 re f", None


def _resource(opened: Opened, look: generic.StreamObject) -> None:
    look["/Resources"]["/Font"] = dictionary(F=opened.update.add_object(dictionary(Type=name("Font"))))


SLIPPED: dict[str, Callable[[Opened], object]] = {
    "an annotation": _annotation,
    "an object that nothing refers to": lambda opened: opened.update.add_object(dictionary(Type=name("Font"))),
    "the page's contents": _contents,
    "the contents in their place": _contents_in_place,
    "a page's resources": lambda opened: _first_page(opened).__setitem__("/Resources", dictionary(ProcSet=generic.ArrayObject())),
    "a page's box": lambda opened: _first_page(opened).__setitem__("/CropBox", reals(0, 0, 100, 100)),
    "a script": _script,
    "an action": _field_entry("/AA", lambda opened: dictionary(E=dictionary(S=name("JavaScript"), JS=generic.TextStringObject("1")))),
    "a hidden mark": _field_entry("/F", lambda opened: generic.NumberObject(2)),
    "another place": _field_entry("/Rect", lambda opened: reals(0, 0, 595, 842)),
    "another look on the mouse": _field_entry(
        "/AP", lambda opened: dictionary(N=opened.root["/AcroForm"]["/Fields"][-1]["/AP"].raw_get("/N"), D=generic.NullObject())
    ),
    "a store of certificates": _certificate_store,
    "another field": _other_field,
    "another field's value": _value_of_another_field,
    "the form's resources": lambda opened: opened.root["/AcroForm"].__setitem__("/DR", dictionary()),
    "a request to redraw": lambda opened: opened.root["/AcroForm"].__setitem__("/NeedAppearances", generic.BooleanObject(True)),
    "a bigger look": _look(_bigger),
    "a look that paints over": _look(_painted_over),
    "another picture": _look(_other_picture),
    "a resource of the look": _look(_resource),
}


def _prepared_with(monkeypatch: pytest.MonkeyPatch, document: bytes, plan: Plan, slip: Callable[[Opened], object]) -> Prepared:
    """By a writer that somebody has taken over."""
    placing = writer._place

    def place(opened: Opened, *rest: object) -> None:
        placing(opened, *rest)  # type: ignore[arg-type]
        slip(opened)

    monkeypatch.setattr(writer, "_place", place)
    return prepare(document, plan)


@pytest.mark.parametrize("slipped", SLIPPED)
def test_what_a_writer_slips_in_is_refused(monkeypatch: pytest.MonkeyPatch, plans: dict[str, Plan], slipped: str) -> None:
    document, plan = documents.form(), plans["visible"]
    prepared = _prepared_with(monkeypatch, document, plan, SLIPPED[slipped])
    with pytest.raises(VermilionError, match="the update is not what was planned") as refusal:
        require_accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())
    assert refusal.value.code == Code.DOCUMENT_READBACK


def test_an_update_that_calls_itself_encrypted_gets_no_more_in(monkeypatch: pytest.MonkeyPatch, plans: dict[str, Plan]) -> None:
    """Nothing is encrypted under this entry: readers would show the annotation."""
    document, plan = documents.form(), plans["visible"]
    prepared = _prepared_with(monkeypatch, document, plan, _annotation)
    encrypted = b"/Encrypt << /Filter /Standard /V 4 /CF << >> /StmF /Identity /StrF /Identity >> /Root "
    suffix = prepared.suffix[::-1].replace(b"/Root "[::-1], encrypted[::-1], 1)[::-1]
    assert suffix != prepared.suffix
    with pytest.raises(VermilionError) as refusal:
        require_accounted(document, suffix, plan, prepared.field_name, KnownLooks())
    assert refusal.value.code == Code.DOCUMENT_READBACK


def test_another_plan_s_update_is_refused(plans: dict[str, Plan]) -> None:
    document = documents.pages(2)
    for made, planned in (("visible", "invisible"), ("invisible", "visible"), ("several", "visible"), ("visible", "several")):
        prepared = prepare(document, plans[made])
        with pytest.raises(VermilionError):
            require_accounted(document, prepared.suffix, plans[planned], prepared.field_name, KnownLooks())


def test_bytes_between_before_and_behind_the_objects_are_refused(plans: dict[str, Plan]) -> None:
    document, plan = documents.simple(), plans["invisible"]
    prepared = prepare(document, plan)
    suffix = prepared.suffix
    at = suffix.index(b"endobj\n") + len(b"endobj\n")
    hidden = b"99 0 obj\n<< /Type /Annot >>\nendobj\n"
    for changed in (hidden + suffix, suffix[:at] + hidden + suffix[at:], suffix + hidden, suffix + b"rubbish", suffix + suffix):
        with pytest.raises(VermilionError):
            require_accounted(document, changed, plan, prepared.field_name, KnownLooks())
