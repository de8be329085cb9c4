"""Text that people read: what may come in, and how anything is shown.

``deceptive`` judges names that stand for somebody (subjects of certificates, people, units, clients). ``unreadable`` judges free
text (titles, file names, reasons): it asks less, since real files are called ``m²`` or are written in decomposed letters. ``shown``
is the one way to put text that came from a file, a person or a service before a reader; it changes nothing that is plainly visible.

What legitimate scripts need is no deception: ZERO WIDTH NON-JOINER and JOINER between letters of scripts that join (Persian, Hindi),
JOINER and variation selectors within emoji, ideographic variation selectors after their ideograph, up to four combining marks.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from sealcore.errors import Code, VermilionError

# Code points that are drawn as nothing, though Unicode does not class them as control or format characters.
_UNSEEN: Final = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}) | frozenset(
    [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)
# Scripts whose letters look like one another's. Han, Kana, Hangul and others stand beside any of them without harm.
_ALIKE: Final = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET"})
_WORD: Final = re.compile(r"\w+")
# Scripts whose letters join, where the two zero width characters are part of the spelling (Unicode 23.2).
_JOINING: Final = frozenset(
    [
        "ARABIC",
        "SYRIAC",
        "MONGOLIAN",
        "NKO",
        "DEVANAGARI",
        "BENGALI",
        "GURMUKHI",
        "GUJARATI",
        "ORIYA",
        "TAMIL",
        "TELUGU",
        "KANNADA",
        "MALAYALAM",
        "SINHALA",
        "MYANMAR",
        "KHMER",
    ]
)
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_SPACES: Final = frozenset("\u00a0\u202f\u3000")  # as visible as any space
_EMOJI_STYLE: Final = frozenset("\ufe0e\ufe0f")
_MOST_MARKS: Final = 4  # combining marks on one letter; Vietnamese and Hebrew take three
_NAME_CHARACTERS: Final = 60


def deceptive(value: str) -> str | None:
    """Why a reader could be misled by a name, as a phrase; None for plain, visible text (RFC 5280 §8, UTS 39)."""
    if value != value.strip() or "  " in value:
        return "has spaces around it or two in a row"
    if not value.isprintable() or any(ord(sign) in _UNSEEN for sign in value):
        return "holds signs that nobody sees, or that turn the direction of reading"
    if unicodedata.normalize("NFC", value) != value:
        return "is not in Unicode's composed form (NFC)"
    # Fullwidth, circled or mathematical letters read like plain ones and compare as others.
    if any(sign.isalnum() and unicodedata.normalize("NFKC", sign) != sign for sign in value):
        return "holds letters or digits in a shape that only looks like them"
    return _mixed(value)


def _mixed(value: str) -> str | None:
    for word in _WORD.findall(value):
        scripts = {_script(sign) for sign in word if sign.isalpha()} & _ALIKE
        if len(scripts) > 1:
            return f"mixes letters that look alike ({', '.join(sorted(script.capitalize() for script in scripts))}) in one word"
    return None


def unreadable(value: str) -> str | None:
    """The first sign that a reader does not see, or that moves others or the terminal, by code point and name; None for readable text."""
    if value.isascii() and value.isprintable():
        return None
    for at in range(len(value)):
        if not _is_seen(value, at):
            return called(value[at])
    return None


def require_readable(value: str, what: str) -> None:
    """TEXT_DECEPTIVE, naming the sign, unless ``value`` is readable; ``what`` it is: "the title", "a file's name"."""
    if (sign := unreadable(value)) is not None:
        raise VermilionError(Code.TEXT_DECEPTIVE, f"{what} holds {sign}")


def require_name(value: str, what: str) -> None:
    """TEXT_DECEPTIVE unless ``value`` is a name that misleads nobody."""
    require_readable(value, what)
    plain = "".join(sign for at, sign in enumerate(value) if sign not in (_ZWNJ, _ZWJ) or not _is_seen(value, at))
    if (why := deceptive(plain)) is not None:
        raise VermilionError(Code.TEXT_DECEPTIVE, f"{what} {why}")


def shown(value: str) -> str:
    """``value`` on one line for a reader: signs that nobody sees, controls and undecodable bytes stand as their code points."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(sign if _is_seen(value, at) else f"<{_code(sign)}>" for at, sign in enumerate(value))


def called(sign: str) -> str:
    """A sign by code point and name, e.g. ``U+202E RIGHT-TO-LEFT OVERRIDE``."""
    return f"{_code(sign)} {unicodedata.name(sign, '')}".rstrip()[:_NAME_CHARACTERS]


def escaped_json(document: str) -> str:
    """A JSON text with every unreadable sign as its escape: the same data, which no terminal takes for an order."""
    if document.isascii():
        return document
    signs = (
        sign if sign == "\n" or _is_seen(document, at) else "".join(f"\\u{unit:04x}" for unit in _utf16(sign))
        for at, sign in enumerate(document)
    )
    return "".join(signs)


def _utf16(sign: str) -> list[int]:
    encoded = sign.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]


def _code(sign: str) -> str:
    point = ord(sign)
    return f"byte {point - 0xDC00:02X}" if 0xDC80 <= point <= 0xDCFF else f"U+{point:04X}"  # PEP 383: what could not be decoded


def _is_seen(value: str, at: int) -> bool:
    """Whether a reader sees the sign, or it belongs to what they see."""
    sign = value[at]
    if sign in (_ZWNJ, _ZWJ) or ord(sign) in _UNSEEN:
        return _belongs(value, at)
    if sign.isprintable():
        return not unicodedata.combining(sign) or not _is_heaped(value, at)
    return sign in _SPACES


def _belongs(value: str, at: int) -> bool:
    sign, before, after = value[at], value[at - 1 : at], value[at + 1 : at + 2]
    if sign in _EMOJI_STYLE:
        return bool(before) and (unicodedata.category(before) in ("So", "Sm", "Po") or before in "0123456789#*")
    if 0xE0100 <= ord(sign) < 0xE01F0:
        return _script(before) == "CJK"
    if sign not in (_ZWNJ, _ZWJ) or not before or not after:
        return False
    if sign == _ZWJ and unicodedata.category(after) == "So":
        return unicodedata.category(before) in ("So", "Sk") or before in _EMOJI_STYLE
    return _script(before) in _JOINING and _script(after) in _JOINING


def _is_heaped(value: str, at: int) -> bool:
    run = value[max(0, at - _MOST_MARKS) : at + 1]
    return at == 0 or (len(run) > _MOST_MARKS and all(map(unicodedata.combining, run)))


def _script(sign: str) -> str:
    return unicodedata.name(sign, "").split(" ", 1)[0] if sign else ""
