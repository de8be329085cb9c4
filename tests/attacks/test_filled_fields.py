"""A field that was filled in shows its value, or the document was changed: looks that hide or cut it, states that are not the value."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.sign.fields import MDPPerm

from tests.attacks.appended import (
    Writer,
    annotate,
    carried_out,
    contract,
    enter,
    entries,
    field_of,
    free_number,
    name,
    numbers,
    page_of,
    stream,
    text,
)
from tests.attacks.repairing import packed_update, require_change, told
from tests.verify.office import Office, written
from verify.report import Verdict

HIDING_LOOKS = {
    "white on white": b"BT 1 1 1 rg /Helv 10 Tf 2 5 Td (100) Tj ET",
    "grey on the same grey": b".5 g 0 0 120 20 re f BT .5 .5 .5 rg /Helv 10 Tf 2 5 Td (100) Tj ET",
    "black on a ground of black": b"0 0 120 20 re f BT /Helv 10 Tf 2 5 Td (100) Tj ET",
    "colour of a state that was left": b"q 1 g Q 0 0 0 1 k 0 0 120 20 re f BT 0 g /Helv 10 Tf 2 5 Td (100) Tj ET",
    "too small to be read": b"BT 0 g /Helv .01 Tf 2 5 Td (100) Tj ET",
    "too large for the field": b"BT 0 g /Helv 150 Tf 2 5 Td (100) Tj ET",
    "characters pushed out": b"BT 0 g /Helv 10 Tf 200 Tc 2 5 Td (100) Tj ET",
    "characters kerned out": b"BT 0 g /Helv 10 Tf 2 5 Td [(1) -20000 (00)] TJ ET",
    "below the field": b"BT 0 g /Helv 3 Tf 2 -5 Td (100) Tj ET",
    "raised above the field": b"BT 0 g /Helv 10 Tf 5 Ts 2 15 Td (100) Tj ET",
    "right of the field": b"BT 0 g /Helv 10 Tf 2 5 Td (1) Tj 117 0 Td (00) Tj ET",
    "a line below the field": b"BT 0 g /Helv 10 Tf 2 5 Td (1) Tj 0 -10 Td (00) Tj ET",
    "below the clip": b"q 0 5 120 15 re W n BT 0 g /Helv 3 Tf 2 1 Td (100) Tj ET Q",
    "stretched out": b"BT 0 g /Helv 20 Tf 200 Tz 2 5 Td (1000000) Tj ET",
}
HONEST_LOOKS = {
    "plain": b"/Tx BMC q BT 0 g /Helv 10 Tf 2 5 Td (100) Tj ET Q EMC",
    "with ground, border and clip": b".8 .84 1 rg 0 0 120 20 re f 1 1 118 18 re s /Tx BMC q 2 2 116 16 re W n BT 0 g /Helv 12 Tf 2 5.7 Td (100) Tj ET Q EMC",
    "with a border between two rectangles": b"q 1 g 0 0 120 20 re f Q q 0 g 0 0 120 20 re 1 1 118 18 re f* Q BT /Helv 12 Tf 2 5 Td (100) Tj ET",
    "white on black": b"0 g 0 0 120 20 re f BT 1 g /Helv 10 Tf 2 5 Td (100) Tj ET",
    "comb": b"BT 0 g /Helv 10 Tf 17 5 Td (1) Tj 40 0 Td (0) Tj 40 0 Td (0) Tj ET",
    "spaced": b"BT 0 g /Helv 10 Tf 30 Tc 5 5 Td (100) Tj ET",
}


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def sealed(office: Office) -> bytes:
    return office.sign(contract(), certify=MDPPerm.FILL_FORMS).data


def field_look(writer: Writer, content: bytes) -> Any:
    font = writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Helv")
    resources = entries(Font=entries(Helv=generic.IndirectObject(font.idnum, font.generation, writer)))
    form = stream(content, Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, 120, 20), Resources=resources)
    return entries(N=writer.add_object(form))


def shown_as(sealed: bytes, content: bytes) -> bytes:
    def made(writer: Writer) -> None:
        field = field_of(writer)
        field["/V"] = text("1000000" if b"1000000" in content else "100")
        field["/AP"] = field_look(writer, content)
        writer.update_container(field)

    return carried_out(sealed, made)


@pytest.mark.parametrize("title", HIDING_LOOKS)
def test_a_look_that_hides_or_cuts_the_value_is_a_change(office: Office, sealed: bytes, title: str) -> None:
    require_change(office, shown_as(sealed, HIDING_LOOKS[title]))


@pytest.mark.parametrize("title", HONEST_LOOKS)
def test_a_look_that_shows_the_value_is_permitted(office: Office, sealed: bytes, title: str) -> None:
    assert told(office, shown_as(sealed, HONEST_LOOKS[title])).verdict is Verdict.VALID


@pytest.mark.parametrize(("value", "state"), [("Yes", "Off"), ("Off", "Yes")])
def test_a_box_that_shows_another_state_than_its_value_is_a_change(office: Office, sealed: bytes, value: str, state: str) -> None:
    def made(writer: Writer) -> None:
        field = field_of(writer, 2)
        field["/V"], field["/AS"] = name(value), name(state)
        writer.update_container(field)

    require_change(office, carried_out(sealed, made))


def several_widgets() -> bytes:
    """A radio group of two buttons, and a text that stands on two pages."""
    writer = Writer(io.BytesIO(contract(pages=2)))

    def kid(page: int, left: int, width: int, look: Any, **more: Any) -> Any:
        widget = entries(
            Type=name("Annot"),
            Subtype=name("Widget"),
            F=generic.NumberObject(4),
            Rect=numbers(left, 400, left + width, 420),
            AP=look,
            **more,
        )
        reference = writer.add_object(widget)
        annotate(writer, reference, page)
        return reference

    def states(on: str) -> Any:
        looks = {each: stream(b"0 0 9 9 re f", Subtype=name("Form"), BBox=numbers(0, 0, 20, 20)) for each in (on, "Off")}
        return entries(N=entries(**{key: writer.add_object(each) for key, each in looks.items()}))

    buttons = [kid(0, 300, 20, states("A"), AS=name("A")), kid(0, 340, 20, states("B"), AS=name("Off"))]
    texts = [kid(page, 400, 120, field_look(writer, b"/Tx BMC EMC")) for page in (0, 1)]
    group = {"FT": name("Btn"), "T": text("choice"), "V": name("A"), "Ff": generic.NumberObject(1 << 15)}
    both = {"FT": name("Tx"), "T": text("both"), "V": text(""), "DA": text("/Helv 10 Tf 0 g")}
    for field, kids in ((group, buttons), (both, texts)):
        parent = writer.add_object(entries(**field, Kids=generic.ArrayObject(kids)))
        for each in kids:
            each.get_object()["/Parent"] = parent
        enter(writer, parent)
    return written(writer)


@pytest.fixture(scope="module")
def sealed_widgets(office: Office) -> bytes:
    return office.sign(several_widgets(), certify=MDPPerm.FILL_FORMS).data


def named(writer: Writer, title: str) -> Any:
    fields = (each.get_object() for each in list.__iter__(writer.root["/AcroForm"]["/Fields"]))
    return next(each for each in fields if each["/T"] == title)


@pytest.mark.parametrize(
    ("value", "states", "verdict"),
    [
        ("B", ("Off", "B"), Verdict.VALID),
        ("B", ("A", "Off"), Verdict.INVALID),
        ("B", ("A", "B"), Verdict.INVALID),
        ("A", ("Off", "B"), Verdict.INVALID),
        ("A", ("Off", "Off"), Verdict.INVALID),
    ],
)
def test_a_radio_group_shows_its_value(
    office: Office, sealed_widgets: bytes, value: str, states: tuple[str, str], verdict: Verdict
) -> None:
    def made(writer: Writer) -> None:
        group = named(writer, "choice")
        group["/V"] = name(value)
        writer.update_container(group)
        for kid, state in zip(list.__iter__(group["/Kids"]), states, strict=True):
            button = kid.get_object()
            if button["/AS"] != f"/{state}":
                button["/AS"] = name(state)
                writer.update_container(button)

    assert told(office, carried_out(sealed_widgets, made)).verdict is verdict


@pytest.mark.parametrize(
    ("value", "states", "verdict"),
    [
        ("/B", ("Off", "B"), Verdict.UNDETERMINED),
        ("B", ("Off", "B"), Verdict.UNDETERMINED),
        ("/B", ("A", "Off"), Verdict.UNDETERMINED),  # the page shows what was sealed
        ("/A", ("Off", "B"), Verdict.INVALID),
        ("/C", ("A", "Off"), Verdict.INVALID),
    ],
)
def test_a_state_that_is_entered_as_a_text_leaves_the_answer_open(
    office: Office, sealed_widgets: bytes, value: str, states: tuple[str, str], verdict: Verdict
) -> None:
    """As pypdf does. Of readers, some take the text for the state, and some do not."""

    def made(writer: Writer) -> None:
        group = named(writer, "choice")
        group["/V"] = text(value)
        writer.update_container(group)
        for kid, state in zip(list.__iter__(group["/Kids"]), states, strict=True):
            button = kid.get_object()
            if button["/AS"] != f"/{state}":
                button["/AS"] = button["/V"] = name(state)
                writer.update_container(button)

    assert told(office, carried_out(sealed_widgets, made)).verdict is verdict


def test_a_widget_has_no_value_of_its_own(office: Office, sealed_widgets: bytes) -> None:
    """Whoever reads the form's data gets the field's value, and the page must not show another one."""

    def button(writer: Writer) -> None:
        group = named(writer, "choice")
        first = next(list.__iter__(group["/Kids"])).get_object()
        assert first["/AS"] == "/A"
        group["/V"], first["/V"] = name("B"), name("A")
        writer.update_container(group)
        writer.update_container(first)
        other = list(list.__iter__(group["/Kids"]))[1].get_object()
        other["/V"] = other["/AS"] = name("Off")
        writer.update_container(other)

    def both(writer: Writer) -> None:
        widget = next(list.__iter__(named(writer, "both")["/Kids"])).get_object()
        widget["/V"], widget["/AP"] = text("1000"), field_look(writer, b"BT 0 g /Helv 10 Tf 2 5 Td (1000) Tj ET")
        writer.update_container(widget)

    for made in (button, both):
        require_change(office, carried_out(sealed_widgets, made))


@pytest.mark.parametrize(("second", "verdict"), [("250", Verdict.VALID), ("100", Verdict.INVALID)])
def test_all_widgets_of_a_text_show_its_new_value(office: Office, sealed_widgets: bytes, second: str, verdict: Verdict) -> None:
    def made(writer: Writer) -> None:
        both = named(writer, "both")
        both["/V"] = text("250")
        writer.update_container(both)
        for kid, shown in zip(list.__iter__(both["/Kids"]), ("250", second), strict=True):
            kid.get_object()["/AP"] = field_look(writer, b"BT 0 g /Helv 10 Tf 2 5 Td (%b) Tj ET" % shown.encode())
            writer.update_container(kid.get_object())

    assert told(office, carried_out(sealed_widgets, made)).verdict is verdict


def test_what_some_honest_writers_do_is_permitted(office: Office, sealed: bytes) -> None:
    """They leave the cross-reference stream out of itself, and say outright that no appearances are needed."""
    out = io.BytesIO()
    writer = Writer(io.BytesIO(sealed))
    form = writer.root["/AcroForm"]
    form["/NeedAppearances"] = generic.BooleanObject(False)
    form.write_to_stream(out)
    document = packed_update(sealed, {writer.root.raw_get("/AcroForm").idnum: out.getvalue()}, lists_itself=False)
    assert told(office, document).verdict is Verdict.VALID
    assert free_number(document) > free_number(sealed)
    assert page_of(Writer(io.BytesIO(document)))["/Type"] == "/Page"


@pytest.mark.parametrize(
    ("made", "version", "verdict"), [("1.4", "1.7", Verdict.VALID), ("1.7", "2.0", Verdict.VALID), ("1.7", "1.4", Verdict.INVALID)]
)
def test_whoever_fills_in_may_raise_the_version_and_not_lower_it(
    office: Office, monkeypatch: pytest.MonkeyPatch, made: str, version: str, verdict: Verdict
) -> None:
    """pyHanko declares 1.7 in files that were older; our own writers leave the version as it is, and so does the seal here."""
    monkeypatch.setattr(Writer, "ensure_output_version", lambda _self, version: None)
    document = re.sub(rb"%PDF-\d\.\d", b"%PDF-" + made.encode(), contract(), count=1)
    sealed = office.sign(document, certify=MDPPerm.FILL_FORMS).data

    def filled(writer: Writer) -> None:
        field = field_of(writer)
        field["/V"], field["/AP"] = text("100"), field_look(writer, HONEST_LOOKS["plain"])
        writer.update_container(field)
        writer.root["/Version"] = name(version)
        writer.update_root()

    report = told(office, carried_out(sealed, filled))
    assert report.verdict is verdict, report


@pytest.mark.parametrize("look", ["as it was", "taken away"])
def test_a_value_whose_look_was_not_made_anew_is_undetermined(office: Office, sealed: bytes, look: str) -> None:
    """The page shows 100, and whoever reads the form's data gets 1000000."""

    def made(writer: Writer) -> None:
        field = field_of(writer)
        field["/V"] = text("1000000")
        if look == "taken away":
            del field["/AP"]
        writer.update_container(field)

    document = carried_out(sealed, made)
    if look == "taken away":
        require_change(office, document)
        return
    report = told(office, document)
    assert report.verdict is Verdict.UNDETERMINED, report
    assert "FILLING_UNPROVEN" in {each.code for each in report.seals[0].findings}


def test_a_value_of_a_field_whose_widgets_kept_their_looks_is_undetermined(office: Office, sealed_widgets: bytes) -> None:
    def made(writer: Writer) -> None:
        both = named(writer, "both")
        both["/V"] = text("1000000")
        writer.update_container(both)

    assert told(office, carried_out(sealed_widgets, made)).verdict is Verdict.UNDETERMINED


def test_the_same_value_in_another_encoding_needs_no_new_look(office: Office, sealed: bytes) -> None:
    def made(writer: Writer) -> None:
        field = field_of(writer)
        field["/V"] = generic.ByteStringObject(b"\xfe\xff" + "100".encode("utf-16-be"))
        writer.update_container(field)

    assert told(office, carried_out(sealed, made)).verdict is Verdict.VALID


def test_a_value_that_was_sealed_and_replaced_is_named_with_both(office: Office) -> None:
    filled = office.sign(shown_as(contract(), HONEST_LOOKS["plain"]), certify=MDPPerm.FILL_FORMS).data
    report = told(office, shown_as(filled, b"BT 0 g /Helv 10 Tf 2 5 Td (1000000) Tj ET"))
    (replaced,) = [each for each in report.seals[0].findings if each.code == "VALUE_REPLACED_LATER"]
    assert report.verdict is Verdict.VALID and replaced.detail.endswith(": 100 → 1000000")


def test_a_first_value_replaces_none(office: Office, sealed: bytes) -> None:
    report = told(office, shown_as(sealed, HONEST_LOOKS["plain"]))
    assert report.verdict is Verdict.VALID and "VALUE_REPLACED_LATER" not in {each.code for each in report.seals[0].findings}
