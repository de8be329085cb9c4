"""Documents that are broken."""

from __future__ import annotations

from tests.signer.pdf import documents

BASE = documents.pages(2)


BROKEN: dict[str, bytes] = {
    "cut off behind the objects": BASE[: BASE.rindex(b"xref\n")],
    "no end": BASE[: BASE.rindex(b"startxref")],
    "startxref nowhere": BASE[: BASE.rindex(b"startxref")] + b"startxref\n999999\n%%EOF\n",
    "offsets shifted": BASE.replace(b"1 0 obj", b"  \n  1 0 obj", 1),
    "line ends converted": documents.simple().replace(b"\n", b"\r\n"),
    "trailer without size": documents.simple().replace(b"/Size 5", b""),
    "rubbish behind the end": documents.simple() + b"<html>error</html>" * 200,
    "object streams, end lost": documents.object_streams()[: documents.object_streams().rindex(b"startxref")],
    "text of an object within a stream": documents.simple().replace(b"0.6 g 100 100", b"3 0 obj 10010")[:-30],
}
