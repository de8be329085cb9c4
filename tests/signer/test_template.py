"""Which documents show a template and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable

import pikepdf
import pytest

from sealcore.errors import Code, VermilionError
from signer.pipeline.template import fingerprint, picture_size
from tests.signer.office import document, picture

FIELDS = ["amount", "party.name"]


def build(change: Callable[[pikepdf.Pdf], None] = lambda _pdf: None, *, amount: str = "", name: str = "", **save: object) -> bytes:
    """The base form with these values, after ``change``."""
    pdf = pikepdf.open(io.BytesIO(document("Order", pages=2)))
    fields = [_field(pdf, 0, "amount", amount), _parent(pdf, _field(pdf, 1, "name", name))]
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=fields, DA=pikepdf.String("/F1 12 Tf 0 g"))
    change(pdf)
    target = io.BytesIO()
    pdf.save(target, **save)  # type: ignore[arg-type]
    return target.getvalue()


def _field(pdf: pikepdf.Pdf, page: int, name: str, value: str) -> pikepdf.Object:
    look = pdf.make_stream(f"BT ({value}) Tj ET".encode(), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 200, 20])
    field = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T=pikepdf.String(name), V=pikepdf.String(value),
            Rect=[72, 600, 272, 620], AP=pikepdf.Dictionary(N=look), P=pdf.pages[page].obj,
        )
    )  # fmt: skip
    pdf.pages[page].Annots = pdf.make_indirect(pikepdf.Array([field]))
    return field


def _parent(pdf: pikepdf.Pdf, kid: pikepdf.Object) -> pikepdf.Object:
    parent = pdf.make_indirect(pikepdf.Dictionary(T=pikepdf.String("party"), Kids=[kid]))
    kid.Parent = parent
    return parent


BASE = fingerprint(build(), FIELDS)


def test_values_and_how_the_file_is_written_do_not_count() -> None:
    assert fingerprint(build(amount="100", name="Example"), FIELDS) == BASE
    modes = {"object_stream_mode": pikepdf.ObjectStreamMode.generate, "linearize": True, "recompress_flate": True}
    assert fingerprint(build(amount="1", **modes), FIELDS) == BASE

    def retitle(pdf: pikepdf.Pdf) -> None:
        pdf.docinfo["/Title"] = "Filled in"
        pdf.Root.AcroForm.NeedAppearances = True

    assert fingerprint(build(retitle), FIELDS) == BASE


def _other_text(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].Contents = pdf.make_stream(pdf.pages[0].Contents.read_bytes() + b"BT (and 1000 more) Tj ET")


def _other_box(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].MediaBox = pikepdf.Array([0, 0, 595, 841])


def _other_font(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].Resources.Font.F1.BaseFont = pikepdf.Name.Courier


def _a_picture_under_the_name_of_a_parent(pdf: pikepdf.Pdf) -> None:
    stream = pdf.make_stream(b"0 0 9 9 re f", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 9, 9])
    pdf.pages[0].Resources.XObject = pikepdf.Dictionary(Parent=stream, P=stream, Metadata=stream)


def _another_annotation(pdf: pikepdf.Pdf) -> None:
    note = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.FreeText, Rect=[0, 0, 9, 9], Contents=pikepdf.String("hi"))
    pdf.pages[1].Annots.append(pdf.make_indirect(note))


def _a_field_that_moved(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].Annots[0].Rect = pikepdf.Array([0, 0, 595, 842])


def _a_script(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("1"))


def _another_page(pdf: pikepdf.Pdf) -> None:
    pdf.add_blank_page()


def _pages_swapped(pdf: pikepdf.Pdf) -> None:
    pdf.pages.reverse()


def _undeclared_value(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AcroForm.Fields.append(_field(pdf, 1, "discount", "50 %"))


@pytest.mark.parametrize(
    "change",
    [
        _other_text, _other_box, _other_font, _a_picture_under_the_name_of_a_parent, _another_annotation, _a_field_that_moved,
        _a_script, _another_page, _pages_swapped, _undeclared_value,
    ],
)  # fmt: skip
def test_anything_else_counts(change: Callable[[pikepdf.Pdf], None]) -> None:
    assert fingerprint(build(change, amount="1"), FIELDS) != BASE


def test_a_field_that_is_not_declared_keeps_its_value() -> None:
    assert fingerprint(build(amount="1"), ["party.name"]) != fingerprint(build(amount="2"), ["party.name"])


def test_what_is_no_pdf_or_encrypted_is_refused_by_its_code() -> None:
    locked = pikepdf.open(io.BytesIO(build()))
    target = io.BytesIO()
    locked.save(target, encryption=pikepdf.Encryption(owner="o", user="u"))
    for content, code in ((b"no pdf", Code.DOCUMENT_DAMAGED), (target.getvalue(), Code.DOCUMENT_ENCRYPTED)):
        with pytest.raises(VermilionError) as refused:
            fingerprint(content, FIELDS)
        assert refused.value.code is code


def test_a_deeply_nested_document_is_refused_and_not_followed() -> None:
    def nest(pdf: pikepdf.Pdf) -> None:
        inner = pdf.make_indirect(pikepdf.Dictionary(End=True))
        for _ in range(400):
            inner = pdf.make_indirect(pikepdf.Dictionary(Inner=inner))
        pdf.pages[0].obj["/Deep"] = inner

    with pytest.raises(VermilionError) as refused:
        fingerprint(build(nest), FIELDS)
    assert refused.value.code is Code.DOCUMENT_TOO_COMPLEX


def test_a_pictures_size_is_its_page_in_millipoints() -> None:
    assert picture_size(picture()) == (119_000, 119_000)
    with pytest.raises(VermilionError):
        picture_size(document("two", pages=2))
