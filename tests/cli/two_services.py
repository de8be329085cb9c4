"""Two real services for the tests of the launcher: a copy of a real office's state, on ports of their own."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.cli.running import RunningOffice
from vermilion.operation.launcher import Launcher
from vermilion.operation.restarts import RestartPolicy
from vermilion.operation.watched import Change, Turn
from vermilion.services import named
from vermilion.state.layout import Layout

WITHIN_S = 60.0
QUICK = RestartPolicy(first_s=0.05, most_s=0.2, deaths=3)
TWO = (named("timestamp"), replace(named("witness"), after=("timestamp",)))


def layout_of_two(office: RunningOffice, folder: Path, free_port: Callable[[], int]) -> Layout:
    """A state of its own: the office's tokens, read only, and configurations with other ports."""
    layout = Layout.at(folder / "var")
    layout.make_folders()
    for service in TWO:
        text = office.layout.config(service.name).read_text("utf-8")
        text = re.sub(r"(?m)^port = \d+$", lambda _: f"port = {free_port()}", text)
        text = text.replace(str(office.layout.service(service.name)), str(folder / service.name))
        layout.config(service.name).write_text(text, "utf-8")
        shutil.copytree(office.layout.service(service.name), folder / service.name)
    return layout


def port_of(layout: Layout, service: str) -> int:
    """Where it listens."""
    return int(layout.config(service).read_text("utf-8").split("port = ")[1].split()[0])


class Observed:
    """A launcher at work until something has become of a service."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.changes: list[Change] = []

    def until(self, turn: Turn) -> Change:
        seen, deadline_s = len(self.changes), time.monotonic() + WITHIN_S

        def enough() -> bool:
            assert time.monotonic() < deadline_s, self.changes
            return any(change.turn is turn for change in self.changes[seen:])

        self.launcher.wait(enough, self.changes.append)
        return next(change for change in self.changes[seen:] if change.turn is turn)
