"""Workers that were forked from their service are processes of their own: they share its modules, and nothing that would tie them together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.waiting import until


def scene(name: str) -> tuple[dict[str, Any], str]:
    """What a service of a process of its own found, and what was written to standard error."""
    command = [sys.executable, "-m", "tests.sealcore.programs.preforked", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout), done.stderr


def test_forked_workers_share_no_file_no_random_number_and_no_thread() -> None:
    found, _said = scene("ends")
    first, *others = workers = found["workers"]
    assert all(worker["parent"] == found["pid"] and worker["name"] == "tests-worker" for worker in workers)
    assert all(worker["arguments"] == ["--number"] and worker["threads"] == 1 for worker in workers)
    for worker in workers:
        assert worker["files"].pop("0") == worker["files"].pop("1") == "/dev/null", "what a worker prints is no answer of its service"
        worker["files"].pop("2")
        assert len(worker["files"]) == 1, "the channel to its service, and nothing of the service's or of another worker"
    sockets = [socket for worker in workers for socket in worker["files"].values()]
    assert len(set(sockets)) == len(workers)
    for other in others:
        assert not set(first["random"]) & set(other["random"])


def test_the_service_learns_how_each_ended_and_leaves_none_behind() -> None:
    found, said = scene("ends")
    assert found["statuses"] == [7, 1, -9] and "ValueError: a fault of the worker" in said
    assert found["left"] == [] and found["late"] is None


def test_one_that_was_killed_while_it_waited_is_passed_over() -> None:
    found, _said = scene("killed")
    assert found["worker"] == found["waiting"][0] and found["status"] == 0 and found["late"] is None


def test_a_process_with_threads_is_not_forked() -> None:
    assert "no other thread" in scene("threaded")[0]["fault"]


def test_those_that_wait_end_with_their_service() -> None:
    pids = scene("orphans")[0]["waiting"]
    assert len(pids) == 3
    until(lambda: not any(Path(f"/proc/{pid}/comm").exists() for pid in pids), "nobody waits for a service that is gone")
