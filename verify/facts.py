"""What findings are about: texts of the catalogue by their keys, so that each language says them in its own words, with what is particular.

Names and numbers of a stranger's document are parameters and nothing else; they are fit to be shown from the moment a fact is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sealcore.text import shown

NAME_LIMIT: Final = 200  # characters of a name that a stranger chose


def plain(text: str) -> str:
    """A name from a stranger's document, fit to be shown (``sealcore.text.shown``), of bounded length."""
    seen = shown(text[: NAME_LIMIT + 1])
    return seen if len(seen) <= NAME_LIMIT else seen[: NAME_LIMIT - 1] + "…"


@dataclass(frozen=True)
class Fact:
    """The text ``key`` of the catalogue's section ``fact``, and what its places hold: names, numbers, further facts."""

    key: str
    values: Mapping[str, str | Fact] = field(default_factory=dict)


def fact(key: str, /, **values: object) -> Fact:
    """A fact with its values fit to be shown."""
    return Fact(key, {name: each if isinstance(each, Fact) else plain(str(each)) for name, each in values.items()})


class FactError(Exception):
    """Ends an examination with the fact that ended it."""

    def __init__(self, told: str | Fact, /, **values: object) -> None:
        self.fact = told if isinstance(told, Fact) else fact(told, **values)
        super().__init__(self.fact.key)
