"""Which texts may stand in a subject: what a person reads must be what is written (RFC 5280 §8, UTS 39)."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from pydantic import Field, field_validator

from sealcore.config import Block

# Code points that are drawn as nothing, though Unicode does not class them as control or format characters.
_UNSEEN: Final = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}) | frozenset(
    [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)
# Scripts whose letters look like one another's. Han, Kana, Hangul and others stand beside any of them without harm.
_ALIKE: Final = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET"})
_WORD: Final = re.compile(r"\w+")


class NameRule(Block):
    """What one attribute of the subject may be: one of ``values``, a text that ``pattern`` matches whole, of ``longest`` characters."""

    values: tuple[str, ...] = ()
    pattern: str | None = None
    longest: int = Field(default=64, ge=1, le=64)  # ub-common-name and its like, RFC 5280 appendix A

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as fault:
                raise ValueError(f"not a regular expression: {fault}") from None
        return pattern

    @property
    def phrase(self) -> str:
        """The rule as a phrase."""
        said = f"at most {self.longest} characters"
        said += f", one of {', '.join(self.values)}" if self.values else ""
        return said + (f", matches {self.pattern}" if self.pattern is not None else "")

    def refuses(self, value: str) -> str | None:
        """The rule that ``value`` breaks, as a phrase; None when it keeps to all."""
        if len(value) > self.longest:
            return f"at most {self.longest} characters"
        if self.values and value not in self.values:
            return f"one of {', '.join(self.values)}"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"matches {self.pattern}"
        return None


def deceptive(value: str) -> str | None:
    """Why a reader could be misled by ``value``, as a phrase; None for plain, visible text."""
    if value != value.strip() or "  " in value:
        return "has spaces around it or two in a row"
    if not value.isprintable() or any(ord(sign) in _UNSEEN for sign in value):
        return "holds signs that nobody sees, or that turn the direction of reading"
    if unicodedata.normalize("NFC", value) != value:
        return "is not in Unicode's composed form (NFC)"
    if any(sign.isalnum() and unicodedata.normalize("NFKC", sign) != sign for sign in value):
        return "holds letters or digits in a shape that only looks like them"
    for word in _WORD.findall(value):
        scripts = {_script(sign) for sign in word} & _ALIKE
        if len(scripts) > 1:
            return f"mixes letters that look alike ({', '.join(sorted(script.capitalize() for script in scripts))}) in one word"
    return None


def _script(sign: str) -> str:
    return unicodedata.name(sign, "").split(" ", 1)[0] if sign.isalpha() else ""
