"""Where in a TOML file something stands: the standard library's reader tells values, and no lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

_CLOSING: Final = re.compile(r"[]}]|\"\"\"|'''")
Path = tuple[str | int, ...]


class Lines:
    """The first line of every table and key of a file that ``tomllib`` reads."""

    def __init__(self, content: str) -> None:
        self._lines: dict[Path, int] = {}
        table: Path = ()
        for number, statement in _statements(content.replace("\r\n", "\n")):
            if statement.lstrip().startswith("["):
                table = self._head(statement)
                self._lines.setdefault(table, number)
            else:
                for path in _keys(tomllib.loads(statement)):
                    self._lines.setdefault((*table, *path), number)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of this part, else of what it would stand in; 1 where nothing of it is there."""
        known = (self._lines[part] for end in range(len(path), 0, -1) if (part := tuple(path[:end])) in self._lines)
        return next(known, 1)

    def _head(self, statement: str) -> Path:
        """The path of a table; a row of an array of tables has its number."""
        names: list[str] = []
        inner = tomllib.loads(statement)
        is_row = statement.lstrip().startswith("[[")
        while inner:
            ((name, value),) = inner.items()
            names.append(name)
            inner = value[0] if isinstance(value, list) else value
        path: Path = ()
        for name in names[:-1]:
            path = (*path, name)
            if (*path, 0) in self._lines:  # a table within the latest row
                path = (*path, self._rows(path) - 1)
        path = (*path, names[-1])
        return (*path, self._rows(path)) if is_row else path

    def _rows(self, path: Path) -> int:
        count = 0
        while (*path, count) in self._lines:
            count += 1
        return count


def _statements(content: str) -> Iterator[tuple[int, str]]:
    """Each table's head and each key with its value, with the number of its first line."""
    begun, first = "", 0
    for number, line in enumerate(content.split("\n"), 1):
        if not begun and (not line.strip() or line.lstrip().startswith("#")):
            continue
        whole, (begun, first) = not begun, (f"{begun}\n{line}", first) if begun else (line, number)
        if not (whole or _CLOSING.search(line)):
            continue  # a long value is not read anew with each of its lines
        try:
            tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue  # a value of several lines
        yield first, begun
        begun = ""


def _keys(values: Mapping[str, object], before: Path = ()) -> Iterator[Path]:
    for key, value in values.items():
        yield (*before, key)
        if isinstance(value, Mapping):
            yield from _keys(value, (*before, key))
