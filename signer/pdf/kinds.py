"""Guesses from its first bytes what a file is if it is not a PDF, to tell whoever submitted a picture or a text document by mistake."""

from __future__ import annotations

from typing import Final

_LOOKED_AT_BYTES: Final = 8192
_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"II*\x00", "a picture (TIFF)"),
    (b"MM\x00*", "a picture (TIFF)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an older Office document (DOC, XLS, PPT)"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"%!PS", "a PostScript file"),
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"<?xml", "an XML file"),
    (b"-----begin ", "a file in PEM"),
)
_IN_ZIP: Final = (
    (b"word/", "a Word document (DOCX)"),
    (b"xl/", "a spreadsheet (XLSX)"),
    (b"ppt/", "a presentation (PPTX)"),
    (b"opendocument", "an OpenDocument file"),
    (b"OFD.xml", "an OFD document"),
)


def kind_of(content: bytes) -> str | None:
    """A short description; None if the beginning is not a known one."""
    head = content[:_LOOKED_AT_BYTES]
    if head.startswith(b"PK\x03\x04"):
        return next((words for name, words in _IN_ZIP if name in head), "a ZIP archive")
    if head[4:8] == b"ftyp":
        return "a picture (HEIC, AVIF) or a film"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a picture (WebP)"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for start, words in _BEGINNINGS if head.startswith(start) or text.startswith(start)), None)
