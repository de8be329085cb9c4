"""In which order the suite runs, and what stays together on one worker.

First come the rooms that start nothing: within two minutes they show what is broken. One worker sets up the office that many later tests
share meanwhile, so that nobody waits for it. Then the longest chains, so that none of them ends the run alone, and in the end what can
go to any worker.
"""

from __future__ import annotations

from typing import Final

import pytest

TOGETHER: Final = frozenset(
    {
        *("ca", "client", "examples", "observability", "repository", "sandbox", "timestamp", "verify", "workflow"),
        "attacks/test_slow_peers",
    }
)
"""Rooms and modules that have services or results of their own, which take long to come about: each module stays on one worker."""
STARTED: Final = ("station", "scene")
"""Fixtures that start a signer for a module, on each kind of database: the tests of one such signer stay on one worker."""
STARTS_THE_OFFICE: Final = "ceremonies of the shared office"
QUICK: Final = ("repository", "vectors", "protocol", "sealcore", "signer/pdf", "verify")
LONGEST: Final = ("office", "ca acts", "ca rollover", "client", "crash", "signer")
"""Groups and rooms, by the time that they take as a whole."""


def room(item: pytest.Item) -> str:
    """The folder of the tests that it is in."""
    parts = item.nodeid.partition("::")[0].split("/")
    return "/".join(parts[1:-1]) if parts[0] == "tests" else ""


def group(item: pytest.Item) -> str:
    """The group that it must stay with; none for what may go to any worker."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""


def arrange(items: list[pytest.Item]) -> None:
    """Puts them in this order, and each module of some rooms together."""
    for item in items:
        module = f"{room(item)}/{item.path.stem}"
        if not group(item) and (_started(item) or {room(item), module} & TOGETHER):
            item.add_marker(pytest.mark.xdist_group(f"{module}{_started(item)}"))
    items.sort(key=_place)


def _started(item: pytest.Item) -> str:
    """Names the signer that was started for this test's module; "" where none was."""
    params: dict[str, object] = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return next((f" {name} {params[name]}" for name in STARTED if name in params), "")


def _place(item: pytest.Item) -> tuple[int, int]:
    if group(item) == STARTS_THE_OFFICE:
        return 0, 0
    if room(item) in QUICK:
        return 1, QUICK.index(room(item))
    for name in (group(item), room(item)):
        if name in LONGEST:
            return 2, LONGEST.index(name)
    return (3 if group(item) else 4), 0
