"""A choice stands three times in a file: value, indices of the options (/I), look. Some readers go by the indices; all three have to agree."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.sign.fields import MDPPerm

from sealcore.clock import FixedClock
from tests.attacks.appended import Writer, annotate, carried_out, enter, entries, name, numbers, stream, text
from tests.attacks.forms import field_named, fill, order_form
from tests.verify.office import NOW, Office, written
from verify.report import Report, Verdict
from verify.verifier import verify

Made = Callable[[Writer], Any]
TEXT = "/Tx BMC BT /Helv 12 Tf 0 g 2 5 Td ({}) Tj ET EMC"
ROW = "/Tx BMC q 1 1 120 60 re W n .6 .76 .85 rg 1 {} 120 16.2 re f BT /Helv 12 Tf 0 g 1 0 0 1 2 62.1 Tm {} ET Q EMC"


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def seal(office: Office) -> Callable[[Made], bytes]:
    return cache(lambda before: office.sign(carried_out(order_form(), before), certify=MDPPerm.FILL_FORMS).data)


def told(office: Office, document: bytes) -> Report:
    return verify(document, office.trust(), None, clock=FixedClock(NOW))


def indices(*values: int) -> Any:
    return generic.ArrayObject(map(generic.NumberObject, values))


def country(value: str, shown: str, **more: Any) -> Made:
    return lambda writer: fill(writer, "country", value, TEXT.format(shown), **more)


def items(value: Any, row: float, **more: Any) -> Made:
    lines = "".join(f"0 -16.2 Td ({each}) Tj " for each in ("one", "two", "three"))
    return lambda writer: fill(writer, "items", value, ROW.format(row, lines), **more)


def without(made: Made, title: str, key: str) -> Made:
    def also(writer: Writer) -> None:
        made(writer)
        del field_named(writer, title)[key]

    return also


def prepared(*steps: Made) -> Made:
    def made(writer: Writer) -> None:
        for each in steps:
            each(writer)

    return made


PAIRS = [("DE", "Germany"), ("DE", "France"), ("CN", "China")]
TWICE = country("DE", "Germany", Opt=generic.ArrayObject([generic.ArrayObject(map(text, each)) for each in PAIRS]))
SET = prepared(country("DE", "Germany", I=indices(0)), items("one", 43.8, I=indices(0)))
AT_ODDS = country("DE", "Germany", I=indices(1))
OPEN, VALID, INVALID = Verdict.UNDETERMINED, Verdict.VALID, Verdict.INVALID

CASES: dict[str, tuple[Made, Made, Verdict]] = {
    "indices that follow": (SET, country("CN", "China", I=indices(1)), VALID),
    "indices that are left out": (SET, without(country("CN", "China"), "country", "/I"), VALID),
    "a list's indices that follow": (SET, items("two", 27.6, I=indices(1)), VALID),
    "the same choice once more": (SET, country("DE", "Germany"), VALID),
    "indices left behind": (SET, country("CN", "China"), OPEN),
    "a list's indices left behind": (SET, items("two", 27.6), OPEN),
    "the value taken away, the indices left behind": (SET, without(country("", ""), "country", "/V"), OPEN),
    "a value that is no option, the indices left behind": (SET, country("1000", "1000"), OPEN),
    "other indices": (SET, country("DE", "Germany", I=indices(1)), INVALID),
    "other indices with another value": (SET, items("two", 27.6, I=indices(2)), INVALID),
    "more indices": (SET, country("CN", "China", I=indices(1, 0)), INVALID),
    "an index of none": (SET, country("CN", "China", I=indices(7)), INVALID),
    "indices that are no numbers": (SET, country("CN", "China", I=generic.ArrayObject([text("1")])), INVALID),
    "at odds when sealed, left out later": (AT_ODDS, without(country("DE", "Germany"), "country", "/I"), OPEN),
    "at odds when sealed, mended later": (AT_ODDS, country("DE", "Germany", I=indices(0)), OPEN),
    "at odds when sealed, another choice": (AT_ODDS, country("CN", "China", I=indices(1)), VALID),
    "two options of one value, the other shown": (TWICE, country("DE", "France"), OPEN),
    "two options of one value, the other listed": (TWICE, country("DE", "Germany", I=indices(1)), OPEN),
    "indices of a text": (SET, lambda writer: fill(writer, "name", "Jane", TEXT.format("Jane"), I=indices(1)), INVALID),
}


@pytest.mark.parametrize("title", CASES)
def test_value_indices_and_look_of_a_choice_agree(office: Office, seal: Callable[[Made], bytes], title: str) -> None:
    before, after, verdict = CASES[title]
    report = told(office, carried_out(seal(before), after))
    assert report.verdict is verdict, report.seals[0]
    assert verdict is not OPEN or "FILLING_UNPROVEN" in {each.code for each in report.seals[0].findings}


def two_widgets() -> bytes:
    """A choice with two widgets, whose indices stand in the field above them."""
    writer = Writer(io.BytesIO(order_form()))
    widgets = []
    for left in (300, 440):
        shown = stream(TEXT.format("Germany").encode(), Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, 120, 20))
        shown["/Resources"] = entries(Font=entries(Helv=writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Helv")))
        widget = entries(
            Type=name("Annot"),
            Subtype=name("Widget"),
            F=generic.NumberObject(4),
            Rect=numbers(left, 300, left + 120, 320),
            AP=entries(N=writer.add_object(shown)),
        )
        widgets.append(writer.add_object(widget))
        annotate(writer, widgets[-1])
    options = generic.ArrayObject([text("Germany"), text("China")])
    above = entries(FT=name("Ch"), Ff=generic.NumberObject(1 << 17), T=text("both"), V=text("Germany"), Opt=options, I=indices(0))
    above["/DA"], above["/Kids"] = text("/Helv 12 Tf 0 g"), generic.ArrayObject(widgets)
    field = writer.add_object(above)
    for each in widgets:
        each.get_object()["/Parent"] = field
    enter(writer, field)
    return written(writer)


@pytest.mark.parametrize(("key", "verdict"), [("I", VALID), ("Kept", OPEN)])
def test_indices_above_the_widgets_are_theirs(office: Office, key: str, verdict: Verdict) -> None:
    def made(writer: Writer) -> None:
        above = field_named(writer, "both")
        above["/V"] = text("China")
        if key == "I":
            above[pdf_name("/I")] = indices(1)
        writer.update_container(above)
        font = writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Helv")
        for each in list.__iter__(above["/Kids"]):
            shown = stream(TEXT.format("China").encode(), Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, 120, 20))
            shown["/Resources"] = entries(Font=entries(Helv=generic.IndirectObject(font.idnum, font.generation, writer)))
            each.get_object()["/AP"] = entries(N=writer.add_object(shown))
            writer.update_container(each.get_object())

    sealed = office.sign(two_widgets(), certify=MDPPerm.FILL_FORMS).data
    report = told(office, carried_out(sealed, made))
    assert report.verdict is verdict, report.seals[0]
