"""Small documents that declare PDF/A or PDF/UA."""

from __future__ import annotations

import re

from tests.judges import standards
from tests.signer.pdf.documents import assemble


def objects(document: bytes) -> dict[int, bytes]:
    return {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\n(.*?)\nendobj\n", document, re.DOTALL)}


def with_objects(document: bytes, more: dict[int, bytes]) -> bytes:
    return assemble(objects(document) | more, extra=b"/ID[<00><00>]")


TAGGED = {
    "UA-1 below a document": standards.pdfua(),
    "UA-1 below the root": standards.pdfua(root="root"),
    "UA-1 with a branched parent tree": standards.pdfua(parents="kids"),
    "UA-1 with its kids elsewhere": with_objects(
        standards.pdfua(), {7: b"<< /Type /StructElem /S /Document /P 6 0 R /K 20 0 R >>", 20: b"[9 0 R 12 0 R]"}
    ),
    "UA-1 with one kid": standards.pdfua().replace(b"/K [9 0 R 12 0 R]", b"/K  9 0 R        "),
    "UA-1 without the next key": standards.pdfua().replace(b"/ParentTreeNextKey 2", b"                    "),
    "UA-1 with a next key that is taken": standards.pdfua().replace(b"/ParentTreeNextKey 2", b"/ParentTreeNextKey 1"),
    "UA-1 with a next key far off": standards.pdfua().replace(b"/ParentTreeNextKey 2", b"/ParentTreeNextKey 9"),
}
DOCUMENTS = {
    **{f"A-{part}b {intent}": standards.pdfa(part, intent=intent) for part in (1, 2, 3) for intent in ("rgb", "cmyk", "none")},
    **TAGGED,
    "UA-2": standards.pdfua().replace(b"<pdfuaid:part>1", b"<pdfuaid:part>2"),
}
