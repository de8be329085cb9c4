"""Fonts by which a filled field may show its value: those of the sealed form, and the standard ones, whose glyphs every reader has.

What a font's codes mean is taken from its encoding (ISO 32000-2 §9.6.5). A font that an update brings along may draw anything for any
code, so only names of the 14 standard fonts without a font program count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fontTools import agl

from verify.facts import fact
from verify.steps.changes.account import Account, ChangedError
from verify.steps.changes.values import Ref, Value, is_number, same

_RULE: Final = fact("part_standard_font")
_LATIN: Final = {
    *("/Helvetica", "/Helvetica-Bold", "/Helvetica-Oblique", "/Helvetica-BoldOblique", "/Courier", "/Courier-Bold"),
    *("/Courier-Oblique", "/Courier-BoldOblique", "/Times-Roman", "/Times-Bold", "/Times-Italic", "/Times-BoldItalic"),
}
_MARKS: Final = "/ZapfDingbats"
_USUAL_NAMES: Final = {"/Helv", "/HeBo", "/Cour", "/CoBo", "/TiRo", "/TiBo"}
_MARKS_NAMES: Final = {"/ZaDb", "/ZaDi"}
_ENTRIES: Final = {"/Type", "/Subtype", "/BaseFont", "/Encoding", "/Name"}
_CODECS: Final = {"/WinAnsiEncoding": "cp1252", "/MacRomanEncoding": "mac_roman"}
_DRAWN_OTHERWISE: Final = {  # codes to which PDF's tables or readers give other glyphs than the codec, or none (ISO 32000-2 annex D)
    "/WinAnsiEncoding": {0x7F, 0xAD},
    "/MacRomanEncoding": {0x7F, 0xAD, 0xB0, 0xB2, 0xB3, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xBD, 0xC3, 0xC5, 0xC6, 0xD7, 0xDB, 0xF0},
}
_DIGITS: Final = {"/Courier": 0.6, "/Times": 0.5}
_SYMBOLS: Final = ("symbol", "dings")  # in the names of fonts that draw no letters
_SYMBOLIC, _PROGRAMS = 4, {"/FontFile", "/FontFile2", "/FontFile3"}  # of a font descriptor (ISO 32000-2 §9.8)
_STANDARD: Final = {0x27: "\u2019", 0x60: "\u2018"}  # StandardEncoding, where it differs from ASCII; its upper half is not read here


@dataclass(frozen=True)
class Font:
    """What codes mean; ``is_marks`` for ZapfDingbats, whose codes are check marks. An empty map: it cannot be told.

    digit  how wide digits are, in ems
    """

    codes: dict[int, str] = field(default_factory=dict)
    is_marks: bool = False
    digit: float = 0.556  # of Helvetica

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
        raise ChangedError("font_not_standard", name=name[:50])


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
    encoding, digit = sealed.get(font.get("/Encoding")), _digit_of(account, font)
    if _has_own_codes(account, font, encoding):
        return UNREADABLE
    if not isinstance(encoding, dict):
        return Font(_base(encoding), digit=digit)
    codes, code = _base(sealed.get(encoding.get("/BaseEncoding"))), 0
    for each in map(sealed.get, sealed.elements(encoding.get("/Differences"))):
        if isinstance(each, str):
            meant = agl.toUnicode(each[1:]) if each[1:] in agl.AGL2UV else ""  # readers draw nothing for a variant that they do not know
            codes.pop(code, None)
            codes |= {code: meant} if meant else {}
            code += 1
        elif type(each) is int:
            code = each
    return Font({code: text for code, text in codes.items() if text.isprintable()}, digit=digit)


def _has_own_codes(account: Account, font: dict[str, Value], encoding: Value) -> bool:
    """Whether it is a font of symbols, or its program alone says what its codes are."""
    descriptor = account.sealed.entries(font.get("/FontDescriptor"))
    flags, base = account.sealed.get(descriptor.get("/Flags", 0)), account.sealed.get(font.get("/BaseFont"))
    has_program = bool(descriptor.keys() & _PROGRAMS)
    if not isinstance(flags, int) or any(each in str(base).casefold() for each in _SYMBOLS):
        return True
    if encoding is None and has_program:
        return True
    return bool(flags & _SYMBOLIC) and (encoding is None or has_program)


def _digit_of(account: Account, font: dict[str, Value]) -> float:
    widths, first = account.sealed.elements(font.get("/Widths")), account.sealed.get(font.get("/FirstChar"))
    if type(first) is int and 0 <= 0x30 - first < len(widths):
        width = account.sealed.get(widths[0x30 - first])
        return float(width) / 1000 if is_number(width) else 1.0
    base = str(account.sealed.get(font.get("/BaseFont")))
    return next((width for name, width in _DIGITS.items() if base.startswith(name)), 0.556)


def _base(encoding: Value) -> dict[int, str]:
    if isinstance(encoding, str) and encoding in _CODECS:
        codec = _CODECS[encoding]
        known = set(range(0x20, 0x100)) - _DRAWN_OTHERWISE[encoding]
        return {code: text for code in known if (text := bytes([code]).decode(codec, "ignore"))}
    ascii_codes = {code: chr(code) for code in range(0x20, 0x7F)}
    return ascii_codes | _STANDARD  # also where it says /PDFDocEncoding, which not all readers take
