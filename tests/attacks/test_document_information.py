"""What a file says of itself, /Info and XMP, entry by entry: a later step may date it anew, and may not make it say something else."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

import pypdfium2
import pytest
from pyhanko.sign.fields import MDPPerm

from sealcore.clock import FixedClock
from tests.attacks.appended import catalog, contract, free_number, update
from tests.attacks.repairing import root_of
from tests.verify.office import NOW, DatedWriter, Office
from verify.report import Change, Report, Verdict
from verify.verifier import verify

INFO: dict[str, bytes] = {
    "Title": b"(Contract 1)",
    "Author": b"(Jane Doe)",
    "Subject": b"(Sale of a house)",
    "Keywords": b"(house, sale)",
    "Creator": b"(Some Tool)",
    "Producer": b"(Some Producer)",
    "CreationDate": b"(D:20260101120000+02'00')",
    "ModDate": b"(D:20260101120000+02'00')",
    "Reviewed": b"(1)",
}
NAMESPACES = " ".join(
    f"xmlns:{prefix}={quoteattr(uri)}"
    for prefix, uri in {
        "dc": "http://purl.org/dc/elements/1.1/",
        "pdf": "http://ns.adobe.com/pdf/1.3/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "mm": "http://ns.adobe.com/xap/1.0/mm/",
        "ev": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
        "pdfaid": "http://www.aiim.org/pdfa/ns/id/",
        "own": "urn:example:own",
    }.items()
)
DATES = "<xmp:ModifyDate>{0}</xmp:ModifyDate><xmp:MetadataDate>{0}</xmp:MetadataDate><pdf:Producer>{1}</pdf:Producer>"
TITLES = "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{}</rdf:li><rdf:li xml:lang='de'>{}</rdf:li></rdf:Alt></dc:title>"
AUTHORS = "<dc:creator><rdf:Seq><rdf:li>{}</rdf:li><rdf:li>{}</rdf:li></rdf:Seq></dc:creator>"
TEXT = "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{}</rdf:li></rdf:Alt></dc:description>"
EVENT = "<rdf:li rdf:parseType='Resource'><ev:action>{}</ev:action><ev:when>2026-01-01</ev:when></rdf:li>"
HISTORY = "<mm:History><rdf:Seq>{}</rdf:Seq></mm:History>"
IDENTIFIERS = "<mm:DocumentID>uuid:{}</mm:DocumentID><mm:InstanceID>uuid:{}</mm:InstanceID>"
MADE = EVENT.format("created")
PARTS: dict[str, str] = {
    "dates": DATES.format("2026-01-01T12:00:00+02:00", "Some Producer"),
    "title": TITLES.format("Contract 1", "Vertrag 1"),
    "authors": AUTHORS.format("Jane Doe", "Max Roe"),
    "text": TEXT.format("Sale of a house"),
    "history": HISTORY.format(MADE),
    "identifiers": IDENTIFIERS.format("1", "1"),
    "conformance": "<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>",
    "own": "<own:state>draft</own:state>",
}
LATER = DATES.format("2026-06-01T12:00:00Z", "Another Producer")


def packet(*parts: str, about: str = "", before: str = "", after: str = "") -> bytes:
    body = f"<rdf:Description rdf:about={quoteattr(about)} {NAMESPACES}>{''.join(parts)}</rdf:Description>"
    rdf = f"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>{body}</rdf:RDF>"
    return (
        f"{before}<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>{rdf}</x:xmpmeta>{after}"
        "<?xpacket end='w'?>"
    ).encode()


def stream(data: bytes) -> bytes:
    return b"<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%b\nendstream" % (len(data), data)


def dictionary(entries: dict[str, bytes]) -> bytes:
    return b"<<%b>>" % b"".join(b"/%b%b" % (key.encode(), value) for key, value in entries.items())


def document(info: dict[str, bytes] | None, xmp: bytes | None) -> bytes:
    made = re.sub(rb"/Info \d+ 0 R", lambda entry: b" " * len(entry.group()), contract())
    number, objects = free_number(made), dict[int, bytes]()
    if info is not None:
        objects[number] = dictionary(info)
    if xmp is not None:
        objects |= {number + 1: stream(xmp), root_of(made): catalog(made) + b"/Metadata %d 0 R>>" % (number + 1)}
    return update(made, objects, trailer=b"/Info %d 0 R" % number if info is not None else b"")


def later(sealed: bytes, info: dict[str, bytes] | None = None, xmp: bytes | None = None) -> bytes:
    """An update with another /Info, other metadata, or both."""
    number, objects, trailer = free_number(sealed), dict[int, bytes](), b""
    if info is not None:
        objects[number], trailer = dictionary(info), b"/Info %d 0 R" % number
    if xmp is not None:
        bare = re.sub(rb"/Metadata \d+ 0 R", b"", catalog(sealed))
        objects |= {number + 1: stream(xmp), root_of(sealed): bare + b"/Metadata %d 0 R>>" % (number + 1)}
    return update(sealed, objects, trailer=trailer)


class Files:
    """Sealed files with and without each of the two."""

    def __init__(self) -> None:
        self._office = Office()
        self.both = self.seal(INFO, packet(*PARTS.values()))
        self.info = self.seal(INFO, None)
        self.plain = self.seal({key: INFO[key] for key in ("Creator", "CreationDate")}, None)
        self.xmp = self.seal(None, packet(*PARTS.values()))

    def seal(self, info: dict[str, bytes] | None, xmp: bytes | None) -> bytes:
        sealed = self._office.sign(document(info, xmp), certify=MDPPerm.FILL_FORMS).data
        assert self.told(sealed).verdict is Verdict.VALID
        return sealed

    def told(self, document: bytes) -> Report:
        return verify(document, self._office.trust(), None, clock=FixedClock(NOW))


@pytest.fixture(scope="module")
def files() -> Files:
    return Files()


def changed(**parts: str) -> bytes:
    """The sealed packet with some of its parts replaced."""
    assert parts.keys() <= PARTS.keys()
    return packet(*(PARTS | {"dates": LATER} | parts).values())


BARE = packet(TITLES.format("Contract 2", "2")).split(b"?>")[1].removesuffix(b"<?xpacket end='w'")

OTHER_PACKETS: dict[str, bytes] = {
    "title and text exchanged": changed(title=TITLES.format("Sale of a house", "Vertrag 1"), text=TEXT.format("Contract 1")),
    "titles of two languages exchanged": changed(title=TITLES.format("Vertrag 1", "Contract 1")),
    "authors in another order": changed(authors=AUTHORS.format("Max Roe", "Jane Doe")),
    "another title": changed(title=TITLES.format("Contract 2", "Vertrag 1")),
    "no title": changed(title=""),
    "no conformance": changed(conformance=""),
    "another conformance, a number that /Info has elsewhere": changed(
        conformance="<pdfaid:part>1</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>"
    ),
    "a property of one's own": changed(own="<own:state>final</own:state>"),
    "one more, with a text that /Info has elsewhere": changed(own=PARTS["own"] + "<own:price>1</own:price>"),
    "rights, with the title's text": changed(own=PARTS["own"] + "<dc:rights>Contract 1</dc:rights>"),
    "a date that tells": changed(dates=DATES.format("2026-06-01: the price is 1000000", "x")),
    "a second date that tells": changed(dates=LATER + DATES.format("the price is 1000000", "x")),
    "a first date that tells": changed(dates=DATES.format("the price is 1000000", "x") + LATER),
    "a producer with parts": changed(dates=DATES.format("2026-06-01", "<rdf:Bag><rdf:li>x</rdf:li></rdf:Bag>")),
    "a producer that holds a title": changed(dates=DATES.format("2026-06-01", "<dc:title>Contract 2</dc:title>")),
    "another document": changed(identifiers=IDENTIFIERS.format("2", "2")),
    "an instance that tells": changed(identifiers=IDENTIFIERS.format("1", "1 the price is 1000000")),
    "history rewritten": changed(history=HISTORY.format(EVENT.format("approved"))),
    "history forgotten": changed(history=""),
    "an event that tells more": changed(history=HISTORY.format(MADE + "<rdf:li rdf:parseType='Resource'><dc:title>x</dc:title></rdf:li>")),
    "a title with a comment in it": changed(title=TITLES.format("Contract<!-- --> 1", "Vertrag 1")),
    "a title twice": changed(title=PARTS["title"] * 2),
    "all said of another resource": packet(*PARTS.values(), about="uuid:other"),
    "another packet in a comment": packet(*PARTS.values(), before=f"<!--{changed(title='').decode()}-->".replace("<?", "< ?")),
    "a packet before the packet": packet(*PARTS.values(), before="<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>"),
    "an entity": b"<!DOCTYPE x [<!ENTITY a 'x'>]>" + packet(*PARTS.values()),
    "another packet in an instruction before the packet": b"<?xpacket " + BARE + b"?>" + changed(),
    "an end of the packet within it": changed().replace(b"</rdf:RDF>", b"</rdf:RDF><?xpacket end='r'?>"),
    "a second end that holds another title": changed() + b"<?xpacket <dc:title>Contract 2</dc:title>?>",
    "letters of another encoding": b"<?xml version='1.0' encoding='ISO-8859-1'?>" + changed(),
    "markup of another encoding": b"<?xml version='1.0' encoding='UTF-7'?>" + changed(dates=DATES.format("2026", "+ADw-x+AD4-")),
    "text between properties": changed(title="Contract 2" + PARTS["title"]),
    "text behind the description": changed().replace(b"</rdf:RDF>", b"Contract 2</rdf:RDF>"),
    "text before the description": changed().replace(b"<rdf:RDF", b"Contract 2<rdf:RDF"),
    "a description that is a literal": changed().replace(b"<rdf:Description ", b"<rdf:Description rdf:parseType='Literal' "),
    "a description in a language": changed().replace(b"<rdf:Description ", b"<rdf:Description xml:lang='de' "),
    "a description of two resources": changed().replace(b"<rdf:Description ", b"<rdf:Description about='uuid:other' "),
    "a date in other digits": changed(dates=DATES.format("\u0662\u0660\u0662\u0666", "x")),
    "no packet at all": b"Contract 2",
    "lists in lists": changed(own=PARTS["own"] + f"<own:deep>{'<rdf:Seq><rdf:li>' * 2000}{'</rdf:li></rdf:Seq>' * 2000}</own:deep>"),
}


@pytest.mark.parametrize("title", OTHER_PACKETS)
def test_metadata_that_says_something_else_is_a_change(files: Files, title: str) -> None:
    report = files.told(later(files.both, xmp=OTHER_PACKETS[title]))
    assert (report.verdict, report.seals[0].changed.state) == (Verdict.INVALID, Change.FORBIDDEN), report.seals[0]


@pytest.mark.parametrize("kind", [b"/Type/Metadata", b"/Type/Metadata/Subtype/XMP", b"/Subtype/XML", b""])
def test_metadata_that_readers_do_not_find_is_a_change(files: Files, kind: bytes) -> None:
    sealed, usual = files.both, b"/Type/Metadata/Subtype/XML"
    appended = later(sealed, xmp=changed())[len(sealed) :]
    assert usual in appended
    assert files.told(sealed + appended.replace(usual, kind.ljust(len(usual)))).verdict is Verdict.INVALID


NEW_PACKETS: dict[str, bytes] = {
    "a title that /Info has as its author": packet(LATER, "<dc:title>Jane Doe</dc:title>"),
    "an author that /Info has as its title": packet(LATER, "<dc:creator><rdf:Seq><rdf:li>Contract 1</rdf:li></rdf:Seq></dc:creator>"),
    "an empty title": packet(LATER, "<dc:title/>"),
    "a title in a language": packet(LATER, "<dc:title><rdf:Alt><rdf:li xml:lang='de'>Contract 1</rdf:li></rdf:Alt></dc:title>"),
    "a conformance": packet(LATER, "<pdfaid:part>1</pdfaid:part>"),
    "a format of another kind": packet(LATER, "<dc:format>1</dc:format>"),
    "other keywords": packet(LATER, "<dc:subject><rdf:Bag><rdf:li>house</rdf:li></rdf:Bag></dc:subject>"),
    "a creation at another time": packet(LATER, "<xmp:CreateDate>2026-01-01T12:00:00-02:00</xmp:CreateDate>"),
}


@pytest.mark.parametrize("title", NEW_PACKETS)
def test_new_metadata_repeats_each_entry_in_its_own_property(files: Files, title: str) -> None:
    assert files.told(later(files.info, xmp=NEW_PACKETS[title])).verdict is Verdict.INVALID


OTHER_INFO: dict[str, dict[str, bytes]] = {
    "another title": INFO | {"Title": b"(Contract 2)"},
    "another author": INFO | {"Author": b"(Max Roe)"},
    "a name for a text": INFO | {"Title": b"/Contract1"},
    "one more entry": INFO | {"Approved": b"(yes)"},
    "an entry of one's own": INFO | {"Reviewed": b"(2)"},
    "one's own entry forgotten": {key: value for key, value in INFO.items() if key != "Reviewed"},
    "a date that tells": INFO | {"ModDate": b"(the price is 1000000)"},
    "a text in the other byte order": INFO | {"Title": b"<fffe%b>" % "Contract 1".encode("utf-16-le").hex().encode()},
    "a date in other digits": INFO | {"ModDate": b"<feff0662066006620666>"},
    "another creation": INFO | {"CreationDate": b"(D:20260101120000-02'00')"},
}


@pytest.mark.parametrize("title", OTHER_INFO)
def test_information_that_says_something_else_is_a_change(files: Files, title: str) -> None:
    for sealed in (files.both, files.info):
        assert files.told(later(sealed, OTHER_INFO[title])).verdict is Verdict.INVALID


@pytest.mark.parametrize("lost", ["Title", "Author", "Subject"])
def test_an_entry_is_left_out_only_where_its_own_property_repeats_it(files: Files, lost: str) -> None:
    """The XMP repeats title and subject, has one more author, and says the author's name in yet another place."""
    kept = {key: value for key, value in INFO.items() if key != lost}
    found = files.told(later(files.info, kept, packet(LATER, f"<own:name>{INFO[lost][1:-1].decode()}</own:name>")))
    assert found.verdict is Verdict.INVALID
    wanted = Verdict.VALID if lost == "Subject" else Verdict.INVALID
    assert files.told(later(files.both, kept)).verdict is wanted


@pytest.mark.parametrize("left", [b"", b"/Info null"])
@pytest.mark.parametrize("which", ["both", "info", "plain"])
def test_information_that_is_left_out_altogether_leaves_the_answer_open_where_it_said_something(
    files: Files, which: str, left: bytes
) -> None:
    """Of readers, some go back to the trailer before, and others show none. pypdf leaves it out."""
    sealed = getattr(files, which)
    appended = later(sealed, xmp=packet(LATER))
    bare = appended[: len(sealed)] + re.sub(rb"/Info \d+ 0 R", left, appended[len(sealed) :])
    if which == "both":  # whose XMP repeats title and subject, and not the keywords
        bare = sealed + re.sub(rb"/Info \d+ 0 R", left, update(sealed, {})[len(sealed) :])
    report = files.told(bare)
    wanted = (Verdict.VALID, Change.PERMITTED) if which == "plain" else (Verdict.UNDETERMINED, Change.UNKNOWN)
    assert (report.verdict, report.seals[0].changed.state) == wanted, report.seals[0]


def test_information_that_stands_in_the_trailer_itself_is_a_change(files: Files) -> None:
    """PDFium takes it for none."""
    sealed = files.info
    appended = update(sealed, {})[len(sealed) :]
    direct = sealed + re.sub(rb"/Info \d+ 0 R", lambda _entry: b"/Info" + dictionary(INFO), appended)
    assert not any(pypdfium2.PdfDocument(direct).get_metadata_dict().values())
    assert files.told(direct).verdict is Verdict.INVALID


def test_codes_without_a_meaning_are_not_the_same(files: Files) -> None:
    sealed = files.seal(INFO | {"Title": b"<7f9f>"}, None)
    assert files.told(later(sealed, INFO | {"Title": b"<9fad>"})).verdict is Verdict.INVALID


HONEST: dict[str, tuple[str, dict[str, bytes] | None, bytes | None]] = {
    "dates and producer": ("both", INFO | {"ModDate": b"(D:20260601120000Z)", "Producer": b"(Other)"}, changed()),
    "dates without a zone": ("info", INFO | {"ModDate": b"(D:20260601)"}, None),
    "texts in UTF-16": ("info", INFO | {"Title": b"<%b>" % "\ufeffContract 1".encode("utf-16-be").hex().encode()}, None),
    "its own dates and producer a second time": ("both", None, changed(dates=PARTS["dates"] + LATER)),
    "no producer": ("both", {key: value for key, value in INFO.items() if key not in {"Producer", "ModDate"}}, None),
    "a creation date spelled otherwise": ("info", INFO | {"CreationDate": b"(D:20260101120000+0200)"}, None),
    "another instance, one more event": (
        "both",
        None,
        changed(identifiers=IDENTIFIERS.format("1", "2"), history=HISTORY.format(MADE + EVENT.format("saved"))),
    ),
    "properties as attributes": (
        "both",
        None,
        changed(own="")
        .replace(b"<rdf:Description ", b"<rdf:Description own:state='draft' pdf:Trapped='' ", 1)
        .replace(b"pdf:Trapped='' ", b""),
    ),
    "a packet with its declaration": ("both", None, b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n" + changed()),
    "a text in UTF-8": ("info", INFO | {"Title": b"<efbbbf%b>" % b"Contract 1".hex().encode()}, None),
    "what /Info says, copied": (
        "info",
        None,
        packet(
            LATER,
            "<dc:format>application/pdf</dc:format><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Contract 1</rdf:li></rdf:Alt></dc:title>",
            "<dc:creator><rdf:Seq><rdf:li>Jane Doe</rdf:li></rdf:Seq></dc:creator><pdf:Keywords>house, sale</pdf:Keywords>",
            "<dc:subject><rdf:Bag><rdf:li>house</rdf:li><rdf:li>sale</rdf:li></rdf:Bag></dc:subject>" + TEXT.format("Sale of a house"),
            "<xmp:CreateDate>2026-01-01T12:00:00+02:00</xmp:CreateDate><xmp:CreatorTool>Some Tool</xmp:CreatorTool>",
            IDENTIFIERS.format("8f0a", "8f0b"),
        ),
    ),
    "first information beside metadata": ("xmp", {"ModDate": b"(D:20260601120000+00'00')", "Producer": b"(Other)"}, changed()),
}


@pytest.mark.parametrize("title", HONEST)
def test_what_honest_writers_say_of_the_file_is_permitted(files: Files, title: str) -> None:
    which, info, xmp = HONEST[title]
    report = files.told(later(getattr(files, which), info, xmp))
    assert (report.verdict, report.seals[0].changed.state) == (Verdict.VALID, Change.PERMITTED), report.seals[0]
    assert report.seals[0].changed.kinds == ("document_information",)


def test_metadata_that_could_not_be_read_when_sealed_keeps_the_answer_open(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatedWriter, "_update_meta", lambda _self: None)  # other writers than pyHanko leave the packet as it is
    odd = files.seal(INFO, packet(PARTS["title"] * 2))
    assert files.told(later(odd, xmp=packet(PARTS["title"]))).verdict is Verdict.UNDETERMINED
    assert files.told(later(odd, INFO | {"Title": b"(x)"}, packet(PARTS["title"]))).verdict is Verdict.INVALID


def test_a_text_that_ends_with_nul_is_the_same_in_either_encoding(files: Files) -> None:
    """ImageMagick ends its titles so."""
    sealed = files.seal(INFO | {"Title": b"(Contract 1\\000)"}, None)
    for text, verdict in (("Contract 1\0", Verdict.VALID), ("Contract 1", Verdict.INVALID), ("Contract 1\0 2", Verdict.INVALID)):
        title = b"<%b>" % f"\ufeff{text}".encode("utf-16-be").hex().encode()
        assert files.told(later(sealed, INFO | {"Title": title})).verdict is verdict
