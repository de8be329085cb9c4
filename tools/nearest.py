"""Which tests are nearest to a change: those that use what was changed, the most specific first.

No table says which tests belong to which room; imports and names do, so that a module or a test that moves needs no entry anywhere.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Uses:
    """What each file of a repository uses of the same repository. Paths are relative to its root, with slashes."""

    of: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, root: Path, files: Iterable[str]) -> Uses:
        """Reads ``files``. One that does not parse counts as using nothing: lint and pytest will say so."""
        names = {_name(path): path for path in files}
        return cls({path: frozenset(_used(root / path, names)) - {path} for path in names.values()})

    def users(self) -> dict[str, set[str]]:
        """For each file, the files that use it."""
        turned: dict[str, set[str]] = {path: set() for path in self.of}
        for path, used in self.of.items():
            for each in used:
                turned[each].add(path)
        return turned


def nearest(changed: Iterable[str], uses: Uses) -> list[str]:
    """Test files for ``changed``, in the order in which a fault is likely to show early.

    First the changed test files themselves; then, for each changed file, those that use it, or where no test does, those that use
    its users, and so on; then the other tests of the folders that are named after its rooms, and namesakes elsewhere. Among equals come
    first the test of the same name, those of the innermost room, and those that use least, which are the most specific and the quickest.
    """
    users = uses.users()
    rank: dict[str, tuple[int, int, int]] = {}
    for path in changed:
        found = dict(_reached(path, uses, users))
        names = set(PurePosixPath(path).with_suffix("").parts)
        namesake = f"test_{PurePosixPath(path).stem}"
        for test in filter(is_test, uses.of):
            room, same_name = PurePosixPath(test).parts[1:-1], PurePosixPath(test).stem == namesake
            in_room = len(room) if names.issuperset(room) else 0  # the deeper the nearer
            if test not in found and not in_room and not same_name:
                continue
            mine = (found.get(test, len(uses.of)), not (in_room and same_name), -in_room)
            rank[test] = min(mine, rank.get(test, mine))
    return sorted(rank, key=lambda test: (rank[test], len(uses.of[test]), test))


def is_test(path: str) -> bool:
    """Whether pytest collects this file."""
    return path.startswith("tests/") and PurePosixPath(path).name.startswith("test_") and path.endswith(".py")


def _reached(path: str, uses: Uses, users: Mapping[str, set[str]]) -> Iterator[tuple[str, int]]:
    """The nearest test files of one changed file with their distance: all those of the first distance at which there is any."""
    queue, seen, nearest_at = deque([(path, 0)] if path in uses.of else []), {path}, len(uses.of)
    while queue and queue[0][1] <= nearest_at:
        at, distance = queue.popleft()
        if is_test(at):
            nearest_at = distance
            yield at, distance
            continue
        # what a package hands on in its __init__ is as near as what it takes it from
        free = at != path and PurePosixPath(at).name == "__init__.py"
        for user in sorted(users[at] - seen):
            seen.add(user)
            if free:
                queue.appendleft((user, distance))
            else:
                queue.append((user, distance + 1))


def _used(path: Path, names: Mapping[str, str]) -> Iterator[str]:
    """What a Python file imports, and what stands in it by name as text: processes are spawned by module, templates read by file name."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value.partition(":")[0], PurePosixPath(node.value).name]
        yield from (names[name] for name in found if name in names)


def _name(path: str) -> str:
    """By what other files name this one: a module by its dotted name, any other file by its own."""
    if not path.endswith(".py"):
        return PurePosixPath(path).name
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
