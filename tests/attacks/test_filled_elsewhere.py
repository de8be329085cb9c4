"""A value stands in several places: above a field, in widgets that no field lists, twice under one name. All agree, or the answer stays open."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.sign.fields import MDPPerm

from tests.attacks.appended import Writer, annotate, carried_out, contract, enter, entries, name, numbers, stream, text
from tests.attacks.forms import sealed_font
from tests.attacks.repairing import told
from tests.verify.office import Office, written
from verify.report import Verdict

Made = Callable[[Writer], None]
OPEN, VALID, INVALID = Verdict.UNDETERMINED, Verdict.VALID, Verdict.INVALID
TEXT_FIELD: dict[str, Any] = {"FT": name("Tx"), "DA": text("/Helv 10 Tf 0 g")}
CHOICE: dict[str, Any] = {"FT": name("Ch"), "Ff": generic.NumberObject(1 << 17), "DA": text("/Helv 10 Tf 0 g")}


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


def indices(*values: int) -> Any:
    return generic.ArrayObject(map(generic.NumberObject, values))


def shown(writer: Writer, value: str) -> Any:
    content = f"/Tx BMC q BT 0 g /Helv 10 Tf 2 5 Td ({value}) Tj ET Q EMC" if value else "/Tx BMC EMC"
    fonts = entries(Font=entries(Helv=sealed_font(writer)))
    form = stream(content.encode(), Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, 120, 20), Resources=fonts)
    return entries(N=writer.add_object(form))


def widget(writer: Writer, left: int = 300, **more: Any) -> Any:
    made = entries(Type=name("Annot"), Subtype=name("Widget"), F=generic.NumberObject(4), Rect=numbers(left, 400, left + 120, 420), **more)
    made["/AP"] = shown(writer, "100")
    reference = writer.add_object(made)
    annotate(writer, reference)
    return reference


def below(listed: int, *widgets: dict[str, Any], **above: Any) -> Made:
    """A field called a, with widgets or fields below it, of which it lists the first."""

    def made(writer: Writer) -> None:
        kids = [widget(writer, 300 + 130 * place, **more) for place, more in enumerate(widgets)]
        field = writer.add_object(entries(**(TEXT_FIELD | above), T=text("a")))
        for each in kids:
            each.get_object()["/Parent"] = field
        if listed:
            field.get_object()["/Kids"] = generic.ArrayObject(kids[:listed])
        enter(writer, field)

    return made


def alone(count: int = 1, **more: Any) -> Made:
    def made(writer: Writer) -> None:
        for place in range(count):
            enter(writer, widget(writer, 300 + 130 * place, **(TEXT_FIELD | {"T": text("a"), "V": text("100")} | more)))

    return made


def change(place: int, value: Any = None, look: str | None = None, kid: int | None = None, **more: Any) -> Made:
    """Gives the field at a place of those called a, or a kid of it, a value and a look; None takes the value away."""

    def made(writer: Writer) -> None:
        found = (each.get_object() for each in list.__iter__(writer.root["/AcroForm"]["/Fields"]))
        field = [each for each in found if each["/T"] == "a"][place]
        if kid is not None:
            field = list(list.__iter__(field["/Kids"]))[kid].get_object()
        field.pop("/V", None)
        for key, each in ({} if value is None else {"V": text(value) if isinstance(value, str) else value} | more).items():
            field[pdf_name(f"/{key}")] = each
        if look is not None:
            field["/AP"] = shown(writer, look)
        writer.update_container(field)

    return made


def both(*steps: Made) -> Made:
    def made(writer: Writer) -> None:
        for each in steps:
            each(writer)

    return made


V, OWN, NULL = {"V": text("100")}, {"T": text("b")}, generic.NullObject()
OPTIONS: dict[str, Any] = {"Opt": generic.ArrayObject([text("100"), text("200")])}
OTHER_ORDER = generic.ByteStringObject(b"\xff\xfe" + "200".encode("utf-16-le"))


def beside(writer: Writer) -> None:
    """A widget of the same full name, below another field of the name of the one above, which the form does not list."""
    below(1, OWN | V)(writer)
    unlisted = widget(writer, 430, **(TEXT_FIELD | OWN | V))
    unlisted.get_object()["/Parent"] = writer.add_object(entries(T=text("a")))


def further(writer: Writer) -> None:
    """A widget two levels below a field that lists nothing."""
    within = writer.add_object(entries(T=text("b")))
    widget(writer).get_object()["/Parent"] = within
    within.get_object()["/Parent"] = field = writer.add_object(entries(**TEXT_FIELD, T=text("a"), V=text("100")))
    enter(writer, field)


CASES: dict[str, tuple[Made, Made, Verdict]] = {
    "the value above a field that has none": (below(1, OWN, **V), change(0, "1000"), OPEN),
    "the value above a field, and its look": (below(1, OWN, **V), both(change(0, "1000"), change(0, None, "1000", kid=0)), VALID),
    "a field's value taken away below another": (below(1, OWN | V, V=text("1000")), change(0, None, "", kid=0), INVALID),
    "a field's value made null below another": (below(1, OWN | V, V=text("1000")), change(0, NULL, "", kid=0), INVALID),
    "a field's value taken away": (below(1, OWN | V), change(0, None, "", kid=0), VALID),
    "a widget that its field does not list": (below(0, {}, **V), change(0, "1000"), OPEN),
    "one of two widgets is not listed": (below(1, {}, {}, **V), both(change(0, "1000"), change(0, None, "1000", kid=0)), OPEN),
    "a widget far below its field that is not listed": (further, change(0, "1000"), OPEN),
    "a widget of the same full name that is not listed": (beside, change(0, "1000", "1000", kid=0), OPEN),
    "a widget's own value under a field's": (below(1, V, **V), change(0, "1000", "1000", kid=0), INVALID),
    "a field's value over a widget's own": (below(1, V, **V), both(change(0, "1000"), change(0, "100", "1000", kid=0)), OPEN),
    "a widget's own value, as before": (below(1, V, **V), both(change(0, "1000"), change(0, "1000", "1000", kid=0)), VALID),
    "own values of two widgets": (below(2, V, V), both(change(0, "1", "1", kid=0), change(0, "2", "2", kid=1)), INVALID),
    "own values of two widgets that agree": (below(2, V, V), both(change(0, "1", "1", kid=0), change(0, "1", "1", kid=1)), VALID),
    "the first of two fields of one name": (alone(2), change(0, "1000", "1000"), OPEN),
    "the second of two fields of one name": (alone(2), change(1, "1000", "1000"), OPEN),
    "two fields of one name, two values": (alone(2), both(change(0, "1", "1"), change(1, "2", "2")), OPEN),
    "two fields of one name, one value": (alone(2), both(change(0, "1", "1"), change(1, "1", "1")), VALID),
    "indices that are null below others": (
        below(1, OWN | V | {"I": indices(0)}, **(CHOICE | OPTIONS | {"I": indices(0)})),
        change(0, "200", "200", kid=0, I=NULL),
        OPEN,
    ),
    "a value that a choice does not have": (alone(**(CHOICE | OPTIONS)), change(0, "1000", "1000"), OPEN),
    "the same where others may be typed": (
        alone(**(CHOICE | OPTIONS | {"Ff": generic.NumberObject(1 << 17 | 1 << 18)})),
        change(0, "1000", "1000"),
        VALID,
    ),
    "a list that begins behind its end": (
        alone(**(CHOICE | OPTIONS)),
        change(0, "200", "200", TI=generic.NumberObject(2)),
        INVALID,
    ),
    "a value longer than its field": (alone(MaxLen=generic.NumberObject(3)), change(0, "1000", "1000"), OPEN),
    "a value as long as its field": (alone(MaxLen=generic.NumberObject(4)), change(0, "1000", "1000"), VALID),
    "a value in the other byte order": (alone(), change(0, OTHER_ORDER, "200"), OPEN),
}


@pytest.mark.parametrize("title", CASES)
def test_what_was_entered_is_what_all_places_say(office: Office, title: str) -> None:
    before, after, verdict = CASES[title]
    writer = Writer(io.BytesIO(contract()))
    before(writer)
    sealed = office.sign(written(writer), certify=MDPPerm.FILL_FORMS).data
    report = told(office, carried_out(sealed, after))
    assert report.verdict is verdict, report.seals[0]
