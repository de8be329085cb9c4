"""What the program says, from one catalogue with stable keys; English now, other languages beside it later."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sealcore.text import shown
from vermilion.messages import hints


def text(key: str, **values: object) -> str:
    """The message ``key`` with its values filled in; an unknown key is a fault of ours and raises KeyError."""
    template = _catalogue()[key]
    return hints.complete(template.format(**{name: _plain(value) for name, value in values.items()}) if values else template)


def _plain(value: object) -> object:
    """Texts and paths come from files and people; numbers keep their kind for the catalogue's formats."""
    return shown(str(value)) if isinstance(value, str | Path) else value


def every_key() -> frozenset[str]:
    """Every key of the catalogue."""
    return frozenset(_catalogue())


@lru_cache(maxsize=1)
def _catalogue(language: str = "en") -> dict[str, str]:
    tree: dict[str, Any] = tomllib.loads(files(__package__).joinpath(f"{language}.toml").read_text("utf-8"))
    return dict(_flat("", tree))


def _flat(prefix: str, tree: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        found += _flat(f"{prefix}{key}.", value) if isinstance(value, dict) else [(prefix + key, str(value))]
    return found
