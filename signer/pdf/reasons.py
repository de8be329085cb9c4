"""Warnings about documents, and the quick search that clears most documents of them. Needs no PDF library."""

from __future__ import annotations

import re
from typing import Final

from sealcore.errors import Code, VermilionError
from signer.pdf.plan import Document

JAVASCRIPT: Final = "the document contains JavaScript"
LAUNCH: Final = "the document can start programs or open other files by itself"
EXTERNAL: Final = "the document keeps parts of its content outside the file"
HIDDEN: Final = "the document has layers that are hidden or shown by circumstance"
MULTIMEDIA: Final = "the document contains sound, film or 3-D content"
DYNAMIC_FORM: Final = "the document is a dynamic XFA form, which readers draw anew"
REDRAWN_FORM: Final = "the document asks readers to redraw its form fields"
NOT_SEARCHED: Final = "parts of the document are too large or too broken to be searched for content that can change"
IN_ORDER: Final = (JAVASCRIPT, LAUNCH, EXTERNAL, HIDDEN, MULTIMEDIA, DYNAMIC_FORM, REDRAWN_FORM, NOT_SEARCHED)

REPAIRED: Final = "the document's table of contents was broken and has been rebuilt in the update"
MARKED_LATER: Final = "the document carries a signature already: some readers report the further marks as changes after it"

PDFA_LOST: Final = "the sealed document is no PDF/A any more: the seal's picture has transparency, colours or fonts that PDF/A forbids"
PDFUA_LOST: Final = "the sealed document is no PDF/UA any more: the seal could not be entered into its structure"

# Kinds of action (/S) and of annotation (/Subtype), without slash.
ACTIONS: Final = {
    "JavaScript": JAVASCRIPT,
    "Launch": LAUNCH,
    "ImportData": LAUNCH,
    "Rendition": MULTIMEDIA,
    "Movie": MULTIMEDIA,
    "Sound": MULTIMEDIA,
}
ANNOTATIONS: Final = dict.fromkeys(("RichMedia", "3D", "Movie", "Sound", "Screen"), MULTIMEDIA)

MOST_ESCAPES: Final = 50_000  # examined in one text; a text with more counts as suspicious
_LONGEST_TELLTALE_BYTES: Final = 3 * 10  # "JavaScript" with every letter escaped
_TELLTALE: Final = re.compile(
    rb"/(?:J(?:avaScript|S\b)|Launch|ImportData|R(?:ichMedia|endition|ef\b)|3D\b|Movie|S(?:ound|creen)"
    rb"|F[\x00\s]*(?:[(<%]|\d+[\x00\s]+\d+[\x00\s]+R))"
)
_CHARACTER: Final = re.compile(rb"&#(?:0*(\d{1,7})|x0*([0-9A-Fa-f]{1,6}));")  # XML 1.0 §4.1
_ESCAPE: Final = re.compile(rb"#[0-9A-Fa-f]{2}")
_NAME: Final = re.compile(rb"/([^\x00\s()<>\[\]{}/%]{0,40})")
_ESCAPED_TELLTALES: Final = frozenset(name.encode() for name in (*ACTIONS, *ANNOTATIONS, "JS", "F", "Ref"))


def suspicious(text: Document) -> bool:
    """Whether a file's bytes, or the decoded bytes of an object stream, name anything that can change its look or act by itself.

    Where nothing does, no object has any of it: names stand in the bytes as they are or with escapes (ISO 32000-2 §7.3.5), both are
    looked for. Linear in the size; a true answer says only that it is worth a closer look. ``text`` may be a memory map.
    """
    return _TELLTALE.search(text) is not None or _escaped(text)


def _escaped(text: Document) -> bool:
    """Compressed data contains what looks like an escape about every 40 kB, so each one is expanded and compared."""
    for count, escape in enumerate(_ESCAPE.finditer(text)):
        # A file full of escapes would cost seconds here: the closer look in the sandbox is bounded
        # anyway.
        if count >= MOST_ESCAPES:
            return True
        slash = text.rfind(b"/", max(0, escape.start() - _LONGEST_TELLTALE_BYTES), escape.start())
        if slash < 0:
            continue
        name = _NAME.match(text, slash)
        if name is not None and name.end() > escape.start() and expanded(name[1]) in _ESCAPED_TELLTALES:
            return True
    return False


def spelled_out(metadata: bytes) -> bytes:
    """XMP metadata (XML) reduced to ASCII: without the zero bytes of UTF-16 and UTF-32, and with character references replaced."""
    plain = metadata.replace(b"\0", b"") if b"\0" in metadata else metadata
    return _CHARACTER.sub(_character, plain) if b"&#" in plain else plain


def _character(match: re.Match[bytes]) -> bytes:
    code = int(match[1]) if match[1] else int(match[2], 16)
    return bytes((code,)) if code < 128 else match[0]


def declared_part(metadata: bytes, standard: bytes) -> int:
    """The part of ``pdfa`` or ``pdfua`` that XMP metadata declare (ISO 19005-1 §6.7.11, ISO 14289-1 §5); 0 for none."""
    metadata = spelled_out(metadata)
    at = metadata.find(b"http://www.aiim.org/%b/ns/id/" % standard)
    if at < 0:
        return 0
    prefix = re.search(rb"xmlns:([A-Za-z0-9_.-]+)\s*=\s*[\"']http://www\.aiim\.org/%b/ns/id/" % standard, metadata)
    part = re.search(rb"%b:part\s*(?:=\s*[\"']|>)\s*(\d)" % (re.escape(prefix[1]) if prefix else standard + b"id"), metadata)
    return int(part[1]) if part else 1  # the standard is declared, even if in an odd way


def expanded(name: bytes) -> bytes:
    """A name with its escapes expanded."""
    return _ESCAPE.sub(lambda escape: bytes((int(escape[0][1:], 16),)), name)


def require_fixed(reasons: tuple[str, ...]) -> None:
    """Applies the content policy ``strict``: DOCUMENT_XFA or DOCUMENT_CHANGEABLE if there is any reason."""
    if DYNAMIC_FORM in reasons:
        raise VermilionError(Code.DOCUMENT_XFA, DYNAMIC_FORM)
    if reasons:
        raise VermilionError(Code.DOCUMENT_CHANGEABLE, "; ".join(reasons))
