"""Documents that hide something when they are sealed, for readers to find that repair the file later or read values otherwise than we do."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm

from tests.attacks.appended import (
    PRICE,
    Writer,
    annotate,
    catalog,
    contract,
    entries,
    free_number,
    look,
    name,
    numbers,
    page_content,
    update,
)
from tests.attacks.repairing import packed_update, require_change, root_of, store, told
from tests.verify.office import Office, written
from verify.codes import FindingCode
from verify.report import Change, Verdict

SHOWN = b"BT /F1 14 Tf 72 720 Td (Contract: the price is 1000000.) Tj ET"


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


def content(document: bytes) -> bytes:
    """An object of the number of the page's content that says something else."""
    return b"\n%d 0 obj\n<</Length %d>>\nstream\n%b\nendstream\nendobj\n" % (page_content(document), len(SHOWN), SHOWN)


def held(document: bytes, value: bytes, *more: bytes) -> bytes:
    """The document with one more object, which its catalog refers to; others follow."""
    number = free_number(document)
    root = catalog(document) + b"/PieceInfo<</X<</Private %d 0 R>>>>>>" % number
    return update(document, {number: value, root_of(document): root} | {number + 1 + at: each for at, each in enumerate(more)})


def streamed(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(data), data)


def in_a_stream_of_unknown_length(document: bytes) -> bytes:
    """MuPDF and PDFium leave streams out when they repair, unless they do not know the length yet."""
    data = b"\nendstream\nendobj" + content(document)
    return held(document, b"<</Length %d 0 R>>\nstream\n%b\nendstream" % (free_number(document) + 1, data), b"%d" % len(data))


def behind_a_comment(document: bytes) -> bytes:
    hidden = content(document).replace(b" 0 obj", b" %x\n 0 %y\n obj")
    return held(document, streamed(hidden))


def unlisted(document: bytes) -> bytes:
    return update(document + content(document), {})


def an_older_one_behind(document: bytes) -> bytes:
    """An update that leads back to the first of two objects, though the second lies behind it."""
    first = document.index(b"%d 0 obj" % page_content(document))
    second = update(document, {page_content(document): streamed(SHOWN)})
    return update(second, {}, listed={page_content(document): first})


def a_deleted_one(document: bytes) -> bytes:
    """An annotation that was deleted and still stands on the page."""
    writer = Writer(io.BytesIO(document))
    annotation = writer.add_object(entries(Type=name("Annot"), Subtype=name("Stamp"), Rect=numbers(*PRICE), AP=entries(N=look(writer))))
    annotate(writer, annotation)
    second = written(writer)
    third = update(second, {root_of(second): catalog(second) + b">>"}, listed={annotation.idnum: 9_999_999_999})
    return third.replace(b"9999999999 00000 n", b"0000000000 00001 f")


def in_an_object_stream(document: bytes) -> bytes:
    """What no cross-reference lists there: the page, with another content."""
    page = PdfFileReader(io.BytesIO(document)).root["/Pages"]["/Kids"].raw_get(0)
    out, number = io.BytesIO(), free_number(document)
    page.get_object().write_to_stream(out)
    changed = out.getvalue().replace(b"/Contents %d 0" % page_content(document), b"/Contents %d 0" % (number + 1))
    head = b"%d 0 " % page.idnum
    data = head + changed
    return held(document, streamed(data, b"/#54ype/Obj#53tm/#4e 1/Firs#74 %d" % len(head)), streamed(SHOWN))


def a_trailer(document: bytes) -> bytes:
    return held(document, b"(\ntrailer\n<</Root %d 0 R/Size 99>>\n)" % free_number(document))


PLANTED: dict[str, Callable[[bytes], bytes]] = {
    "in a stream": lambda document: held(document, streamed(content(document))),
    "in a string": lambda document: held(document, b"(%b)" % content(document).replace(b"(", b"\\(").replace(b")", b"\\)")),
    "in a stream of unknown length": in_a_stream_of_unknown_length,
    "with comments in its head": behind_a_comment,
    "not listed": unlisted,
    "an older one behind the newer": an_older_one_behind,
    "deleted and still referred to": a_deleted_one,
    "in an object stream": in_an_object_stream,
    "a trailer in a string": a_trailer,
    "cross-references of nobody": lambda document: update(
        document + b"\n%d 0 obj\n%b\nendobj\n" % (free_number(document) + 7, streamed(b"", b"/Type/XRef/W[1 1 1]/Size 0/Root 99 0 R")), {}
    ),
}


@pytest.mark.parametrize("title", PLANTED)
def test_nothing_is_permitted_where_a_repair_would_show_something_else(office: Office, title: str) -> None:
    """Which appended bytes make which reader repair a file, nobody knows for all readers. What was sealed is still as it was sealed."""
    sealed = office.sign(PLANTED[title](contract()), certify=MDPPerm.NO_CHANGES).data
    assert told(office, sealed).verdict is Verdict.VALID
    report = told(office, update(sealed, store(sealed)))
    assert report.verdict is Verdict.UNDETERMINED, report
    assert report.seals[0].changed.state is Change.UNKNOWN
    assert FindingCode.READERS_MAY_DIFFER in {each.code for each in report.seals[0].findings}


def test_documents_of_several_revisions_and_object_streams_hide_nothing(office: Office) -> None:
    document = contract()
    reader = PdfFileReader(io.BytesIO(document))
    out = io.BytesIO()
    reader.trailer["/Info"].write_to_stream(out)
    for honest in (
        update(update(document, {}), {page_content(document): streamed(SHOWN)}),
        packed_update(document, {}, {free_number(document): b"null", free_number(document) + 1: out.getvalue()}),
        update(document + b"\n%d 0 obj\n(a draft that nothing refers to)\nendobj\n" % free_number(document), {}),
    ):
        sealed = office.sign(honest, certify=MDPPerm.NO_CHANGES).data
        assert told(office, update(sealed, store(sealed))).verdict is Verdict.VALID


@pytest.mark.parametrize("part", [b"9999999 0\n", b"4194304 0\n", b"7 0\n"], ids=repr)
def test_parts_of_cross_references_that_some_readers_do_not_take_are_a_change(office: Office, part: bytes) -> None:
    """MuPDF repairs the file over an empty part that begins too high."""
    sealed = office.sign(contract(), certify=MDPPerm.NO_CHANGES).data
    good = update(sealed, store(sealed))
    require_change(office, sealed + good[len(sealed) :].replace(b"65535 f \n", b"65535 f \n" + part))


@pytest.mark.parametrize("end", [b"  \n", b" \t\r\n", b"\t\n"], ids=repr)
def test_blanks_behind_the_head_of_a_part_are_a_change(office: Office, end: bytes) -> None:
    sealed = office.sign(contract(), certify=MDPPerm.NO_CHANGES).data
    update_of_it = update(sealed, store(sealed))[len(sealed) :]
    require_change(office, sealed + update_of_it.replace(b"0 1\n", b"0 1" + end))


@pytest.mark.parametrize("flags", [b"2.0", b"2.", b"+2.0"], ids=repr)
def test_a_flag_that_became_a_real_number_is_a_change(office: Office, flags: bytes) -> None:
    """poppler takes flags from integers alone and shows what had been hidden; for PDFium, which draws our second opinion, 2.0 is 2."""
    writer = Writer(io.BytesIO(contract()))
    stamp = entries(Type=name("Annot"), Subtype=name("Stamp"), Rect=numbers(*PRICE), F=generic.NumberObject(2), AP=entries(N=look(writer)))
    reference = writer.add_object(stamp)
    annotate(writer, reference)
    sealed = office.sign(written(writer), certify=MDPPerm.NO_CHANGES).data
    out = io.BytesIO()
    PdfFileReader(io.BytesIO(sealed)).get_object(generic.Reference(reference.idnum, 0)).write_to_stream(out)
    assert told(office, update(sealed, {reference.idnum: out.getvalue()})).verdict is Verdict.VALID
    require_change(office, update(sealed, {reference.idnum: out.getvalue().replace(b"/F 2", b"/F " + flags)}))


@pytest.mark.parametrize("packed", [False, True], ids=["an object of its own", "in an object stream"])
def test_names_of_different_bytes_are_different_names(office: Office, packed: bool) -> None:
    """``#ea`` is a letter in Latin-1, ``#c3#aa`` is the same in UTF-8, and to readers these are two names."""
    document = contract()
    number = free_number(document)
    told_so = b"<</Fonts<</Fen#eatre 1 0 R/#CB#CE#CC#E5 2 0 R/#e5#ae#8b 3 0 R/A#23b 4 0 R>>>>"
    root = catalog(document) + b"/PieceInfo<</X<</Private %d 0 R>>>>>>" % number
    made = packed_update(document, {root_of(document): root}, {number: told_so}) if packed else held(document, told_so)
    sealed = office.sign(made, certify=MDPPerm.NO_CHANGES).data
    assert told(office, update(sealed, {number: told_so.replace(b"#CB", b"#cb")})).verdict is Verdict.VALID
    for old, new in ((b"Fen#eatre", b"Fen#c3#aatre"), (b"#CB#CE#CC#E5", b"#" + "ËÎÌå".encode().hex("#").encode())):
        assert old in told_so
        require_change(office, update(sealed, {number: told_so.replace(old, new)}))
