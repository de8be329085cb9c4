"""Which texts may stand in a subject, attribute by attribute. What misleads a reader is ``sealcore.text``'s to say."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from sealcore.platform.config import Block


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
