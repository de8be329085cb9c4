"""A mark goes only on a page that all readers take for the same: where they count or measure pages differently, the document is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

import signer.pdf.full.prepare as sandboxed
import signer.pdf.prepare as judged
from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, MarkKind, Placement, Rectangle
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan
from signer.pdf.prepare import prepare
from signer.pdf.readback.quick_account import KnownLooks
from tests.signer.pdf.documents import assemble
from tests.signer.pdf.kit import Seal, require_accounted
from tests.signer.pdf.looks import RENDERERS, surplus

CORNER = Rectangle(400_000, 120_000, 460_000, 180_000)
BOX = (400.0, 120.0, 460.0, 180.0)
_NOTE: Final = b"<</Type/Annot/Subtype/Square/Rect[60 600 200 640]/C[0 0 1]/F 4>>"


def _page(
    number: int, entries: bytes = b"", *, box: bytes = b"/MediaBox[0 0 595 842]", kind: bytes = b"/Type/Page", parent: int = 2
) -> bytes:
    return b"<<%b/Parent %d 0 R%b/Resources<<>>/Contents %d 0 R%b>>" % (kind, parent, box, 4 + number, entries)


def _document(
    first: bytes = b"", *, tree: bytes = b"/Type/Pages/Kids[10 0 R 11 0 R 12 0 R]/Count 3", more: dict[int, bytes] | None = None
) -> bytes:
    grey = {4 + n: b"<</Length 28>>\nstream\n0.8 g %03d 300 060 060 re f   \nendstream" % (60 * n) for n in (1, 2, 3)}
    pages = {10: first or _page(1), 11: _page(2), 12: _page(3)}
    return assemble({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<<%b>>" % tree, **grey, **pages, **(more or {})})


def _tree(kids: bytes, count: bytes = b"3", **more: bytes) -> bytes:
    objects = {int(key.removeprefix("n")): value for key, value in more.items()}
    return _document(tree=b"/Type/Pages/Kids[%b]/Count %b" % (kids, count), more=objects)


def _node(kind: bytes, count: bytes) -> bytes:
    """The first two pages are below a node."""
    node = b"<<%b/Parent 2 0 R/Kids[10 0 R 11 0 R]%b>>" % (kind, count)
    tree = b"/Type/Pages/Kids[20 0 R 12 0 R]/Count 3"
    return _document(_page(1, parent=20), tree=tree, more={11: _page(2, parent=20), 20: node})


UNSOUND: Final[dict[str, bytes]] = {
    "null among the kids": _tree(b"10 0 R null 11 0 R 12 0 R"),
    "a missing kid": _tree(b"99 0 R 10 0 R 11 0 R"),
    "a number among the kids": _tree(b"10 0 R 5 11 0 R", b"2"),
    "a font among the kids": _tree(b"9 0 R 10 0 R 11 0 R", n9=b"<</Type/Font>>"),
    "a stream among the kids": _tree(b"5 0 R 10 0 R 11 0 R"),
    "the catalog among the kids": _tree(b"1 0 R 10 0 R 11 0 R"),
    "the root among its kids, last": _tree(b"10 0 R 11 0 R 2 0 R"),
    "the root among its kids, first": _tree(b"2 0 R 10 0 R 11 0 R"),
    "fewer kids than counted": _tree(b"10 0 R 11 0 R 12 0 R", b"5"),
    "more kids than counted": _tree(b"10 0 R 11 0 R 12 0 R", b"1"),
    "a negative count": _tree(b"10 0 R 11 0 R 12 0 R", b"-3"),
    "a node without pages that counts one": _tree(b"20 0 R 10 0 R 11 0 R", n20=b"<</Type/Pages/Parent 2 0 R/Kids[]/Count 1>>"),
    "a node without kids": _tree(b"20 0 R 10 0 R 11 0 R", n20=b"<</Type/Pages/Parent 2 0 R/Count 1/MediaBox[0 0 595 842]>>"),
    "a node that is a page": _node(b"/Type/Page", b"/Count 2"),
    "a node that looks like a page": _node(b"/Type/Page/MediaBox[0 0 595 842]/Contents 7 0 R", b"/Count 2"),
    "a node of another kind": _node(b"/Type/X", b"/Count 2"),
    "a node without count": _node(b"/Type/Pages", b""),
    "a node that counts less": _node(b"/Type/Pages", b"/Count 1"),
    "a node that counts none": _node(b"/Type/Pages", b"/Count 0"),
    "a page of another kind": _document(_page(1, kind=b"/Type/X")),
    "a page that is a template": _document(_page(1, kind=b"/Type/Template")),
    "a page that is called pages": _document(_page(1, kind=b"/Type/Pages")),
    "a page with empty kids": _document(_page(1, b"/Kids[]")),
    "a page with kids that are null": _document(_page(1, b"/Kids null")),
    "a page of another parent": _document(_page(1, box=b"", parent=20), more={20: b"<</Type/Pages/MediaBox[0 0 300 300]/Rotate 90>>"}),
    "a page without parent that inherits": _document(
        b"<</Type/Page/Resources<<>>/Contents 5 0 R>>", tree=b"/Type/Pages/Kids[10 0 R 11 0 R 12 0 R]/Count 3/MediaBox[0 0 595 842]"
    ),
    "a crop box elsewhere": _document(_page(1, b"/CropBox[1000 1000 1200 1200]")),
    "a box of five numbers": _document(_page(1, box=b"/MediaBox[0 0 595 842 7]")),
    "a box of names": _document(_page(1, box=b"/MediaBox[/a /b 595 842]")),
    "a turn with decimals": _document(_page(1, b"/Rotate 90.0")),
}
SOUND: Final[dict[str, bytes]] = {
    "plain": _document(),
    "a node of two pages": _node(b"/Type/Pages", b"/Count 2"),
    "a node": _document(
        _page(1, parent=20),
        tree=b"/Type/Pages/Kids[20 0 R 11 0 R 12 0 R]/Count 3",
        more={20: b"<</Type/Pages/Parent 2 0 R/Kids[10 0 R]/Count 1>>"},
    ),
    "corners in another order": _document(_page(1, box=b"/MediaBox[595 842 0 0]")),
    "negative corners": _document(_page(1, box=b"/MediaBox[-300 -400 595 842]")),
    "a crop box beyond": _document(_page(1, b"/CropBox[-100 -100 900 900]")),
    "boxes inherited": _document(_page(1, box=b""), tree=b"/Type/Pages/Kids[10 0 R 11 0 R 12 0 R]/Count 3/MediaBox[0 0 595 842]/Rotate 90"),
    "turned backwards": _document(_page(1, b"/Rotate -90")),
    "another unit": _document(_page(1, b"/UserUnit 2")),
    "numbers elsewhere": _document(_page(1, box=b"/MediaBox[20 0 R 20 0 R 595 842]"), more={20: b"0"}),
}


@pytest.fixture
def plan_for(seal: Seal, picture: bytes, picture_sha256: bytes) -> Callable[..., Plan]:
    """A plan with a mark on these pages, riding where there are several."""

    def plan(*pages: int) -> Plan:
        kind = MarkKind.RIDING if len(pages) > 1 else MarkKind.PLAIN
        return seal.plan(Placement((Mark(pages, CORNER, picture_sha256, kind),)), pictures={picture_sha256: picture})

    return plan


@pytest.mark.parametrize("unsound", UNSOUND)
def test_pages_that_readers_do_not_agree_about_are_not_marked(plan_for: Callable[..., Plan], unsound: str) -> None:
    document = UNSOUND[unsound]
    for plan in (plan_for(0), plan_for(0, 1)):
        assert prepare_lean(document, plan, hash_state("sha256", document)) is None
        with pytest.raises(VermilionError) as refusal:
            prepare(document, plan)
        assert refusal.value.code in {Code.DOCUMENT_DAMAGED, Code.MARK_OFF_PAGE, Code.DOCUMENT_PAGE_REPEATED}


@pytest.mark.parametrize("sound", SOUND)
def test_the_mark_is_on_its_page_in_every_reader(seal: Seal, plan_for: Callable[..., Plan], sound: str) -> None:
    document = SOUND[sound]
    for pages in ((0,), (1,), (0, 1, 2)):
        plan = plan_for(*pages)
        lean = prepare_lean(document, plan, hash_state("sha256", document))
        for prepared in (prepare(document, plan), *([lean] if lean is not None else [])):
            sealed = seal.finish(document, prepared)
            faults = {name: surplus(document, sealed, dict.fromkeys(pages, BOX), render) for name, render in RENDERERS.items()}
            assert not any(faults.values()), faults


@pytest.mark.parametrize("unsound", UNSOUND)
def test_a_seal_that_is_not_seen_is_on_no_page(seal: Seal, unsound: str) -> None:
    document = UNSOUND[unsound]
    try:
        prepared = prepare(document, seal.plan())
    except VermilionError as refusal:
        assert refusal.code == Code.DOCUMENT_DAMAGED
        return
    sealed = seal.finish(document, prepared)
    assert not surplus(document, sealed, {}, RENDERERS["Poppler"])


@pytest.mark.parametrize("unsound", [each for each in UNSOUND if " box " not in each and "inherits" not in each])
def test_a_writer_that_marks_them_all_the_same_is_found_out(
    plan_for: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, unsound: str
) -> None:
    document, plan = UNSOUND[unsound], plan_for(0)
    monkeypatch.setattr(sandboxed, "require_agreed", lambda *_: None)
    monkeypatch.setattr(sandboxed, "require_single", lambda *_: None)
    try:
        prepared = prepare(document, plan)
    except VermilionError as refusal:
        assert refusal.code in {Code.DOCUMENT_DAMAGED, Code.MARK_OFF_PAGE}
        return
    with pytest.raises(VermilionError) as found:
        require_accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())
    assert found.value.code in {Code.DOCUMENT_DAMAGED, Code.DOCUMENT_READBACK}


def _noted(entries: bytes, catalog: bytes = b"/Type/Catalog/Pages 2 0 R") -> bytes:
    return _document(_page(1, entries), more={1: b"<<%b>>" % catalog, 20: b"[21 0 R]", 21: _NOTE, 22: b"20 0 R"})


TWICE: Final[dict[str, bytes]] = {
    "annotations": _noted(b"/Annots[21 0 R]/Annots[]"),
    "annotations, the other way round": _noted(b"/Annots[]/Annots[21 0 R]"),
    "annotations, once with escapes": _noted(b"/Annots[]/Ann#6fts[21 0 R]"),
    "annotations by a reference to a reference": _noted(b"/Annots 22 0 R"),
    "a box": _noted(b"/MediaBox[0 0 300 300]"),
    "a crop box": _noted(b"/CropBox[0 0 500 800]/CropBox[10 10 595 842]"),
    "a turn": _noted(b"/Rotate 90/Rot#61te 0"),
    "contents": _noted(b"/Contents 6 0 R"),
    "a resource": _noted(b"/Annots[21 0 R]/Resources<</Font<<>>/Font<<>>>>"),
    "a form": _noted(b"", b"/Type/Catalog/Pages 2 0 R/AcroForm<<>>/AcroForm<</Fields[]>>"),
    "fields": _noted(b"", b"/Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]/Fields[]>>"),
    "the page tree": _noted(b"", b"/Type/Catalog/Pages 2 0 R/Pages 3 0 R"),
}


@pytest.mark.parametrize("twice", TWICE)
def test_what_is_said_twice_is_not_written_anew(plan_for: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, twice: str) -> None:
    """Readers take the first or the last: in some of them the sealed page would show otherwise than the approved one."""
    document, plan = TWICE[twice], plan_for(0)
    assert prepare_lean(document, plan, hash_state("sha256", document)) is None
    with pytest.raises(VermilionError) as refusal:
        prepare(document, plan)
    assert refusal.value.code == Code.DOCUMENT_DAMAGED
    monkeypatch.setattr(judged, "require_plain_objects", lambda *_: None)
    prepared = prepare(document, plan)
    with pytest.raises(VermilionError, match="an object that the seal changes"):
        require_accounted(document, prepared.suffix, plan, prepared.field_name, KnownLooks())
