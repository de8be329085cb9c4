"""Updates that an attacker appends to a sealed file, so that it shows or means something else. Each by its name, made from any sealed file.

The file comes from ``contract``, sealed by the test's own office. Object numbers and places are looked up, so that the attacks work on
other sealed files of the same kind as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from reportlab.pdfgen import canvas

from tests.verify.office import written

PRICE = (60, 700, 400, 740)  # where the page says what it costs
COVER = b"1 1 1 rg 0 0 340 40 re f BT 0 0 0 rg /F1 14 Tf 12 16 Td (Contract: the price is 1000000.) Tj ET"


def contract(*, pages: int = 1) -> bytes:
    """A page with a price, a text field that shows its value, a check box, and a link."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, invariant=True)
    for number in range(pages):
        sheet.drawString(72, 720, f"Contract, page {number + 1}: the price is 100.")
        if number == 0:
            sheet.acroForm.textfield(name="amount", x=72, y=600, width=120, height=20, value="100")
            sheet.acroForm.textfield(name="total", x=72, y=560, width=120, height=20, value="100", fieldFlags="readOnly")
            sheet.acroForm.checkbox(name="agreed", x=72, y=520, checked=False)
            sheet.linkURL("https://example.org/terms", (72, 480, 200, 500))
        sheet.showPage()
    sheet.save()
    return out.getvalue()


# --- parts ---------------------------------------------------------------------------------------------------------------------


def numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject([generic.NumberObject(value) if isinstance(value, int) else generic.FloatObject(value) for value in values])


def entries(**values: Any) -> generic.DictionaryObject:
    return generic.DictionaryObject({pdf_name(f"/{key}"): value for key, value in values.items()})


def name(text: str) -> generic.NameObject:
    return pdf_name(f"/{text}")


def text(value: str) -> generic.TextStringObject:
    return generic.TextStringObject(value)


def stream(data: bytes, **values: Any) -> generic.StreamObject:
    return generic.StreamObject(entries(**values), stream_data=data)


Writer = IncrementalPdfFileWriter


def page_of(writer: Any, number: int = 0) -> Any:
    """The page's dictionary."""
    return writer.root["/Pages"]["/Kids"][number].get_object()


def field_of(writer: Any, number: int = 0) -> Any:
    """A field of the form."""
    return writer.root["/AcroForm"]["/Fields"][number].get_object()


def look(writer: Writer, content: bytes = COVER, width: int = 340, height: int = 40) -> Any:
    """An appearance that covers the price."""
    font = entries(Type=name("Font"), Subtype=name("Type1"), BaseFont=name("Helvetica"))
    resources = entries(Font=entries(F1=font))
    form = stream(content, Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, width, height), Resources=resources)
    return writer.add_object(form)


def annotate(writer: Writer, annotation: Any, number: int = 0) -> None:
    page = page_of(writer, number)
    old = page["/Annots"] if "/Annots" in page else generic.ArrayObject()
    page["/Annots"] = generic.ArrayObject([*list.__iter__(old), annotation])
    writer.update_container(page)


def enter(writer: Writer, field: Any) -> None:
    form = writer.root["/AcroForm"]
    form["/Fields"] = generic.ArrayObject([*list.__iter__(form["/Fields"]), field])
    writer.update_container(form)


def signature_field(writer: Writer, field_name: str = "Later", *, rectangle: Any = None, value: Any = None, **more: Any) -> Any:
    """A signature field with a widget over the price, on the page and in the form."""
    page = writer.root["/Pages"]["/Kids"].raw_get(0)
    field = entries(
        Type=name("Annot"),
        Subtype=name("Widget"),
        FT=name("Sig"),
        T=text(field_name),
        F=generic.NumberObject(4),
        Rect=rectangle if rectangle is not None else numbers(*PRICE),
        P=generic.IndirectObject(page.idnum, page.generation, writer),
    )
    if value is not None:
        field["/V"] = writer.add_object(value)
    for key, each in more.items():
        field[pdf_name(f"/{key}")] = each
    reference = writer.add_object(field)
    annotate(writer, reference)
    enter(writer, reference)
    return field


def junk_signature() -> generic.DictionaryObject:
    return entries(
        Type=name("Sig"),
        Filter=name("Adobe.PPKLite"),
        SubFilter=name("ETSI.CAdES.detached"),
        ByteRange=numbers(0, 10, 20, 10),
        Contents=generic.ByteStringObject(b"\x30\x03\x02\x01\x01" + bytes(64)),
    )


def annotation(writer: Writer, subtype: str, **more: Any) -> Any:
    return entries(
        Type=name("Annot"),
        Subtype=name(subtype),
        F=generic.NumberObject(4),
        Rect=numbers(*PRICE),
        AP=entries(N=look(writer)),
        Contents=text("the price is 1000000"),
        **more,
    )


# --- attacks -------------------------------------------------------------------------------------------------------------------

Attack = Callable[[Writer], None]
ATTACKS: dict[str, Attack] = {}


def attack(title: str) -> Callable[[Attack], Attack]:
    def enlist(made: Attack) -> Attack:
        ATTACKS[title] = made
        return made

    return enlist


def carried_out(sealed: bytes, made: Attack) -> bytes:
    """The sealed file with the attacker's update."""
    writer = Writer(io.BytesIO(sealed))
    made(writer)
    return written(writer)


def root_entry(title: str, key: str, value: Callable[[Writer], Any]) -> None:
    """An attack that gives the catalog another entry."""

    def made(writer: Writer) -> None:
        writer.root[pdf_name(key)] = value(writer)
        writer.update_root()

    ATTACKS[title] = made


def page_entry(title: str, key: str, value: Callable[[Writer], Any]) -> None:
    """An attack that gives the page another entry."""

    def made(writer: Writer) -> None:
        page = page_of(writer)
        page[pdf_name(key)] = value(writer)
        writer.update_container(page)

    ATTACKS[title] = made


def field_entry(title: str, key: str, value: Callable[[Writer], Any]) -> None:
    """An attack that gives the text field another entry."""

    def made(writer: Writer) -> None:
        field = field_of(writer)
        field[pdf_name(key)] = value(writer)
        writer.update_container(field)

    ATTACKS[title] = made


def form_entry(title: str, key: str, value: Callable[[Writer], Any]) -> None:
    def made(writer: Writer) -> None:
        form = writer.root["/AcroForm"]
        form[pdf_name(key)] = value(writer)
        writer.update_container(form)

    ATTACKS[title] = made


@attack("an unsigned signature field that covers the price")
def _unsigned(writer: Writer) -> None:
    signature_field(writer, AP=entries(N=look(writer)))


@attack("an unsigned signature field that covers the whole page")
def _whole_page(writer: Writer) -> None:
    content = b"1 1 1 rg 0 0 595 842 re f"
    signature_field(writer, rectangle=numbers(0, 0, 595, 842), AP=entries(N=look(writer, content, 595, 842)))


@attack("an unsigned signature field with JavaScript")
def _script(writer: Writer) -> None:
    action = entries(S=name("JavaScript"), JS=text("app.alert('paid')"))
    signature_field(writer, AP=entries(N=look(writer)), AA=entries(E=action, PO=action))


@attack("a junk signature field that covers the price")
def _junk(writer: Writer) -> None:
    signature_field(writer, value=junk_signature(), AP=entries(N=look(writer)))


@attack("a junk signature field named as the seal with a zero-width space")
def _named_alike(writer: Writer) -> None:
    signature_field(writer, "Seal1\u200b", value=junk_signature(), AP=entries(N=look(writer)))


@attack("a second field of the seal's name")
def _same_name(writer: Writer) -> None:
    signature_field(writer, "Seal1", AP=entries(N=look(writer)))


@attack("a junk document timestamp that covers the price")
def _junk_timestamp(writer: Writer) -> None:
    value = junk_signature()
    value["/Type"], value["/SubFilter"] = name("DocTimeStamp"), name("ETSI.RFC3161")
    signature_field(writer, value=value, AP=entries(N=look(writer)))


@attack("a widget whose rectangle holds indirect numbers")
def _indirect_rectangle(writer: Writer) -> None:
    corners = generic.ArrayObject([writer.add_object(generic.NumberObject(each)) for each in PRICE])
    signature_field(writer, rectangle=corners, AP=entries(N=look(writer)))


@attack("a rectangle that is a reference itself")
def _referenced_rectangle(writer: Writer) -> None:
    signature_field(writer, rectangle=writer.add_object(numbers(*PRICE)), AP=entries(N=look(writer)))


@attack("a signature field whose look depends on the mouse")
def _rollover(writer: Writer) -> None:
    signature_field(writer, AP=entries(N=look(writer, b""), R=look(writer), D=look(writer)))


@attack("an appearance behind a chain of references")
def _chain(writer: Writer) -> None:
    signature_field(writer, AP=writer.add_object(entries(N=look(writer))))


@attack("a store whose certificate leads to the page's content")
def _store_leads_on(writer: Writer) -> None:
    page = page_of(writer)
    contents = page.raw_get("/Contents")
    evil = stream(b"BT /F1 14 Tf 72 720 Td (Contract: the price is 1000000.) Tj ET")
    writer.objects[(contents.generation, contents.idnum)] = evil
    certificate = stream(b"\x30\x00", Next=generic.IndirectObject(contents.idnum, contents.generation, writer))
    _store(writer, writer.add_object(certificate))


@attack("a store whose certificate is the page's content")
def _store_is_content(writer: Writer) -> None:
    contents = page_of(writer).raw_get("/Contents")
    writer.objects[(contents.generation, contents.idnum)] = stream(b"\x30\x00")
    _store(writer, generic.IndirectObject(contents.idnum, contents.generation, writer))


@attack("a store whose certificate leads to the form field's look")
def _store_leads_to_look(writer: Writer) -> None:
    normal = field_of(writer)["/AP"].raw_get("/N")
    normal = generic.IndirectObject(normal.idnum, normal.generation, writer)
    old = normal.get_object()
    writer.objects[(normal.generation, normal.idnum)] = generic.StreamObject(
        generic.DictionaryObject({key: value for key, value in dict.items(old) if key not in ("/Length", "/Filter")}), stream_data=COVER
    )
    _store(writer, writer.add_object(stream(b"\x30\x00", Look=normal)))


@attack("a store with an entry that it does not have")
def _store_key(writer: Writer) -> None:
    _store(writer, writer.add_object(stream(b"\x30\x00")), Shown=look(writer))


@attack("a store of something that is no certificate")
def _store_text(writer: Writer) -> None:
    _store(writer, writer.add_object(stream(b"BT /F1 12 Tf (1000000) Tj ET")))


def _store(writer: Writer, certificate: Any, **more: Any) -> None:
    writer.root["/DSS"] = writer.add_object(entries(Type=name("DSS"), Certs=generic.ArrayObject([certificate]), **more))
    writer.update_root()


@attack("the look of a form field overwritten in place")
def _overwritten_look(writer: Writer) -> None:
    normal = field_of(writer)["/AP"].raw_get("/N")
    old = generic.IndirectObject(normal.idnum, normal.generation, writer).get_object()
    kept = generic.DictionaryObject({key: value for key, value in dict.items(old) if key not in ("/Length", "/Filter")})
    writer.objects[(normal.generation, normal.idnum)] = generic.StreamObject(kept, stream_data=COVER)


@attack("the look of a form field exchanged")
def _exchanged_look(writer: Writer) -> None:
    field = field_of(writer)
    field["/AP"] = entries(N=look(writer))
    writer.update_container(field)


@attack("a value with a look that says something else")
def _other_value(writer: Writer) -> None:
    field = field_of(writer)
    field["/V"] = text("100")
    field["/AP"] = entries(N=look(writer, b"/Tx BMC BT /F1 10 Tf 2 5 Td (1000000) Tj ET EMC", 120, 20))
    writer.update_container(field)


@attack("the value of a read-only field")
def _read_only(writer: Writer) -> None:
    field = field_of(writer, 1)
    field["/V"] = text("1000000")
    writer.update_container(field)


@attack("the look of the checked box exchanged")
def _check_box(writer: Writer) -> None:
    field = field_of(writer, 2)
    field["/AP"] = entries(N=entries(Yes=look(writer), Off=look(writer)))
    writer.update_container(field)


@attack("a check box in a state that it did not have")
def _new_state(writer: Writer) -> None:
    field = field_of(writer, 2)
    field["/AS"] = field["/V"] = name("Never")
    writer.update_container(field)


field_entry("a form field hidden", "/F", lambda _writer: generic.NumberObject(2))
field_entry("a form field moved", "/Rect", lambda _writer: numbers(*PRICE))
field_entry("a form field's default appearance", "/DA", lambda _writer: text("/Helv 40 Tf 1 0 0 rg"))
field_entry("a form field's characteristics", "/MK", lambda _writer: entries(BG=numbers(1, 0, 0), CA=text("1000000")))
field_entry("a form field's alignment", "/Q", lambda _writer: generic.NumberObject(2))
field_entry("a form field's flags", "/Ff", lambda _writer: generic.NumberObject(1 << 13))
field_entry("a form field's actions", "/AA", lambda _writer: entries(F=entries(S=name("JavaScript"), JS=text("event.value = 1000000"))))
field_entry("a form field's rich text", "/RV", lambda _writer: text("<body>1000000</body>"))
field_entry("a form field's parent", "/Parent", lambda writer: writer.add_object(entries(T=text("x"), V=text("1000000"))))
field_entry("a form field's kids", "/Kids", lambda writer: generic.ArrayObject([writer.add_object(annotation(writer, "Widget"))]))
field_entry("a form field's optional content", "/OC", lambda writer: writer.add_object(entries(Type=name("OCG"), Name=text("x"))))
field_entry("a form field's name", "/T", lambda _writer: text("discount"))
form_entry("the form's default resources", "/DR", lambda _writer: entries(Font=entries()))
form_entry("the form's default appearance", "/DA", lambda _writer: text("/Helv 40 Tf 1 0 0 rg"))
form_entry("the form draws its fields anew", "/NeedAppearances", lambda _writer: generic.BooleanObject(True))
form_entry("the form's calculation order", "/CO", lambda writer: generic.ArrayObject([writer.root["/AcroForm"]["/Fields"].raw_get(0)]))
form_entry("an XFA form", "/XFA", lambda writer: writer.add_object(stream(b"<xdp/>")))
form_entry("fields taken from the form", "/Fields", lambda writer: generic.ArrayObject([writer.root["/AcroForm"]["/Fields"].raw_get(-1)]))
form_entry("the form's flags", "/SigFlags", lambda _writer: generic.NumberObject(7))

for _subtype in ("FreeText", "Stamp", "Text", "Square", "Ink", "Highlight", "Watermark", "Redact", "FileAttachment", "Screen", "3D"):
    ATTACKS[f"an annotation over the price: {_subtype}"] = lambda writer, kind=_subtype: annotate(  # type: ignore[misc]
        writer, writer.add_object(annotation(writer, kind))
    )


@attack("a link to elsewhere")
def _link(writer: Writer) -> None:
    action = entries(S=name("URI"), URI=generic.ByteStringObject(b"https://attacker.example/pay"))
    annotate(writer, writer.add_object(entries(Type=name("Annot"), Subtype=name("Link"), Rect=numbers(*PRICE), A=action)))


@attack("a pop-up note")
def _popup(writer: Writer) -> None:
    popup = entries(Type=name("Annot"), Subtype=name("Popup"), Rect=numbers(*PRICE), Open=generic.BooleanObject(True))
    annotate(writer, writer.add_object(popup))


@attack("a button with an icon")
def _button(writer: Writer) -> None:
    button = annotation(writer, "Widget", FT=name("Btn"), T=text("icon"), Ff=generic.NumberObject(1 << 16), MK=entries(I=look(writer)))
    reference = writer.add_object(button)
    annotate(writer, reference)
    enter(writer, reference)


@attack("a text field that covers the price")
def _text_field(writer: Writer) -> None:
    reference = writer.add_object(annotation(writer, "Widget", FT=name("Tx"), T=text("price"), V=text("1000000")))
    annotate(writer, reference)
    enter(writer, reference)


@attack("a widget that no form knows")
def _stray_widget(writer: Writer) -> None:
    annotate(writer, writer.add_object(annotation(writer, "Widget", FT=name("Sig"), T=text("stray"))))


@attack("an annotation written into the page itself")
def _direct_annotation(writer: Writer) -> None:
    annotate(writer, annotation(writer, "Stamp"))


@attack("an annotation taken away")
def _annotation_gone(writer: Writer) -> None:
    page = page_of(writer)
    page["/Annots"] = generic.ArrayObject(list(list.__iter__(page["/Annots"]))[1:])
    writer.update_container(page)


@attack("annotations in another order")
def _annotations_turned(writer: Writer) -> None:
    page = page_of(writer)
    page["/Annots"] = generic.ArrayObject(list(list.__iter__(page["/Annots"]))[::-1])
    writer.update_container(page)


@attack("the link's target changed")
def _link_changed(writer: Writer) -> None:
    for each in page_of(writer)["/Annots"]:
        found = each.get_object()
        if found["/Subtype"] == "/Link":
            found["/A"] = entries(S=name("URI"), URI=generic.ByteStringObject(b"https://attacker.example/pay"))
            writer.update_container(found)


@attack("the page's content re-pointed")
def _content(writer: Writer) -> None:
    page = page_of(writer)
    page["/Contents"] = writer.add_object(stream(COVER))
    writer.update_container(page)


@attack("the page's content overwritten in place")
def _content_in_place(writer: Writer) -> None:
    contents = page_of(writer).raw_get("/Contents")
    writer.objects[(contents.generation, contents.idnum)] = stream(b"BT /F1 14 Tf 72 720 Td (Contract: the price is 1000000.) Tj ET")


@attack("a font exchanged in place")
def _font(writer: Writer) -> None:
    font = page_of(writer)["/Resources"]["/Font"]
    key = next(iter(font))
    reference = font.raw_get(key)
    differences = generic.ArrayObject([generic.NumberObject(0x31), name("nine")])
    font_entry = entries(Type=name("Font"), Subtype=name("Type1"), BaseFont=name("Helvetica"), Encoding=entries(Differences=differences))
    if isinstance(reference, generic.IndirectObject):
        writer.objects[(reference.generation, reference.idnum)] = font_entry
    else:
        font[key] = font_entry
        writer.update_container(font)


page_entry("the page turned", "/Rotate", lambda _writer: generic.NumberObject(180))
page_entry("the page's box", "/MediaBox", lambda _writer: numbers(0, 0, 595, 710))
page_entry("the page's crop box", "/CropBox", lambda _writer: numbers(0, 0, 595, 710))
page_entry("the page's unit", "/UserUnit", lambda _writer: generic.NumberObject(10))
page_entry("the page's actions", "/AA", lambda _writer: entries(O=entries(S=name("JavaScript"), JS=text("app.alert(1)"))))
page_entry("the page's resources", "/Resources", lambda _writer: entries(Font=entries()))
page_entry("the page's group", "/Group", lambda _writer: entries(S=name("Transparency"), CS=name("DeviceCMYK")))
page_entry("the page's duration", "/Dur", lambda _writer: generic.NumberObject(1))


@attack("a box that pages inherit")
def _inherited(writer: Writer) -> None:
    pages = writer.root["/Pages"]
    pages["/CropBox"], pages["/Rotate"] = numbers(0, 0, 595, 710), generic.NumberObject(90)
    writer.update_container(pages)


@attack("a page added")
def _page_added(writer: Writer) -> None:
    pages = writer.root["/Pages"]
    page = entries(Type=name("Page"), MediaBox=numbers(0, 0, 595, 842), Contents=writer.add_object(stream(COVER)))
    pages["/Kids"] = generic.ArrayObject([*list.__iter__(pages["/Kids"]), writer.add_object(page)])
    pages["/Count"] = generic.NumberObject(len(pages["/Kids"]))
    writer.update_container(pages)


@attack("another tree of pages")
def _other_pages(writer: Writer) -> None:
    page = writer.add_object(entries(Type=name("Page"), MediaBox=numbers(0, 0, 595, 842), Contents=writer.add_object(stream(COVER))))
    writer.root["/Pages"] = writer.add_object(entries(Type=name("Pages"), Kids=generic.ArrayObject([page]), Count=generic.NumberObject(1)))
    writer.update_root()


def _javascript(_writer: Writer) -> Any:
    return entries(S=name("JavaScript"), JS=text("this.getField('amount').value = 1000000"))


root_entry(
    "layers that hide content", "/OCProperties", lambda _writer: entries(OCGs=generic.ArrayObject(), D=entries(BaseState=name("OFF")))
)
root_entry(
    "JavaScript among the names",
    "/Names",
    lambda writer: entries(JavaScript=entries(Names=generic.ArrayObject([text("x"), _javascript(writer)]))),
)
root_entry(
    "an embedded file",
    "/Names",
    lambda writer: entries(
        EmbeddedFiles=entries(Names=generic.ArrayObject([text("x"), writer.add_object(entries(Type=name("Filespec"), F=text("x")))]))
    ),
)
root_entry("an action on opening", "/OpenAction", _javascript)
root_entry("actions of the document", "/AA", lambda writer: entries(WP=_javascript(writer)))
root_entry(
    "page labels", "/PageLabels", lambda _writer: entries(Nums=generic.ArrayObject([generic.NumberObject(0), entries(P=text("Paid "))]))
)
root_entry("an outline", "/Outlines", lambda writer: writer.add_object(entries(Type=name("Outlines"), Count=generic.NumberObject(0))))
root_entry("viewer preferences", "/ViewerPreferences", lambda _writer: entries(HideMenubar=generic.BooleanObject(True)))
root_entry("a page mode", "/PageMode", lambda _writer: name("FullScreen"))
root_entry("a structure tree", "/StructTreeRoot", lambda writer: writer.add_object(entries(Type=name("StructTreeRoot"))))
root_entry("destinations", "/Dests", lambda _writer: entries(x=generic.ArrayObject()))
root_entry("an older version", "/Version", lambda _writer: name("1.0"))
root_entry("a language", "/Lang", lambda _writer: text("de"))
root_entry("associated files", "/AF", lambda writer: generic.ArrayObject([writer.add_object(entries(Type=name("Filespec"), F=text("x")))]))
root_entry("a portfolio", "/Collection", lambda _writer: entries(View=name("T")))
root_entry("permissions", "/Perms", lambda _writer: entries())
root_entry("an extension that is none", "/Extensions", lambda writer: entries(EVIL=entries(BaseVersion=name("1.7"), Shown=look(writer))))
root_entry("metadata that say something else", "/Metadata", lambda writer: writer.add_object(stream(
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Contract: 1000000</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>',
    Type=name("Metadata"), Subtype=name("XML"))))  # fmt: skip


@attack("an object that belongs to nothing")
def _orphan(writer: Writer) -> None:
    writer.add_object(entries(Type=name("Page"), Contents=writer.add_object(stream(COVER))))


@attack("another title of the file")
def _title(writer: Writer) -> None:
    info = writer.trailer["/Info"]
    info["/Title"] = text("Contract: 1000000")
    writer.update_container(info)


@attack("a look taken from a hidden page of the sealed file")
def _from_the_sealed_file(writer: Writer) -> None:
    signature_field(writer, AP=entries(N=page_of(writer).raw_get("/Contents")))


@attack("the seal's own field changed")
def _own_field(writer: Writer) -> None:
    field = field_of(writer, len(writer.root["/AcroForm"]["/Fields"]) - 1)
    field["/Rect"], field["/AP"] = numbers(*PRICE), entries(N=look(writer))
    writer.update_container(field)


# --- raw updates, byte by byte ---------------------------------------------------------------------------------------------------


def update(sealed: bytes, objects: dict[int, bytes], *, listed: dict[int, int] | None = None, trailer: bytes = b"", prev: int | None = None) -> bytes:  # fmt: skip
    """An update written by hand; ``listed`` adds cross-reference entries to places of one's choice. /Info stays unless ``trailer`` has one."""
    reader = PdfFileReader(io.BytesIO(sealed))
    if b"/Info" not in trailer:
        trailer += information_of(reader)
    body, places = b"\n", {}
    for number, content in objects.items():
        places[number] = len(sealed) + len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    places |= listed or {}
    start = len(sealed) + len(body)
    table = b"".join(b"%d 1\n%010d 00000 n \n" % (number, place) for number, place in sorted(places.items()))
    size = max([int(reader.trailer["/Size"]), *(number + 1 for number in places)])
    root = reader.root_ref.idnum
    assert reader.last_startxref is not None
    previous = reader.last_startxref if prev is None else prev
    tail = b"trailer\n<</Size %d/Prev %d/Root %d 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (size, previous, root, trailer, start)
    return sealed + body + b"xref\n0 1\n0000000000 65535 f \n" + table + tail


def information_of(reader: PdfFileReader) -> bytes:
    """The trailer's /Info, as proper updates repeat it."""
    return b"/Info %d 0 R" % reader.trailer.raw_get("/Info").idnum if "/Info" in reader.trailer else b""


def free_number(sealed: bytes) -> int:
    return int(PdfFileReader(io.BytesIO(sealed)).trailer["/Size"])


def page_content(sealed: bytes) -> int:
    return int(PdfFileReader(io.BytesIO(sealed)).root["/Pages"]["/Kids"][0].raw_get("/Contents").idnum)


def catalog(sealed: bytes) -> bytes:
    out = io.BytesIO()
    PdfFileReader(io.BytesIO(sealed)).root.write_to_stream(out)
    return out.getvalue().rstrip()[:-2]


def unlisted(sealed: bytes) -> bytes:
    evil = b"\n%d 0 obj\n<</Length %d>>\nstream\n%b\nendstream\nendobj\n" % (page_content(sealed), len(COVER), COVER)
    return update(sealed + evil, {})


def junk_between(sealed: bytes) -> bytes:
    """Two updates with something between them that no reader of cross-references sees."""
    first = update(sealed, {})
    second = update(first, {})[len(first) :]
    shifted = second.replace(b"startxref\n%d" % (len(first) + 1), b"startxref\n%d" % (len(first) + 6))
    return first[len(sealed) :] + b"junk\n" + shifted


RAW: dict[str, Callable[[bytes], bytes]] = {
    "junk behind the end": lambda sealed: sealed + b"\n1 0 obj\n<<>>\nendobj\n",
    "a second end of file": lambda sealed: sealed + b"%%EOF\n",
    "a comment": lambda sealed: sealed + b"% 1000000\n",
    "an end without cross-references": lambda sealed: sealed + b"startxref\n0\n%%EOF\n",
    "an update that updates nothing, twice the end": lambda sealed: update(sealed, {}) + b"%%EOF\n",
    "junk between two updates": lambda sealed: sealed + junk_between(sealed),
    "two trailers": lambda sealed: update(sealed, {}).replace(b"startxref", b"trailer\n<</Root 99 0 R>>\nstartxref")[: -1 - 0],
    "a comment that looks like an object": lambda sealed: sealed + b"\n% 1 0 obj\n" + update(sealed, {})[len(sealed) :],
    "cross-references in a loop": lambda sealed: update(sealed, {}, prev=len(sealed) + 1),
    "cross-references that skip the sealed ones": lambda sealed: update(sealed, {}, prev=0),
    "a hybrid file": lambda sealed: update(sealed, {}, trailer=b"/XRefStm 15"),
    "another catalog": lambda sealed: update(sealed, {free_number(sealed): b"<</Type/Catalog/Pages 1 0 R>>"}, trailer=b"").replace(
        b"/Root %d 0 R" % PdfFileReader(io.BytesIO(sealed)).root_ref.idnum + b">>\nstartxref",
        b"/Root %d 0 R" % free_number(sealed) + b">>\nstartxref",
    ),
    "encryption": lambda sealed: update(
        sealed, {free_number(sealed): b"<</Filter/Standard>>"}, trailer=b"/Encrypt %d 0 R" % free_number(sealed)
    ),
    "a sealed object under another number": lambda sealed: update(sealed, {}, listed={page_content(sealed): 15}),
    "an object that is not listed": unlisted,
    "a stream whose length lies elsewhere": lambda sealed: update(
        sealed,
        {
            page_content(sealed): b"<</Length %d 0 R>>\nstream\n%b\nendstream" % (free_number(sealed), COVER),
            free_number(sealed): b"%d" % len(COVER),
        },
    ),
    "a stream from another file": lambda sealed: update(
        sealed, {page_content(sealed): b"<</Length 0/F(\\\\\\\\attacker.example\\\\x)>>\nstream\n\nendstream"}
    ),
    "a dictionary with a key twice": lambda sealed: update(
        sealed, {PdfFileReader(io.BytesIO(sealed)).root_ref.idnum: catalog(sealed) + b"/Pages 1 0 R/Pages 2 0 R>>"}
    ),
    "an update of an object stream that holds the page": lambda sealed: update(
        sealed, {page_content(sealed): b"<</Type/ObjStm/N 1/First 4/Length 8>>\nstream\n9 0 null\nendstream"}
    ),
}
