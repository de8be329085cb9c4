"""Writes TOML; reading is the standard library's ``tomllib``. Only what our settings hold: text, numbers, booleans, lists, tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sealcore.platform import durable


def dump(values: Mapping[str, Any]) -> str:
    """The TOML text of ``values``; a None is left out."""
    return "\n".join(_table((), values)).strip() + "\n"


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Writes ``path`` whole or not at all, for its owner only."""
    durable.write(path, dump(values).encode("utf-8"), mode=durable.PRIVATE)


def _table(name: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in values.items() if value is not None and not isinstance(value, Mapping) and not _tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if name and (lines or not values):
        lines = [f"\n[{'.'.join(map(_key, name))}]", *lines]
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += _table((*name, key), value)
        elif _tables(value):
            for row in value:
                lines.append(f"\n[[{'.'.join(map(_key, (*name, key)))}]]")
                lines += _row(row)
    return lines


def _row(row: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in row.items() if value is not None]


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no place in a settings file")
