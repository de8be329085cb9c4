"""A form with fields of all kinds, and what other programs write into it, object by object as they do."""

from __future__ import annotations

import io
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.sign import fields
from reportlab.pdfgen import canvas

from tests.attacks.appended import Writer, entries, name, numbers, stream, text
from tests.verify.office import written

SIZES = {"name": (200, 20), "notes": (200, 60), "code": (160, 20), "agreed": (20, 20), "country": (120, 20), "items": (120, 60)}
BLUE = ".8 .84 1"  # of the fields' ground


def order_form() -> bytes:
    """One page: text, several lines, comb, check box, radio buttons, choice, list, signature field."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, invariant=True)
    sheet.drawString(72, 780, "Order form: the price is 100.")
    form = sheet.acroForm
    form.textfield(name="name", x=72, y=720, width=200, height=20, value="")
    form.textfield(name="notes", x=72, y=640, width=200, height=60, value="", fieldFlags="multiline")
    form.textfield(name="code", x=72, y=600, width=160, height=20, value="", maxlen=8, fieldFlags="comb")
    form.checkbox(name="agreed", x=72, y=560, checked=False)
    for place, colour in enumerate(("red", "green", "blue")):
        form.radio(name="colour", value=colour, x=72 + 60 * place, y=520, selected=place == 0)
    form.choice(name="country", x=72, y=480, width=120, height=20, value="DE", options=[("Germany", "DE"), ("China", "CN")])
    form.listbox(name="items", x=72, y=400, width=120, height=60, value="one", options=["one", "two", "three"])
    sheet.showPage()
    sheet.save()
    writer = Writer(io.BytesIO(out.getvalue()))
    fields.append_signature_field(writer, fields.SigFieldSpec("Customer", box=(72, 100, 272, 160)))
    form = writer.root["/AcroForm"]
    fonts = writer.add_object(form["/DR"]["/Font"])
    form["/DR"][pdf_name("/Font")] = fonts  # which a look shares
    shared = field_named(writer, "name")["/AP"]["/N"]
    shared["/Resources"][pdf_name("/Font")] = fonts
    writer.update_container(form)
    writer.update_container(shared)
    return written(writer)


def field_named(writer: Writer, title: str) -> Any:
    """The field, to be changed."""
    found = (each.get_object() for each in list.__iter__(writer.root["/AcroForm"]["/Fields"]))
    return next(each for each in found if each["/T"] == title)


def sealed_font(writer: Writer) -> Any:
    """The form's own Helvetica."""
    font = writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Helv")
    return generic.IndirectObject(font.idnum, font.generation, writer)


def standard_font(writer: Writer, base: str = "Helvetica", **more: Any) -> Any:
    """A new standard font, as several programs bring one along."""
    return writer.add_object(entries(Type=name("Font"), Subtype=name("Type1"), BaseFont=name(base), **more))


def look(writer: Writer, title: str, content: str, fonts: dict[str, Any] | None = None, **more: Any) -> Any:
    """A normal appearance as large as the field."""
    resources = entries(Font=entries(**({"Helv": sealed_font(writer)} if fonts is None else fonts)))
    box = numbers(0, 0, *SIZES[title])
    form = stream(content.encode("latin-1"), Type=name("XObject"), Subtype=name("Form"), BBox=box, Resources=resources, **more)
    return writer.add_object(form)


def fill(writer: Writer, title: str, value: Any, content: str | None = None, fonts: dict[str, Any] | None = None, **more: Any) -> Any:
    """The field with a value and, where there is a content, a look of its own."""
    field = field_named(writer, title)
    field["/V"] = text(value) if isinstance(value, str) else value
    if content is not None:
        field["/AP"] = entries(N=look(writer, title, content, fonts))
    for key, each in more.items():
        field[pdf_name(f"/{key}")] = each
    writer.update_container(field)
    return field


def gain_resource(writer: Writer, kind: str, title: str, value: Any) -> None:
    """Another entry of the form's default resources."""
    form = writer.root["/AcroForm"]
    if f"/{kind}" not in form["/DR"]:
        form["/DR"][pdf_name(f"/{kind}")] = entries()
        writer.update_container(form)
    part = form["/DR"][f"/{kind}"]
    part[pdf_name(f"/{title}")] = value
    writer.update_container(part)
