"""PDF/A and PDF/UA documents of our own making, with what decides how a seal must look: part, output intent, tags."""

from __future__ import annotations

from PIL import ImageCms

from tests.signer.pdf.documents import assemble

_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" {attributes}>{elements}'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
_TITLE = '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A letter</rdf:li></rdf:Alt></dc:title>'


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


def profile(kind: str) -> bytes:
    """An ICC profile: sRGB, or its bytes with the header of a press profile (judges of PDF/A read no more of it)."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[8:10] = b"\x02\x10"  # PDF/A-1 takes profiles of version 2 alone
    if kind == "cmyk":
        icc[12:20] = b"prtrCMYK"
    return bytes(icc)


def pdfa(part: int, *, intent: str = "rgb", attributes: bool = False, pages: int = 2, compressed: bool = False) -> bytes:
    """PDF/A of that part, level B; ``intent`` is rgb, cmyk or none; ``attributes``: the declaration in the short form of RDF."""
    named = 'xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"'
    xmp = (
        _XMP.format(attributes=f'{named} pdfaid:part="{part}" pdfaid:conformance="B"', elements="")
        if attributes
        else _XMP.format(attributes=named, elements=f"<pdfaid:part>{part}</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>")
    )
    output = b"/OutputIntents [<< /Type /OutputIntent /S /GTS_PDFA1 /OutputConditionIdentifier (x) /Info (x) /DestOutputProfile 6 0 R >>]"
    paint = {"rgb": b"0.5 g 60 700 200 60 re f", "cmyk": b"0 0 0 0.5 k 60 700 200 60 re f", "none": b"60 700 200 60 re n"}[intent]
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 5 0 R %b >>" % (b"" if intent == "none" else output),
        2: b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(b"%d 0 R" % (10 + i) for i in range(pages)), pages),
        4: _stream(paint),
        5: _stream(xmp.encode(), b"/Type /Metadata /Subtype /XML"),
        6: _stream(profile(intent), b"/N %d" % (4 if intent == "cmyk" else 3)),
    }
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> /Contents 4 0 R >>"
    objects |= {10 + index: page for index in range(pages)}
    return assemble(
        objects,
        header=b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" if part == 1 else b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        extra=b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]",
    )


def pdfua(*, parents: str = "nums", root: str = "document") -> bytes:
    """PDF/UA-1 with one tagged figure a page; the parent tree with ``nums`` or ``kids``; below a document element, or right below the root."""
    named = 'xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    xmp = _XMP.format(attributes=named, elements=f"<pdfuaid:part>1</pdfuaid:part>{_TITLE}")
    figure = b"<< /Type /StructElem /S /Figure /P %b /Alt (A bar) /Pg %d 0 R /K 0 /A << /O /Layout /BBox [60 700 260 760] >> >>"
    above = b"7 0 R" if root == "document" else b"6 0 R"
    nums = b"[0 [9 0 R] 1 [12 0 R]]"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> /Contents 4 0 R /StructParents %d >>"
    return assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /Lang (en) /MarkInfo << /Marked true >> /StructTreeRoot 6 0 R /Metadata 5 0 R "
            b"/ViewerPreferences << /DisplayDocTitle true >> >>",
            2: b"<< /Type /Pages /Kids [3 0 R 11 0 R] /Count 2 >>",
            3: page % 0,
            11: page % 1,
            4: _stream(b"/Figure << /MCID 0 >> BDC 0.5 g 60 700 200 60 re f EMC"),
            5: _stream(xmp.encode(), b"/Type /Metadata /Subtype /XML"),
            6: b"<< /Type /StructTreeRoot /K %b /ParentTree 8 0 R /ParentTreeNextKey 2 >>"
            % (b"7 0 R" if root == "document" else b"[9 0 R 12 0 R]"),
            7: b"<< /Type /StructElem /S /Document /P 6 0 R /K [9 0 R 12 0 R] >>",
            8: b"<< /Nums %b >>" % nums if parents == "nums" else b"<< /Kids [10 0 R] >>",
            9: figure % (above, 3),
            10: b"<< /Limits [0 1] /Nums %b >>" % nums,
            12: figure % (above, 11),
        },
        extra=b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]",
    )
