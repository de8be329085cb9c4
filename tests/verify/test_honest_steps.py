"""What honest programs do to sealed files of odd but real kinds is permitted: a second seal, a document timestamp by pyHanko."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers import PdfTimeStamper

from sealcore.clock import FixedClock
from tests.attacks.appended import catalog, contract, free_number, update
from tests.attacks.repairing import root_of
from tests.verify.office import NOW, DatedWriter, Office
from verify.report import Change, Verdict
from verify.verifier import verify

XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
xmlns:mm="http://ns.adobe.com/xap/1.0/mm/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">%b</rdf:li></rdf:Alt></dc:description>
<mm:History><rdf:Seq><rdf:li rdf:parseType="Resource"><mm:x>made</mm:x></rdf:li></rdf:Seq></mm:History></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


def second_seal(office: Office, sealed: bytes) -> bytes:
    return office.sign(sealed, field_name="Seal2", strict=False).data


def stamped(office: Office, sealed: bytes) -> bytes:
    out = io.BytesIO()
    with ThreadPoolExecutor(max_workers=1) as aside:  # pyHanko starts an event loop
        stamper = PdfTimeStamper(office.stamper(NOW))
        aside.submit(stamper.timestamp_pdf, DatedWriter(sealed, strict=False), "sha256", output=out).result()
    return out.getvalue()


def utf16(text: str) -> bytes:
    return b"<%b>" % ("\ufeff" + text).encode("utf-16-be").hex().encode()


def with_information(document: bytes, information: bytes, *more: bytes) -> bytes:
    number = free_number(document)
    objects = {number: information} | {number + 1 + at: each for at, each in enumerate(more)}
    return update(document, objects, trailer=b"/Info %d 0 R" % number)


def in_the_catalog(document: bytes, entries: bytes, value: bytes = b"null") -> bytes:
    """``%d`` in the entries is the number of an object with ``value``."""
    number = free_number(document)
    return update(document, {number: value, root_of(document): catalog(document) + entries.replace(b"%d", b"%d" % number) + b">>"})


def metadata(text: bytes) -> bytes:
    data = XMP % text
    return b"<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%b\nendstream" % (len(data), data)


def with_page(document: bytes, old: bytes, new: bytes) -> bytes:
    """The document with something replaced that has the same length."""
    assert document.count(old) == 1 and len(old) == len(new)
    return document.replace(old, new)


def page_twice(document: bytes) -> bytes:
    pages = re.search(rb"(\d+) 0 obj\s+<<\s+/Count 1 /Kids \[ (\d+) 0 R \] /Type /Pages\s+>>", document)
    assert pages is not None
    return update(document, {int(pages[1]): b"<</Count 2/Kids[%b 0 R %b 0 R]/Type/Pages>>" % (pages[2], pages[2])})


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "texts of /Info in UTF-16": lambda document: with_information(document, b"<</Title%b/Creator%b>>" % (utf16("Vertrag – 1"), utf16("®"))),
    "texts of /Info elsewhere": lambda document: with_information(document, b"<</Producer %d 0 R>>" % (free_number(document) + 1), b"(x)"),
    "a producer that is a name": lambda document: with_information(document, b"<</Producer/x/ModDate 5>>"),
    "a language in UTF-16": lambda document: in_the_catalog(document, b"/Lang" + utf16("EN-GB")),
    "metadata in other spellings": lambda document: in_the_catalog(document, b"/Metadata %d 0 R", metadata(b"A contract")),
    "a box of reals": lambda document: with_page(document, b"595.2756 841.8898", b"595.0000 841.0000"),
    "a page that stands twice": page_twice,
    "an object that nobody can read": lambda document: in_the_catalog(document, b"/PieceInfo<</X<</Private %d 0 R>>>>", b"<< /A >>"),
    "a stream without a length": lambda document: in_the_catalog(
        document, b"/PieceInfo<</X<</Private %d 0 R>>>>", b"<<>>\nstream\nx\nendstream"
    ),
}


@pytest.mark.parametrize("step", [second_seal, stamped], ids=["a second seal", "pyHanko's timestamp"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_step_over_an_odd_file_is_permitted(office: Office, kind: str, step: Callable[[Office, bytes], bytes]) -> None:
    sealed = office.sign(KINDS[kind](contract()), certify=MDPPerm.FILL_FORMS, strict=False).data
    report = verify(sealed, office.trust(), None, clock=FixedClock(NOW))
    assert (report.verdict, report.seals[0].changed.state) == (Verdict.VALID, Change.NONE), report
    later = step(office, sealed)
    report = verify(later, office.trust(), None, clock=FixedClock(NOW))
    assert report.verdict is Verdict.VALID, report
    assert report.seals[0].changed.state is Change.PERMITTED


def test_another_text_is_a_change_in_whatever_encoding(office: Office) -> None:
    for kind, old, new in (
        ("texts of /Info in UTF-16", None, b"<</Title(Vertrag \x85 2)/Creator(\xae)>>"),
        ("texts of /Info elsewhere", None, b"<</Producer(x)/Title(1000000)>>"),
        ("a language in UTF-16", b"(EN-GB)", b"(DE-DE)"),
        ("metadata in other spellings", metadata(b"A contract"), metadata(b"A gift")),
    ):
        sealed = office.sign(KINDS[kind](contract()), certify=MDPPerm.FILL_FORMS, strict=False).data
        number = free_number(contract())
        if old is None:
            changed = with_information(sealed, new)
        elif new.startswith(b"("):
            changed = update(
                sealed, {root_of(sealed): re.sub(rb"/Lang\s*\([^)]*\)|/Lang\s*<[^>]*>", b"/Lang" + new, catalog(sealed)) + b">>"}
            )
        else:
            changed = update(sealed, {number: new})
        report = verify(changed, office.trust(), None, clock=FixedClock(NOW))
        assert report.verdict is Verdict.INVALID, (kind, report)
        assert report.seals[0].changed.state is Change.FORBIDDEN


def test_pages_that_lead_back_to_themselves_are_no_change(office: Office) -> None:
    """What is odd in the sealed file itself makes what was added undetermined, and is nobody's change."""
    document = contract()
    pages = re.search(rb"(\d+) 0 obj\s+<<\s+/Count 1 /Kids \[ (\d+) 0 R \] /Type /Pages\s+>>", document)
    assert pages is not None
    odd = update(document, {int(pages[1]): b"<</Count 1/Kids[%b 0 R %b 0 R]/Type/Pages>>" % (pages[2], pages[1])})
    sealed = office.sign(odd, certify=MDPPerm.FILL_FORMS).data
    report = verify(update(sealed, {}), office.trust(), None, clock=FixedClock(NOW))
    assert (report.verdict, report.seals[0].changed.state) == (Verdict.UNDETERMINED, Change.UNKNOWN)
