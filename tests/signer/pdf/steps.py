"""Regular expressions, run step by step: how many steps a search takes, whatever machine it runs on.

A matcher of its own over what ``re`` itself parses, with the same order of alternatives, the same possessive repeats and atomic groups:
the steps that it counts are those that ``re``'s own engine takes, up to a constant.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from re import _constants as sre  # type: ignore[attr-defined, unused-ignore]
from re import _parser as parser  # type: ignore[attr-defined, unused-ignore]
from typing import Any, Final

Groups = dict[int, tuple[int, int]]
_DEEP: Final = 400_000
_SPACES: Final = frozenset(b" \t\n\r\f\v")
_DIGITS: Final = frozenset(b"0123456789")
_WORDS: Final = _DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_CATEGORIES: Final = {
    sre.CATEGORY_DIGIT: _DIGITS,
    sre.CATEGORY_SPACE: _SPACES,
    sre.CATEGORY_WORD: _WORDS,
}
_ALL: Final = frozenset(range(256))


class TooManyStepsError(Exception):
    """The search took more steps than it may."""


class Counted:
    """A pattern whose searches are counted."""

    def __init__(self, pattern: re.Pattern[bytes], most_steps: int = 2_000_000) -> None:
        self._tree = list(parser.parse(pattern.pattern, pattern.flags))
        self._most = most_steps
        self.steps = 0

    def match(self, text: bytes, position: int = 0) -> int | None:
        """Where a match at ``position`` ends."""
        return next((end for end, _ in self._items(self._tree, 0, text, position, {})), None)

    def search(self, text: bytes) -> tuple[int, int] | None:
        """Where the first match begins and ends."""
        for position in range(len(text) + 1):
            self._step()
            end = self.match(text, position)
            if end is not None:
                return position, end
        return None

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._most:
            raise TooManyStepsError

    def _items(self, items: list[Any], at: int, text: bytes, position: int, groups: Groups) -> Iterator[tuple[int, Groups]]:
        while at < len(items):  # single characters and other things with one outcome need no generator
            one = self._single(items[at], text, position, groups)
            if one is None:
                break
            if one < 0:
                return
            position, at = one, at + 1
        if at == len(items):
            yield position, groups
            return
        for end, now in self._several(items[at], text, position, groups):
            yield from self._items(items, at + 1, text, end, now)

    def _single(self, item: Any, text: bytes, position: int, groups: Groups) -> int | None:
        """The end of what can match in one way only; -1 where it does not; None for what may match in several ways."""
        kind, value = item
        members = _members(kind, value)
        if members is not None:
            self._step()
            return position + 1 if position < len(text) and text[position] in members else -1
        if kind is sre.AT:
            self._step()
            return position if _at(value, text, position) else -1
        if kind in (sre.ASSERT, sre.ASSERT_NOT):
            return self._look(kind, value, text, position, groups)
        if kind in (sre.POSSESSIVE_REPEAT, sre.ATOMIC_GROUP):
            return self._possessive(kind, value, text, position, groups)
        return None

    def _look(self, kind: Any, value: Any, text: bytes, position: int, groups: Groups) -> int:
        direction, inner = value
        start = position if direction > 0 else position - parser.SubPattern.getwidth(inner)[0]
        found = start >= 0 and next(self._items(list(inner), 0, text, start, groups), None) is not None
        return position if found == (kind is sre.ASSERT) else -1

    def _possessive(self, kind: Any, value: Any, text: bytes, position: int, groups: Groups) -> int:
        if kind is sre.ATOMIC_GROUP:
            found = next(self._items(list(value), 0, text, position, groups), None)
            return -1 if found is None else self._keep(groups, found)
        least, most, inner = value
        count = 0
        while count < most:
            found = next(self._items(list(inner), 0, text, position, groups), None)
            if found is None or (found[0] == position and count >= least):
                break
            position, count = self._keep(groups, found), count + 1
        return position if count >= least else -1

    @staticmethod
    def _keep(groups: Groups, found: tuple[int, Groups]) -> int:
        groups.update(found[1])
        return found[0]

    def _several(self, item: Any, text: bytes, position: int, groups: Groups) -> Iterator[tuple[int, Groups]]:
        kind, value = item
        if kind is sre.BRANCH:
            for branch in value[1]:
                self._step()
                yield from self._items(list(branch), 0, text, position, dict(groups))
        elif kind is sre.SUBPATTERN:
            group, _add, _remove, inner = value
            for end, now in self._items(list(inner), 0, text, position, groups):
                yield end, (now if group is None else {**now, group: (position, end)})
        elif kind is sre.GROUPREF_EXISTS:
            group, then, otherwise = value
            yield from self._items(list(then if group in groups else otherwise or []), 0, text, position, groups)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            yield from self._repeat(value, text, position, groups)
        else:
            raise NotImplementedError(kind)

    def _repeat(self, value: Any, text: bytes, position: int, groups: Groups) -> Iterator[tuple[int, Groups]]:
        """Greedy: all that can be, then one less after the other."""
        least, most, inner = value
        items = list(inner)
        trail: list[Iterator[tuple[int, Groups]]] = []
        ends: list[tuple[int, Groups]] = [(position, groups)]
        trail.append(self._items(items, 0, text, position, groups))
        while trail:
            self._step()
            following = next(trail[-1], None) if len(ends) - 1 < most else None
            if following is not None and (following[0] > ends[-1][0] or len(ends) <= least):
                ends.append(following)
                trail.append(self._items(items, 0, text, *following))
                continue
            trail.pop()
            if len(ends) - 1 >= least:
                yield ends[-1]
            ends.pop()


def _members(kind: Any, value: Any) -> frozenset[int] | None:
    if kind is sre.LITERAL:
        return frozenset({value})
    if kind is sre.NOT_LITERAL:
        return _ALL - {value}
    if kind is sre.ANY:
        return _ALL
    return _class(tuple(value)) if kind is sre.IN else None


_CLASSES: dict[Any, frozenset[int]] = {}


def _class(value: Any) -> frozenset[int]:
    if value not in _CLASSES:
        members: set[int] = set()
        for kind, one in value:
            if kind is sre.LITERAL:
                members.add(one)
            elif kind is sre.RANGE:
                members.update(range(one[0], one[1] + 1))
            elif kind is sre.CATEGORY:
                members |= _CATEGORIES[one]
        _CLASSES[value] = _ALL - members if value[0][0] is sre.NEGATE else frozenset(members)
    return _CLASSES[value]


def _at(kind: Any, text: bytes, position: int) -> bool:
    if kind is sre.AT_END_STRING:
        return position == len(text)
    if kind is sre.AT_BOUNDARY:
        before = position > 0 and text[position - 1] in _WORDS
        return before != (position < len(text) and text[position] in _WORDS)
    raise NotImplementedError(kind)


def steps_of(pattern: re.Pattern[bytes], text: bytes, *, run: Callable[[Counted, bytes], Any] = Counted.search) -> int:
    """How many steps it takes."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(_DEEP)
    try:
        counted = Counted(pattern)
        run(counted, text)
    finally:
        sys.setrecursionlimit(before)
    return counted.steps
