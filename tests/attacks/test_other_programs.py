"""What programs of others write when they fill in a sealed form: permitted and named, open where we cannot read it, and never a way in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.sign.fields import MDPPerm

from sealcore.clock import FixedClock
from tests.attacks.appended import Writer, carried_out, catalog, entries, free_number, name, numbers, stream, text, update
from tests.attacks.forms import BLUE, field_named, fill, gain_resource, look, order_form, sealed_font, standard_font
from tests.attacks.repairing import named_length, packed_update, root_of
from tests.verify.office import NOW, Office
from verify.report import Change, Report, Verdict
from verify.verifier import verify

Made = Callable[[Writer], Any]
GROUND = f"{BLUE} rg 0 0 {{}} {{}} re f "


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def sealed(office: Office) -> bytes:
    return office.sign(order_form(), certify=MDPPerm.FILL_FORMS).data


def told(office: Office, document: bytes) -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW))


def require(office: Office, document: bytes, verdict: Verdict, *, code: str = "") -> None:
    report = told(office, document)
    seal = next(each for each in report.seals if each.field == "Seal1")
    assert report.verdict is verdict, seal
    assert not code or code in {each.code for each in seal.findings}, seal


# --- honest --------------------------------------------------------------------------------------------------------------------


def spaces_and_dingbats(writer: Writer) -> None:
    """Colour spaces by name; the form gains ZapfDingbats; a copy of the resources is left behind."""
    content = GROUND.format(200, 20) + "/DeviceRGB CS .1 .1 .1 SC .5 .5 199 19 re s /Tx BMC q 1 1 198 18 re W n "
    fill(writer, "name", "Jane", f"/DeviceRGB cs {content} BT /Helv 12 Tf /DeviceRGB cs .1 .1 .1 sc 2 5.7 Td (Jane) Tj ET Q EMC")
    gain_resource(writer, "Font", "ZaDb", standard_font(writer, "ZapfDingbats"))
    writer.add_object(entries(Font=entries(Helv=sealed_font(writer))))


def borders_as_areas(writer: Writer) -> None:
    """Borders as slanted areas, a font by another name, a copy of the content left behind."""
    border = ".1 .1 .1 rg 1 19 m 199 19 l 200 20 l 0 20 l 1 19 l f .1 .1 .1 rg 199 19 m 199 1 l 200 0 l 200 20 l 199 19 l f "
    content = f"q {GROUND.format(200, 20)} Q q {border} Q /Tx BMC q n q 1 1 198 18 re W n q BT /F1 12 Tf 3 6.3 Td 0 g (Jane)Tj ET Q Q EMC Q"
    fill(writer, "name", "Jane", content, {"F1": sealed_font(writer)})
    writer.add_object(stream(content.encode()))


def comb_with_lines(writer: Writer) -> None:
    lines = "".join(f"{at} .5 m {at} 19.5 l " for at in range(20, 160, 20))
    shown = "".join(f"1 0 0 1 {at * 20 + 6} 5.7 Tm ({letter})Tj " for at, letter in enumerate("A123"))
    content = (
        f"q {GROUND.format(160, 20)} 1 w .5 .5 159 19 re S {lines} S Q /Tx BMC q 1 1 158 18 re W n BT /Helv 12 Tf 0 g {shown} ET Q EMC"
    )
    fill(writer, "code", "A123", content)


def list_of_rows(rows: str = "1 27.6 120 16.2 re f", options: tuple[str, ...] = ("one", "two", "three"), after: str = "") -> str:
    lines = "".join(f"0 -16.2 Td ({each}) Tj " for each in options)
    return f"/Tx BMC q 1 1 120 60 re W n .6 .76 .85 rg {rows} BT /Helv 12 Tf 0 g 1 0 0 1 2 62.1 Tm {lines} ET {after} Q EMC"


def numbers_of(*values: int) -> Any:
    return generic.ArrayObject(map(generic.NumberObject, values))


def chosen_in_list(writer: Writer) -> None:
    fill(writer, "items", "two", list_of_rows(), I=numbers_of(1), TI=generic.NumberObject(0), M=text("D:20260601120000Z"))


def chosen_as_shown(writer: Writer) -> None:
    fill(writer, "country", "CN", "/Tx BMC BT /Helv 12 Tf 0 g 2 5 Td (China) Tj ET EMC", I=numbers_of(1))


def spelled_otherwise(writer: Writer) -> None:
    """Colours rounded, the default appearance in another order, a plain font of its own."""
    character = entries(BC=numbers(*[0.10196078431372549] * 3), BG=numbers(0.8, 0.8431372549019608, 1))
    content = f"{GROUND.format(200, 20)} BT .1 .1 .1 rg 2 6.4 Td /Helv 12 Tf (Jane) Tj ET"
    font = {"Helv": standard_font(writer, Encoding=name("WinAnsiEncoding"))}
    fill(writer, "name", "Jane", content, font, MK=character, DA=text("0.1 0.1 0.1 rg /Helv 12 Tf"))


def boxed(writer: Writer, on: str = "(3) Tj", off: str = "", *, base: str = "ZapfDingbats", ticked: bool = True) -> None:
    """A check box with looks of its own."""
    fonts = {"ZaDb": standard_font(writer, base)}
    looks = {
        state: look(writer, "agreed", f"q {GROUND.format(20, 20)} {mark and f'BT 0 g 3 4 Td /ZaDb 16 Tf {mark} ET'} Q", fonts)
        for state, mark in (("Yes", on), ("Off", off))
    }
    field = field_named(writer, "agreed")
    field["/AP"], field["/DA"], field["/MK"] = entries(N=entries(**looks)), text("0 0 0 rg /Helv 0 Tf"), entries()
    if ticked:
        field["/V"] = field["/AS"] = name("Yes")
    writer.update_container(field)


def shared_resources(writer: Writer) -> None:
    """The form's resources, which looks share, are written anew with dingbats in them."""
    gain_resource(writer, "Font", "ZaDb", standard_font(writer, "ZapfDingbats"))
    field = fill(writer, "name", "Jane", "BT /Helv 12 Tf 0 g 2 5 Td (Jane) Tj ET")
    fonts = writer.root["/AcroForm"]["/DR"].raw_get("/Font")
    field["/AP"]["/N"]["/Resources"] = entries(Font=generic.IndirectObject(fonts.idnum, fonts.generation, writer))


def defaults_and_encodings(writer: Writer) -> None:
    """What has a default is said outright, texts in another encoding, a rectangle rounded, a page what it inherits."""
    field = fill(
        writer,
        "country",
        "CN",
        "BT .1 .1 .1 rg /Cour 12 Tf 2 5 Td (China) Tj ET",
        {"Cour": standard_font(writer, "Courier")},
        I=numbers_of(1),
    )
    field["/Opt"] = generic.ArrayObject([generic.ArrayObject([wide(part) for part in each]) for each in field["/Opt"]])
    field["/BS"], field["/Rect"] = entries(S=name("S"), W=generic.NumberObject(1)), numbers(72.0004, 480, 192, 500)
    field["/DA"] = text(str(field["/DA"]).replace("/Helv", "/Cour"))


def wide(part: Any) -> Any:
    return generic.ByteStringObject(b"\xfe\xff" + str(part).encode("utf-16-be"))


HONEST: dict[str, Made] = {
    "resources that looks share with the form": shared_resources,
    "defaults, encodings, rounding": defaults_and_encodings,
    "colour spaces, dingbats, a draft": spaces_and_dingbats,
    "borders as areas, a draft of the content": borders_as_areas,
    "a comb with lines between its cells": comb_with_lines,
    "a list with its chosen row": chosen_in_list,
    "a choice by what is shown for it": chosen_as_shown,
    "colours and default appearance spelled otherwise": spelled_otherwise,
    "a check box drawn anew": boxed,
    "an apostrophe": lambda writer: fill(writer, "name", "O'Neill", "BT /Helv 12 Tf 0 g 2 5 Td (O'Neill) Tj ET"),
    "a plain font without encoding": lambda writer: fill(
        writer, "name", "O'Neill", "BT /F 12 Tf 0 g 2 5 Td (O'Neill) Tj ET", {"F": standard_font(writer)}
    ),
    "no text where the value was emptied": lambda writer: fill(writer, "name", "", "/Tx BMC EMC"),
}


@pytest.mark.parametrize("title", HONEST)
def test_what_honest_programs_fill_in_is_permitted_and_named(office: Office, sealed: bytes, title: str) -> None:
    report = told(office, carried_out(sealed, HONEST[title]))
    seal = next(each for each in report.seals if each.field == "Seal1")
    assert report.verdict is Verdict.VALID, seal
    assert seal.changed.state is Change.PERMITTED and seal.changed.additions[0].page == 1


def test_a_number_that_was_never_used_may_be_free_and_a_length_may_stand_by_itself(office: Office, sealed: bytes) -> None:
    require(office, named_length(sealed, 2), Verdict.VALID)
    for length in (1, 3, 200):
        require(office, named_length(sealed, length), Verdict.INVALID)
    size = free_number(sealed)
    filled = carried_out(sealed, chosen_in_list)
    for number, verdict in ((size + 50, Verdict.VALID), (1, Verdict.INVALID)):
        added = update(filled, {})[len(filled) :].replace(b"f \n", b"f \n%d 1\n0000000000 00001 f \n" % number)
        require(office, filled + re.sub(rb"/Size \d+", b"/Size %d" % (size + 60), added), verdict)
    packed = packed_update(sealed, {}, {root_of(sealed): catalog(sealed) + b">>"})
    at = packed.rindex(b"endstream") - 8  # the last row: type, place, index
    require(office, packed[:at] + b"\0" * 5 + b"\xff\xff" + packed[at + 7 :], Verdict.VALID)  # lists itself as free


# --- open ----------------------------------------------------------------------------------------------------------------------


def embedded_font(writer: Writer) -> Any:
    """A font that brings its own glyphs, as programs use for other scripts."""
    descendant = entries(Type=name("Font"), Subtype=name("CIDFontType2"), BaseFont=name("AAAAAA+Some"), CIDSystemInfo=entries())
    return writer.add_object(
        entries(
            Type=name("Font"),
            Subtype=name("Type0"),
            BaseFont=name("AAAAAA+Some"),
            Encoding=name("Identity-H"),
            DescendantFonts=generic.ArrayObject([writer.add_object(descendant)]),
        )
    )


SHOWN = "BT /F 12 Tf 0 g 2 5 Td <00010002> Tj ET"
OPEN: dict[str, Made] = {
    "a font of its own": lambda writer: fill(writer, "name", "\u5f20\u4e09", SHOWN, {"F": embedded_font(writer)}),
    "letters that the font does not have": lambda writer: fill(writer, "name", "\u5f20\u4e09", "BT /Helv 12 Tf 0 g 2 5 Td (??) Tj ET"),
    "a list without its chosen row": lambda writer: fill(writer, "items", "two", list_of_rows("")),
    "more lines than the field has": lambda writer: fill(
        writer, "notes", "a b c d e", f"BT /Helv 12 Tf 0 g 2 44 Td {'0 -14 Td '.join(f'({each}) Tj ' for each in 'abcde')} ET"
    ),
}


@pytest.mark.parametrize("title", OPEN)
def test_a_value_that_cannot_be_read_as_shown_leaves_the_answer_open(office: Office, sealed: bytes, title: str) -> None:
    require(office, carried_out(sealed, OPEN[title]), Verdict.UNDETERMINED, code="FILLING_UNPROVEN")


# --- dishonest, by the same means ----------------------------------------------------------------------------------------------


def other_font_under_its_name(writer: Writer) -> None:
    fill(writer, "name", "100", "BT /Helv 12 Tf 0 g 2 5 Td (100) Tj ET", {"Helv": standard_font(writer, "ZapfDingbats")})


def form_font(title: str, font: Made) -> Made:
    def made(writer: Writer) -> None:
        fill(writer, "name", "Jane")
        gain_resource(writer, "Font", title, font(writer))

    return made


def with_program(writer: Writer) -> Any:
    return standard_font(writer, FontDescriptor=writer.add_object(entries(Type=name("FontDescriptor"))))


def renamed_glyphs(writer: Writer) -> Any:
    return standard_font(writer, Encoding=entries(Differences=generic.ArrayObject([generic.NumberObject(0x31), name("nine")])))


def entry(title: str, key: str, value: Any) -> Made:
    return lambda writer: fill(writer, title, "Jane", None, None, **{key: value})


def shared_and_exchanged(writer: Writer) -> None:
    """The shared resources lose the font that a sealed look uses."""
    fill(writer, "name", "Jane")
    fonts = writer.root["/AcroForm"]["/DR"]["/Font"]
    fonts[pdf_name("/Helv")] = standard_font(writer, "Courier")
    writer.update_container(fonts)


DISHONEST: dict[str, Made] = {
    "shared resources exchanged": shared_and_exchanged,
    "a border that is no default": entry("name", "BS", entries(S=name("S"), W=generic.NumberObject(9))),
    "a field moved a little": entry("name", "Rect", numbers(72, 721, 272, 741)),
    "a default appearance in a font that the form does not have": entry("name", "DA", text("/F1 12 Tf .1 .1 .1 rg")),
    "another export value": lambda writer: fill(
        writer, "country", "CN", Opt=generic.ArrayObject([generic.ArrayObject([text("CN"), text("Germany")])])
    ),
    "dingbats under the font's name": other_font_under_its_name,
    "dingbats in the form under another name": form_font("HeBo", lambda writer: standard_font(writer, "ZapfDingbats")),
    "the form's own font exchanged": form_font("Helv", standard_font),
    "a form font with a program of its own": form_font("HeBo", with_program),
    "a form font with renamed glyphs": form_font("HeBo", renamed_glyphs),
    "another form font of renamed glyphs in a look": lambda writer: fill(
        writer, "name", "100", "BT /F 12 Tf 0 g 2 5 Td (100) Tj ET /Fm Do", {"F": renamed_glyphs(writer)}
    ),
    "an unread look without a new value": lambda writer: fill(writer, "name", "", SHOWN, {"F": embedded_font(writer)}),
    "a form XObject in the form's resources": lambda writer: gain_resource(writer, "XObject", "FRM", look(writer, "name", "0 0 9 9 re f")),
    "white default appearance": entry("name", "DA", text("/Helv 12 Tf 1 g")),
    "a default appearance in another font": entry("name", "DA", text("/ZaDb 12 Tf .1 .1 .1 rg")),
    "a default appearance that says more": entry("name", "DA", text("/Helv 12 Tf .1 .1 .1 rg 3 Tr")),
    "another ground": entry("name", "MK", entries(BC=numbers(0.1, 0.1, 0.1), BG=numbers(0.1, 0.1, 0.1))),
    "a caption": entry("name", "MK", entries(BC=numbers(0.1, 0.1, 0.1), BG=numbers(0.8, 0.843, 1), CA=text("1000"))),
    "the list's other row marked": lambda writer: fill(writer, "items", "two", list_of_rows("1 11.4 120 16.2 re f")),
    "two rows marked": lambda writer: fill(writer, "items", "two", list_of_rows("1 27.6 120 16.2 re f 1 11.4 120 16.2 re f")),
    "a row painted over its text": lambda writer: fill(writer, "items", "two", list_of_rows("", after="1 27.6 120 16.2 re f")),
    "an option left out": lambda writer: fill(writer, "items", "two", list_of_rows(options=("one", "two", "four"))),
    "the chosen option not shown": lambda writer: fill(writer, "items", "two", list_of_rows("", options=("three",))),
    "indices that say otherwise": lambda writer: fill(writer, "items", "two", list_of_rows(), I=numbers_of(2)),
    "other options": lambda writer: fill(writer, "items", "two", list_of_rows(), Opt=generic.ArrayObject([text("two"), text("one")])),
    "another choice shown": lambda writer: fill(writer, "country", "CN", "BT /Helv 12 Tf 0 g 2 5 Td (Germany) Tj ET"),
    "a box that is off and drawn as ticked": lambda writer: boxed(writer, "", "(3) Tj"),
    "a box drawn anew and not ticked": lambda writer: boxed(writer, "", "(3) Tj", ticked=False),
    "a box that shows text": lambda writer: boxed(writer, "(No) Tj", base="Helvetica"),
    "a box with two marks": lambda writer: boxed(writer, "(33) Tj"),
    "a box covered": lambda writer: boxed(writer, "(3) Tj ET 0 0 20 20 re f BT"),
    "lines through a comb's cells": lambda writer: fill(writer, "code", "1", "12 1 m 12 19 l S BT /Helv 12 Tf 0 g 6 5 Td (1) Tj ET"),
    "lines in a field that is no comb": lambda writer: fill(writer, "name", "1", "100 1 m 100 19 l S BT /Helv 12 Tf 0 g 6 5 Td (1) Tj ET"),
    "an area over the field's middle": lambda writer: fill(
        writer, "name", "1", "20 10 m 30 10 l 30 15 l f BT /Helv 12 Tf 0 g 6 5 Td (1) Tj ET"
    ),
    "an area of the text's colour around it": lambda writer: fill(
        writer, "name", "1", "0 g 0 0 m 200 0 l 200 20 l 0 20 l f BT /Helv 12 Tf 6 5 Td (1) Tj ET"
    ),
    "a value with a dash that its look does not show": lambda writer: fill(
        writer, "name", generic.ByteStringObject(b"\x85100"), "BT /Helv 12 Tf 0 g 2 5 Td (100) Tj ET"
    ),
    "a look that is moved": lambda writer: fill(writer, "name", "1", "1 0 0 1 0 400 cm BT /Helv 12 Tf 0 g 2 5 Td (1) Tj ET"),
}


@pytest.mark.parametrize("title", DISHONEST)
def test_no_means_of_honest_programs_lets_a_field_show_something_else(office: Office, sealed: bytes, title: str) -> None:
    require(office, carried_out(sealed, DISHONEST[title]), Verdict.INVALID, code="CHANGED_AFTER_SEALING")
