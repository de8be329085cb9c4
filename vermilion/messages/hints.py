"""Commands that are printed for a person to type: each is about the office that the present command is about."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import Final

_COMMAND: Final = re.compile(r"`(vermilion [a-z][^`\n]*)`")
_option = ""


def about(state: Path | None) -> None:
    """Which state folder the commands printed from now on name; None for the default one, which need not be named."""
    global _option  # noqa: PLW0603  (of the program, whose threads print too)
    _option = "" if state is None else f" --state {quote(str(state))}"


def complete(words: str) -> str:
    """These words, where the commands of this program in them can be copied and typed as they are."""
    if not _option:
        return words
    return _COMMAND.sub(lambda found: found[0] if " --state " in found[1] else f"`{found[1]}{_option}`", words)
