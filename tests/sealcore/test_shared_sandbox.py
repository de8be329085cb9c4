"""Several processes hand their documents to one sandbox, whose imports are in memory once."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealcore.platform.sandbox import ForkServer, Job

WORK = "import os\ndef work(parts):\n    return [str(os.getppid()).encode(), *parts]\n"
JOB = Job("shared_work:work")


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    """Whoever starts the sandbox: in the signer the front."""
    (tmp_path / "shared_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = ForkServer(JOB)
    yield server
    server.close()


def shares(owner: ForkServer) -> ForkServer:
    """Another process's, as the signer's workers have it: all that they get is a descriptor."""
    return ForkServer(JOB, shared=socket.socket(fileno=os.dup(owner.begin())))


def test_all_are_forked_from_one_process_at_the_same_time(owner: ForkServer) -> None:
    servers = [owner, shares(owner), shares(owner)]
    parts = [b"%d" % number for number in range(60)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: servers[number % 3].call(parts[number]), range(60)))
    assert [answer for _, answer in answers] == parts
    assert len({zygote for zygote, _ in answers}) == 1
    for server in servers[1:]:
        server.close()
    assert owner.call(b"still") == [answers[0][0], b"still"]


def test_when_it_dies_each_starts_its_own_and_who_comes_later_shares_the_new_one(owner: ForkServer) -> None:
    worker = shares(owner)
    (first,) = worker.call()
    assert int(first) > 1  # what is less would name whole groups of processes
    os.kill(int(first), 9)
    (own,) = worker.call()
    assert own != first
    later = shares(owner)
    (second,) = owner.call()
    assert later.call() == [second] and second not in (first, own)
    worker.close()
    later.close()
