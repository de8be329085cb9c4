"""Forms that readers draw by themselves: sealed only where the page looks the same without their help; by either writer."""

from __future__ import annotations

from io import BytesIO

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from sealcore.errors import Code, VermilionError
from sealcore.hashes import hash_state
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.lean import prepare_lean
from signer.pdf.plan import Plan
from signer.pdf.prepare import prepare
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal
from tests.signer.pdf.looks import RENDERERS, surplus

CORNER = Rectangle(400_000, 20_000, 519_000, 139_000)
BOX = (400.0, 20.0, 519.0, 139.0)
_LOOK = b"<< /Type /XObject /Subtype /Form /BBox [0 0 260 22] /Resources << /Font << /Helv 9 0 R >> >> /Length %d >>\nstream\n%b\nendstream"
_EMPTY = b"/Tx BMC EMC"
_SHOWN = b"/Tx BMC BT /Helv 12 Tf 2 6 Td (1200) Tj ET EMC"
_HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def form(field: bytes, *, flag: bytes = b"true", look: bytes = _EMPTY, kid: bytes = b"", fields: bytes = b"[10 0 R]") -> bytes:
    """One page with one field of that kind; ``kid`` is a widget of its own below it."""
    widget = b"/Type /Annot /Subtype /Widget /Rect [240 690 500 712] /F 4 /P 3 0 R"
    own = b"<< %b %b >>" % (field, b"/Kids [12 0 R]" if kid else widget)
    return documents.simple(
        page=b"/Annots [%b]" % (b"12 0 R" if kid else b"10 0 R"),
        catalog=b"/AcroForm << /Fields %b /NeedAppearances %b /DA (/Helv 12 Tf 0 g) /DR << /Font << /Helv 9 0 R >> >> >>" % (fields, flag),
        more={
            9: _HELVETICA,
            10: own,
            11: _LOOK % (len(look), look),
            12: b"<< %b %b /Parent 10 0 R >>" % (widget, kid),
            13: b"true",
        },
    )


UNDRAWN = {
    "a value without a look": form(b"/FT /Tx /T (rent) /V (1850)"),
    "a value in Chinese": form(b"/FT /Tx /T (rent) /V <FEFF53174EAC>"),
    "a value with an empty look": form(b"/FT /Tx /T (rent) /V (1850) /AP << /N 11 0 R >>"),
    "a value with the look of an older one": form(b"/FT /Tx /T (rent) /V (1850) /AP << /N 11 0 R >>", look=_SHOWN),
    "no value with the look of an older one": form(b"/FT /Tx /T (rent) /AP << /N 11 0 R >>", look=_SHOWN),
    "a value above its widget": form(b"/FT /Tx /T (rent) /V (1850)", kid=b"/MK << >>"),
    "a value in a field that the form does not name": form(b"/FT /Tx /T (rent) /V (1850)", fields=b"[]"),
    "a choice": form(b"/FT /Ch /T (rent) /V (1850) /Opt [(1850) (1900)] /Ff 131072"),
    "a tick without a look": form(b"/FT /Btn /T (paid) /V /Yes /AS /Yes"),
    "a tick with a look": form(b"/FT /Btn /T (paid) /V /Yes /AS /Yes /AP << /N << /Yes 11 0 R /Off 11 0 R >> >>", look=b"2 2 8 8 re f"),
    "a look that is drawn": form(b"/FT /Tx /T (rent) /AP << /N 11 0 R >>", look=b"0 0 m 9 9 l S"),
    "a button with a caption": form(b"/FT /Btn /T (send) /Ff 65536 /MK << /CA (Send) >>"),
    "a border": form(b"/FT /Tx /T (rent) /MK << /BC [1 0 0] >>"),
    "a flag elsewhere": form(b"/FT /Tx /T (rent) /V (1850)", flag=b"13 0 R"),
}
DRAWN = {
    "no flag": form(b"/FT /Tx /T (rent) /V (1200) /AP << /N 11 0 R >>", flag=b"false", look=_SHOWN),
    "no value": form(b"/FT /Tx /T (rent) /AP << /N 11 0 R >>"),
    "no value and no look": form(b"/FT /Tx /T (rent)"),
    "a hidden field": form(b"/FT /Tx /T (rent) /V (1850)").replace(b"/F 4 ", b"/F 6 "),
    "a field without a place": form(b"/FT /Tx /T (rent) /V (1850)").replace(b"/Rect [240 690 500 712]", b"/Rect [0 0 0 0]"),
    "no fields": documents.simple(catalog=b"/AcroForm << /Fields [] /NeedAppearances true >>"),
}


@pytest.fixture
def plans(seal: Seal, picture: bytes, picture_sha256: bytes) -> list[Plan]:
    """Without a mark, and with one."""
    return [seal.plan(), seal.plan(Placement((Mark((0,), CORNER, picture_sha256),)), pictures={picture_sha256: picture})]


@pytest.mark.parametrize("name", UNDRAWN)
def test_a_form_whose_values_show_by_readers_help_alone_is_refused(plans: list[Plan], name: str) -> None:
    document = UNDRAWN[name]
    for plan in plans:
        assert prepare_lean(document, plan, hash_state("sha256", document)) is None
        with pytest.raises(VermilionError, match="leaves it to readers to draw") as refusal:
            prepare(document, plan)
        assert refusal.value.code == Code.DOCUMENT_FORM_UNDRAWN


@pytest.mark.parametrize("name", DRAWN)
def test_a_form_that_needs_no_help_looks_as_before_and_asks_for_none(seal: Seal, plans: list[Plan], name: str) -> None:
    document = DRAWN[name]
    for plan, boxes in zip(plans, ({}, {0: BOX}), strict=True):
        for prepared in (prepare(document, plan), prepare_lean(document, plan, hash_state("sha256", document))):
            if prepared is None:
                continue  # forms with a flag are left to the sandbox
            assert b"/NeedAppearances true" not in prepared.suffix
            sealed = seal.finish(document, prepared)
            for render in RENDERERS.values():
                assert not surplus(document, sealed, boxes, render)


def test_behind_a_signature_the_flag_stays_and_no_picture_is_promised(seal: Seal, other_seal: Seal, plans: list[Plan]) -> None:
    flagged = _flagged_later(seal.seal(DRAWN["no flag"]))
    sealed = other_seal.seal(flagged)
    assert b"/NeedAppearances" in sealed[len(flagged) :]
    for render in RENDERERS.values():
        assert not surplus(flagged, sealed, {}, render)
    assert prepare_lean(flagged, plans[1], hash_state("sha256", flagged)) is None
    with pytest.raises(VermilionError) as refusal:
        prepare(flagged, plans[1])
    assert refusal.value.code == Code.DOCUMENT_FORM_UNDRAWN


def _flagged_later(signed: bytes) -> bytes:
    """With the flag set behind the signature, as some programs do when they fill in."""
    writer = IncrementalPdfFileWriter(BytesIO(signed))
    form = writer.root["/AcroForm"]
    form["/NeedAppearances"] = generic.BooleanObject(True)
    writer.update_container(form)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()
