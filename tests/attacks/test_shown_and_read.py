"""What a reader of data takes from a filled form is what every reader of pages shows: by text drawn over text, odd codes, names that wait."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.sign.fields import MDPPerm

from sealcore.clock import FixedClock
from tests.attacks.appended import Writer, carried_out, catalog, entries, free_number, name, numbers, page_of, stream, text, update
from tests.attacks.forms import field_named, fill, gain_resource, order_form, standard_font
from tests.attacks.repairing import named_length, root_of
from tests.verify.office import NOW, Office, written
from verify.report import Report, Verdict
from verify.verifier import verify

Made = Callable[[Writer], Any]
TEXT = "BT /Helv 12 Tf 0 g 2 5 Td {} ET"


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def sealed(office: Office) -> bytes:
    return office.sign(order_form(), certify=MDPPerm.FILL_FORMS).data


def told(office: Office, document: bytes) -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW))


def prepared(made: Made) -> bytes:
    """The form, prepared by whoever gave it to be sealed."""
    writer = Writer(io.BytesIO(order_form()))
    made(writer)
    return written(writer)


# --- text over text, and text that is hardly there: the value is 1000000, the page shows less -------------------------------------

PIECES = {
    "a piece over the end of the one before": TEXT.format("(1000) Tj 6.67 0 Td (000) Tj"),
    "a piece over another by a matrix": TEXT.format("1 0 0 1 2 5 Tm (1000) Tj 1 0 0 1 8.67 5 Tm (000) Tj"),
    "a line that goes nowhere": TEXT.format("0 TL (1) Tj T* (000000) Tj"),
    "pulled back little by little": TEXT.format("[(1000) 200 200 200 200 200 200 200 200 68 (000)] TJ"),
    "pulled back around nothing": TEXT.format("[(1000) 200 () 200 () 200 () 200 () 200 () 200 () 200 () 200 () 68 (000)] TJ"),
    "characters over each other": "BT /Helv 2 Tf 0 g -1 Tc 2 5 Td (1000000) Tj ET",
    "a line over a line": TEXT.format("(1000) Tj 0 -1.1 Td (000) Tj"),
    "the rest in specks": TEXT.format("(1) Tj /Helv 2 Tf (000000) Tj"),
    "the rest in a pale colour": TEXT.format("(1) Tj .85 g (000000) Tj"),
}


@pytest.mark.parametrize("title", PIECES)
def test_no_piece_of_text_hides_in_another(office: Office, sealed: bytes, title: str) -> None:
    assert told(office, carried_out(sealed, lambda writer: fill(writer, "name", "1000000", PIECES[title]))).verdict is not Verdict.VALID


def test_pieces_one_behind_the_other_do_not_leave_the_field(office: Office, sealed: bytes) -> None:
    def made(count: int) -> Made:
        pieces = "(1) Tj " + "(000) Tj " * count
        return lambda writer: fill(writer, "name", "1" + "000" * count, f"BT /Helv 11 Tf 0 g 2 5 Td {pieces} ET")

    assert told(office, carried_out(sealed, made(3))).verdict is Verdict.VALID
    assert told(office, carried_out(sealed, made(20))).verdict is Verdict.INVALID


BESIDE = {
    "words one by one": TEXT.format("(Jane) Tj 26.5 0 Td (1000) Tj 30.1 0 Td (Doe) Tj"),
    "words in one piece": TEXT.format("[(Ja) 20 (ne ) -30 (1000) 50 ( Doe)] TJ"),
    "lines": "BT /Helv 8 Tf 0 g 2 11 Td (Jane) Tj 0 -8 Td (1000 Doe) Tj ET",
}


@pytest.mark.parametrize("title", BESIDE)
def test_pieces_beside_each_other_are_permitted(office: Office, sealed: bytes, title: str) -> None:
    assert told(office, carried_out(sealed, lambda writer: fill(writer, "name", "Jane 1000 Doe", BESIDE[title]))).verdict is Verdict.VALID


# --- codes that readers draw otherwise, or not at all -----------------------------------------------------------------------------


def in_font(value: str, shown: str, **font: Any) -> Made:
    content = TEXT.format(f"({shown})Tj")
    return lambda writer: fill(writer, "name", value, content, {"Helv": standard_font(writer, **font)})


CODES = {
    "a sign that PDF's Mac encoding lacks": in_font("\u2264100", "\\262100", Encoding=name("MacRomanEncoding")),
    "another currency": in_font("\u20ac100", "\\333100", Encoding=name("MacRomanEncoding")),
    "a soft hyphen": in_font("\u00ad100", "\\255100", Encoding=name("WinAnsiEncoding")),
    "an encoding that some readers do not take": in_font("\u00b1100", "\\261100", Encoding=name("PDFDocEncoding")),
}


@pytest.mark.parametrize("title", CODES)
def test_codes_of_which_readers_make_different_signs_are_not_read(office: Office, sealed: bytes, title: str) -> None:
    assert told(office, carried_out(sealed, CODES[title])).verdict is Verdict.UNDETERMINED


def renaming(*names: str) -> Any:
    return entries(Type=name("Encoding"), Differences=generic.ArrayObject([generic.NumberObject(0x41), *map(name, names)]))


SEALED_FONTS: dict[str, tuple[str, str, Callable[[Writer], Any]]] = {
    "a variant of a glyph": ("1000000", "100AAAA", lambda writer: standard_font(writer, Encoding=renaming("zero.none"))),
    "a glyph by its code": ("1000000", "100AAAA", lambda writer: standard_font(writer, Encoding=renaming("uni0030"))),
    "letters of Symbol": ("100 P", "100 P", lambda writer: standard_font(writer, "Symbol")),
    "symbols by its descriptor": (
        "100",
        "100",
        lambda writer: standard_font(writer, FontDescriptor=writer.add_object(entries(Flags=generic.NumberObject(4)))),
    ),
    "codes of its program": (
        "100",
        "100",
        lambda writer: standard_font(writer, FontDescriptor=writer.add_object(entries(FontFile3=writer.add_object(stream(b"x"))))),
    ),
}


@pytest.mark.parametrize("title", SEALED_FONTS)
def test_what_a_prepared_font_means_is_not_guessed(office: Office, title: str) -> None:
    value, shown, font = SEALED_FONTS[title]
    document = prepared(lambda writer: gain_resource(writer, "Font", "Odd", font(writer)))
    sealed = office.sign(document, certify=MDPPerm.FILL_FORMS).data

    def made(writer: Writer) -> None:
        odd = writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Odd")
        content = TEXT.format(f"({shown}) Tj")
        fill(writer, "name", value, content, {"Helv": generic.IndirectObject(odd.idnum, odd.generation, writer)})

    assert told(office, carried_out(sealed, made)).verdict is Verdict.UNDETERMINED


def test_an_export_value_that_another_option_shows_is_not_shown_for_it(office: Office) -> None:
    def crossed(writer: Writer) -> None:
        pairs = [("100", "1000"), ("1000", "100"), ("DE", "Germany")]
        options = generic.ArrayObject([generic.ArrayObject(map(text, each)) for each in pairs])
        del fill(writer, "country", "DE", Opt=options)["/I"]

    sealed = office.sign(prepared(crossed), certify=MDPPerm.FILL_FORMS).data
    for shown, verdict in (("100", Verdict.INVALID), ("1000", Verdict.VALID)):
        document = carried_out(sealed, lambda writer, shown=shown: fill(writer, "country", "100", TEXT.format(f"({shown}) Tj")))  # type: ignore[misc]
        assert told(office, document).verdict is verdict


# --- what shows only by what was added --------------------------------------------------------------------------------------------

HIDDEN = "BT /Miss 12 Tf 0 g 2 5 Td (1000000) Tj ET"


def waiting_page(writer: Writer) -> None:
    """The page shares the form's fonts and writes in one that is missing."""
    fonts = writer.root["/AcroForm"]["/DR"].raw_get("/Font")
    page = page_of(writer)
    resources = page["/Resources"]
    resources[pdf_name("/Font")] = generic.IndirectObject(fonts.idnum, fonts.generation, writer)
    writer.update_container(resources)
    page[pdf_name("/Contents")] = writer.add_object(stream(HIDDEN.encode()))
    writer.update_container(page)


def waiting_look(writer: Writer) -> None:
    fonts = writer.root["/AcroForm"]["/DR"].raw_get("/Font")
    fill(writer, "notes", "1", HIDDEN)
    shown = field_named(writer, "notes")["/AP"]["/N"]
    shown["/Resources"][pdf_name("/Font")] = generic.IndirectObject(fonts.idnum, fonts.generation, writer)


def waiting_form_in_a_look(writer: Writer) -> None:
    """What a look draws has no resources of its own."""
    waiting_look(writer)
    shown = field_named(writer, "notes")["/AP"]["/N"]
    inner = stream(HIDDEN.encode(), Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, 200, 60))
    shown["/Resources"][pdf_name("/XObject")] = entries(X=writer.add_object(inner))
    shown._data = b"/X Do"
    shown._encoded_data = None


def waiting_value(writer: Writer) -> None:
    field = field_named(writer, "notes")
    field["/V"], field["/DA"] = text("1000000"), text("/Miss 12 Tf 0 g")
    del field["/AP"]
    writer.update_container(field)


@pytest.mark.parametrize("made", [waiting_page, waiting_look, waiting_form_in_a_look, waiting_value])
def test_a_font_that_is_added_to_the_form_makes_nothing_else_appear(office: Office, made: Made) -> None:
    sealed = office.sign(prepared(made), certify=MDPPerm.FILL_FORMS).data

    def gained(title: str) -> Made:
        def make(writer: Writer) -> None:
            fill(writer, "name", "Jane", TEXT.format("(Jane) Tj"))
            gain_resource(writer, "Font", title, standard_font(writer))

        return make

    assert told(office, carried_out(sealed, gained("Miss"))).verdict is Verdict.UNDETERMINED


@pytest.mark.parametrize(("key", "value"), [("/Rotate", b"90"), ("/CropBox", b"[0 0 300 300]")])
def test_a_page_that_names_another_parent_inherits_nothing_that_may_be_written_out(office: Office, key: str, value: bytes) -> None:
    document = order_form()
    number = free_number(document)
    page = Writer(io.BytesIO(document)).root["/Pages"]["/Kids"].raw_get(0).idnum

    def page_with(document: bytes, *, parent: int | None, more: bytes = b"") -> bytes:
        writer, out = Writer(io.BytesIO(document)), io.BytesIO()
        found = page_of(writer)
        if parent is not None:
            found.pop(key, None)
            found[pdf_name("/Parent")] = generic.IndirectObject(parent, 0, writer)
        found.write_to_stream(out)
        return out.getvalue().rstrip()[:-2] + more + b">>"

    root = Writer(io.BytesIO(document)).root.raw_get("/Pages").idnum
    for parent, verdict in ((number, Verdict.UNDETERMINED), (root, Verdict.VALID)):
        grandparent = b"/Parent %d 0 R" % root if parent == number else b""
        above = b"<</Type/Pages/Count 1/Kids[%d 0 R]%b %b%b>>" % (page, key.encode(), value, grandparent)
        lying = update(document, {parent: above, page: page_with(document, parent=parent)})
        sealed = office.sign(lying, certify=MDPPerm.FILL_FORMS).data
        out = update(sealed, {page: page_with(sealed, parent=None, more=key.encode() + b" " + value)})
        assert told(office, out).verdict is verdict


def test_a_length_that_stands_by_itself_stays_as_it_is(office: Office, sealed: bytes) -> None:
    first = named_length(sealed, 2)
    number = free_number(sealed)

    def second(length: int) -> bytes:
        store = catalog(sealed) + b"/DSS<</Certs[%d 0 R %d 0 R]>>>>" % (number, number + 2)
        body = b"<</Length %d 0 R>>\nstream\n0\1\0\nendstream" % length
        return update(first, {number + 2: body, length: b"3", root_of(sealed): store})

    assert told(office, second(number + 3)).verdict is Verdict.VALID
    assert told(office, second(number + 1)).verdict is Verdict.INVALID


def test_what_keeps_an_answer_open_hides_no_change(office: Office) -> None:
    sealed = office.sign(prepared(waiting_page), certify=MDPPerm.FILL_FORMS).data

    def made(writer: Writer) -> None:
        fill(writer, "name", "Jane", TEXT.format("(1000) Tj"))
        gain_resource(writer, "Font", "Miss", standard_font(writer))

    assert told(office, carried_out(sealed, made)).verdict is Verdict.INVALID
