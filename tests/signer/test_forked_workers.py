"""The signer as it is started in service: its first workers are forked from it, and those that replace them are spawned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.signer.office import document
from tests.signer.station import Station
from tests.support.waiting import until


def workers(station: Station) -> list[int]:
    """The signer's children but for the process that sandboxes are forked from."""
    assert station.process is not None
    pid = station.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [int(child) for child in children if b"sandbox" not in Path(f"/proc/{child}/cmdline").read_bytes()]


def forked(pid: int) -> bool:
    """Whether its command line is the signer's own."""
    return b"signer.worker" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def shared_kib(pid: int) -> int:
    """Memory that it wrote to, or inherited, and shares with other processes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Shared_Dirty:"))


def niceness(pids: list[int]) -> list[int]:
    """Of each beyond this process's own, ascending."""
    return sorted(os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0) for pid in pids)


def test_workers_are_forked_from_the_signer_and_one_that_dies_is_replaced(sqlite_station: Callable[..., Station]) -> None:
    station = sqlite_station(workers={"bulk": 2, "interactive": 1})
    station.forked = False
    with station.running():
        first = workers(station)
        assert len(first) == 3 and all(map(forked, first))
        assert all(Path(f"/proc/{pid}/comm").read_text("ascii") == "signer-worker\n" for pid in first)
        assert all(shared_kib(pid) > 10_000 for pid in first), "what all of them import is in memory once"
        assert niceness(first) == [0, 5, 5], "a single document's worker goes before those of streams, whoever is short of a core"
        assert station.seal(station.office.approve([document("By a forked worker")])).sealed_sha256
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        approved = station.office.approve([document("By one that was spawned")])
        until(lambda: len(set(workers(station)) - set(first)) == 3, "all three are replaced")
        assert station.seal(approved).sealed_sha256
        assert not set(workers(station)) & set(first)
        until(lambda: niceness(workers(station)) == [0, 5, 5], "and theirs are what the others' were")
    assert '"status": -9' in station.log.read_text("utf-8")
