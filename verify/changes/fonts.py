"""Fonts by which a filled field may show its value: those of the sealed form, and the standard ones, whose glyphs every reader has.

What a font's codes mean is taken from its encoding (ISO 32000-2 §9.6.5). A font that an update brings along may draw anything for any
code, so only names of the 14 standard fonts without a font program count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fontTools import agl

from verify.changes.account import Account, ChangedError
from verify.changes.values import Ref, Value, pdf_text, same

_RULE: Final = "a standard font"
_LATIN: Final = {
    *("/Helvetica", "/Helvetica-Bold", "/Helvetica-Oblique", "/Helvetica-BoldOblique", "/Courier", "/Courier-Bold"),
    *("/Courier-Oblique", "/Courier-BoldOblique", "/Times-Roman", "/Times-Bold", "/Times-Italic", "/Times-BoldItalic"),
}
_MARKS: Final = "/ZapfDingbats"
_USUAL_NAMES: Final = {"/Helv", "/HeBo", "/Cour", "/CoBo", "/TiRo", "/TiBo"}
_MARKS_NAMES: Final = {"/ZaDb", "/ZaDi"}
_ENTRIES: Final = {"/Type", "/Subtype", "/BaseFont", "/Encoding", "/Name"}
_CODECS: Final = {"/WinAnsiEncoding": "cp1252", "/MacRomanEncoding": "mac_roman"}
_STANDARD: Final = {0x27: "\u2019", 0x60: "\u2018"}  # StandardEncoding, where it differs from ASCII; its upper half is not read here


@dataclass(frozen=True)
class Font:
    """What codes mean; ``is_marks`` for ZapfDingbats, whose codes are check marks. An empty map: it cannot be told."""

    codes: dict[int, str] = field(default_factory=dict)
    is_marks: bool = False

    def read(self, shown: bytes) -> str | None:
        """The text; None where it cannot be told."""
        found = [self.codes.get(code) for code in shown]
        return "".join(each for each in found if each is not None) if None not in found else None


UNREADABLE: Final = Font()


def font_of(account: Account, value: Value, sealed_fonts: list[Value]) -> Font | None:
    """A font that an appearance names; None where it is neither a standard font nor one of ``sealed_fonts``. Claims what is new."""
    sealed = account.sealed
    if not isinstance(value, Ref) or not account.differs(value):
        found = sealed.entries(value)
        if any(same(value, each) for each in sealed_fonts):
            return _described(account, found)
        return _described(account, found) if _is_standard(found) else None
    if account.now(value) is not None and _is_standard(account.now(value)):
        return _described(account, account.take(value, _RULE))
    return None


def claim_form_font(account: Account, name: str, value: Value) -> None:
    """A font that a writer enters into the form's resources: a standard one, and dingbats under their own name alone."""
    font = font_of(account, value, [])
    if font is None or font.is_marks != (name in _MARKS_NAMES):
        raise ChangedError(f"the form's resources: {name[:50]} is no standard font")


def is_plain(account: Account, name: str, fonts: dict[str, Value]) -> bool:
    """Whether a name in a default appearance leads to a standard Latin font, or to none, and readers know it for one."""
    if name in account.gained_fonts:
        return name not in _MARKS_NAMES  # ``claim_form_font`` sees to the others
    font = account.sealed.entries(fonts.get(name))
    return (_is_standard(font) and font.get("/BaseFont") != _MARKS) if name in fonts else name in _USUAL_NAMES


def _is_standard(font: Value) -> bool:
    if not isinstance(font, dict) or font.keys() - _ENTRIES or font.get("/Subtype") != "/Type1":
        return False
    encoding = font.get("/Encoding")
    if not isinstance(font.get("/BaseFont"), str) or not isinstance(encoding, str | None):
        return False
    if font.get("/BaseFont") == _MARKS:
        return encoding is None or encoding in _CODECS  # which dingbats do not heed
    return font.get("/BaseFont") in _LATIN and (encoding is None or encoding in {*_CODECS, "/StandardEncoding", "/PDFDocEncoding"})


def _described(account: Account, font: dict[str, Value]) -> Font:
    sealed = account.sealed
    if sealed.get(font.get("/BaseFont")) == _MARKS:
        return Font({code: chr(code) for code in range(0x21, 0x7F)}, is_marks=True)
    if sealed.get(font.get("/Subtype")) not in ("/Type1", "/TrueType", "/MMType1"):
        return UNREADABLE
    encoding = sealed.get(font.get("/Encoding"))
    if not isinstance(encoding, dict):
        return Font(_base(encoding))
    codes, code = _base(sealed.get(encoding.get("/BaseEncoding"))), 0
    for each in map(sealed.get, sealed.elements(encoding.get("/Differences"))):
        if isinstance(each, str):
            meant = agl.toUnicode(each[1:])
            codes.pop(code, None)
            codes |= {code: meant} if meant else {}
            code += 1
        elif type(each) is int:
            code = each
    return Font(codes)


def _base(encoding: Value) -> dict[int, str]:
    if isinstance(encoding, str) and encoding in _CODECS:
        codec = _CODECS[encoding]
        return {code: bytes([code]).decode(codec, "ignore") for code in range(0x20, 0x100) if bytes([code]).decode(codec, "ignore")}
    ascii_codes = {code: chr(code) for code in range(0x20, 0x7F)}
    if encoding == "/PDFDocEncoding":
        return ascii_codes | {code: text for code in range(0xA0, 0x100) if (text := pdf_text(bytes([code])))}
    return ascii_codes | _STANDARD
