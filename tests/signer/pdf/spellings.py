"""One-page documents spelled as producers may, all of which the lean writer understands."""

from __future__ import annotations

import re
import zlib

from tests.signer.pdf import documents

BASE = documents.simple()


def _in_a_stream(*, entries: bytes = b"", coded: bool = False, length: bytes | None = None, between: bytes = b"") -> bytes:
    """One page and its parent in an object stream, whose entries, data and length are as given."""
    tree, page = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>"
    head = b"2 0 3 %d " % len(tree + between)
    data = head + tree + between + page
    data = zlib.compress(data) if coded else data
    stream = b"<< /Type /ObjStm /N 2 /First %d /Length %b %b >>" % (len(head), length or b"%d" % len(data), entries)
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        4: b"%b\nstream\n%b\nendstream" % (stream, data),
        5: b"%d" % len(data),
    }
    rows = [(0, 0, 65535), (1, 0, 0), (2, 4, 0), (2, 4, 1), (1, 0, 0), (1, 0, 0), (1, 0, 0)]
    out = bytearray(b"%PDF-1.7\n")
    for number, each in objects.items():
        rows[number] = (1, len(out), 0)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    rows[6] = (1, len(out), 0)
    table = b"".join(kind.to_bytes(1, "big") + middle.to_bytes(4, "big") + last.to_bytes(2, "big") for kind, middle, last in rows)
    at = len(out)
    out += b"6 0 obj\n<< /Type /XRef /Size 7 /W [1 4 2] /Root 1 0 R /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (len(table), table)
    return bytes(out) + b"startxref\n%d\n%%%%EOF\n" % at


def _one_before(row: re.Match[bytes]) -> bytes:
    return b"%010d 00000 n" % (int(row[1]) - 1)


TABLE = BASE.rindex(b"xref\n0 ")
SPELLINGS: dict[str, bytes] = {
    "a comment in a page": documents.simple(page=b"% 1\n /Rotate 0"),
    "a comment between a name and a number": documents.simple(page=b"/Rotate % 1\n 0 % 2\n /Tabs /R"),
    "a comment at the end of a page": documents.simple(page=b"/Rotate 0 % >> endobj\n"),
    "a comment in a catalog": documents.simple(catalog=b"%a comment (with a parenthesis\n/Lang (en%US)"),
    "a blank line before the trailer": BASE.replace(b"trailer\n", b"\r\n \ntrailer\n"),
    "startxref one before the table": BASE.replace(b"startxref\n%d" % TABLE, b"startxref\n%d" % (TABLE - 1)),
    "blanks before an object": re.sub(rb"(\d{10}) 00000 n", _one_before, BASE),
    "blanks in the identifier": BASE.replace(b"/Root 1 0 R", b"/Root 1 0 R /ID [<00\t11> <\n>]"),
    "other blanks around a generation": BASE.replace(b"1 0 obj", b"1\n0\robj").replace(b"3 0 obj", b"3\t0\nobj"),
    "escapes in a name": documents.simple(catalog=b"/Version /1#2E7", page=b"/Tabs /#53"),
    "NUL in a string": documents.simple(catalog=b"/Lang (\xfe\xff\x00e\x00n)", page=b"/Hint (\x0c)"),
    "escapes in a key of a value": documents.simple(page=b"/Hint << /A#20B 1 /A 2 >>"),
    "very many keys in a value": documents.simple(page=b"/Hint << %b >>" % b"".join(b"/A%d 0" % n for n in range(900))),
    "deep values": documents.simple(page=b"/Deep " + b"[<</A " * 10 + b"1" + b">>]" * 10),
    "the filter in an array": _in_a_stream(entries=b"/Filter [ /FlateDecode ]", coded=True),
    "the length of an object stream elsewhere": _in_a_stream(length=b"5 0 R"),
    "comments in object streams": _in_a_stream(between=b"\n%% object 3 (of 6\n"),
    "blanks before the number behind startxref": BASE.replace(b"startxref\n%d" % TABLE, b"startxref\n    %d" % TABLE),
    "a form that readers draw, without fields": documents.simple(catalog=b"/AcroForm << /NeedAppearances true >>"),
    "the same in an object of its own": documents.simple(catalog=b"/AcroForm 10 0 R", more={10: b"<< /NeedAppearances true /Fields [] >>"}),
    "an XFA beside a form": documents.simple(catalog=b"/AcroForm << /Fields [] /XFA 10 0 R >>", more={10: b"[(x) 11 0 R]"}),
    "a form that is drawn by XFA": documents.simple(
        catalog=b"/NeedsRendering true /AcroForm << /Fields [] /XFA 10 0 R /NeedAppearances false >>", more={10: b"[(x) 11 0 R]"}
    ),
    "an XFA that is not there": documents.simple(catalog=b"/NeedsRendering true /AcroForm << /Fields [] /XFA 10 0 R >>"),
    "an XFA that is null": documents.simple(catalog=b"/NeedsRendering true /AcroForm << /Fields [] /XFA 10 0 R >>", more={10: b"null"}),
    "a number before a comment at the end": BASE.replace(b"startxref\n%d\n%%%%EOF\n" % TABLE, b"startxref\n%d\n%%%%EOF" % TABLE),
}
