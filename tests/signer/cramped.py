"""A signer that runs short of something, as seen from outside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from sealcore.errors import Code, VermilionError
from sealcore.hsm.softhsm import settings_of
from tests.signer.office import Office
from tests.signer.station import Station
from tests.support.ports import free_port

Stations = Callable[..., Station]


class Cramped:
    """A signer with its state and its log in ``folder``, and what monitoring reads of it."""

    def __init__(self, folder: Path, stations: Stations, **extra: Any) -> None:
        self.monitoring = free_port()
        self.folder = folder
        told = {"metrics": {"port": self.monitoring}, "workers": {"bulk": 1, "interactive": 1}, **extra}
        self.station = stations(folder / "station", f"sqlite:///{folder / 'signer.db'}", told)

    def readiness(self) -> dict[str, Any]:
        """What /readyz says."""
        told: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.monitoring}/readyz", timeout=30).json()
        return told

    def failing(self) -> dict[str, str]:
        """Part → code."""
        return {part: told["code"] for part, told in self.readiness()["parts"].items() if told["status"] != "ok"}

    def metric(self, name: str) -> float:
        """The sum of a metric over all its series."""
        lines = httpx.get(f"http://127.0.0.1:{self.monitoring}/metrics", timeout=30).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    @property
    def front(self) -> int:
        """The front's process."""
        assert self.station.process is not None
        return self.station.process.pid

    def workers(self) -> set[int]:
        """The processes that the front has started."""
        children = Path(f"/proc/{self.front}/task").glob("*/children")
        return {int(pid) for each in children for pid in each.read_text("ascii").split()}


def code_of(work: Callable[[], object]) -> Code | None:
    """The code with which ``work`` is refused."""
    try:
        work()
    except VermilionError as refused:
        return refused.code
    return None


def copied(office: Office, folder: Path) -> Office:
    """The same office with a copy of its token, which a test may take away."""
    assert office.token is not None
    assert office.token.softhsm_conf is not None
    original = office.token.softhsm_conf.parent
    shutil.copytree(original, folder)
    settings = settings_of(folder, office.token.label)
    conf = folder / "softhsm2.conf"
    conf.write_text(conf.read_text("utf-8").replace(str(original), str(folder)), "utf-8")
    other = object.__new__(Office)
    other.__dict__.update(office.__dict__, token=settings)
    return other
