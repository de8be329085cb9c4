"""A document that has taken the process over that reads it reaches nothing: each door is tried from inside, by system calls, and is shut."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import longterm.sandbox
import signer.pipeline.dry_run
import signer.pipeline.examiner
import signer.pipeline.sandbox
import verify.sandbox
from sealcore.errors import VermilionError
from sealcore.platform.sandbox import ForkServer, Job, Limits
from sealcore.platform.walls import READABLE
from tests.attacks.escaping import OPEN, SHUT, Scene

ESCAPE = "tests.attacks.escaping:work"
JOBS = [signer.pipeline.sandbox.JOB, signer.pipeline.dry_run.JOB, signer.pipeline.examiner.JOB, verify.sandbox.JOB, longterm.sandbox.JOB]


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of the same account that means no harm."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What nobody is to read: in a file, and in the environment of whoever asks."""
    monkeypatch.setenv("VERMILION_SECRET", "1234")
    (tmp_path / "secret").write_text("1234")
    return tmp_path / "secret"


def scene(secret: Path, victims: dict[str, int]) -> Scene:
    font = next((str(each) for folder in READABLE if folder.is_dir() for each in sorted(folder.rglob("*.tt[fc]"))), "")
    return Scene(str(secret.parent), victims, font)


def children(pid: int) -> list[int]:
    """None of a process that is gone."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def zygote_of(server: ForkServer) -> int:
    assert server._process is not None
    return server._process.pid


def conversation(server: ForkServer, *, begun: bool) -> socket.socket:
    """One end of a conversation with a child of this server."""
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(server._running(), [server._job.function.encode()], [theirs.fileno()])
    assert not begun or ours.recv(1) == b"S"
    return ours


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.function)
def test_every_door_is_shut(job: Job, secret: Path, victim: int) -> None:
    server = ForkServer(replace(job, function=ESCAPE))
    server.start()
    zygote = zygote_of(server)
    with conversation(server, begun=True):
        (sibling,) = children(zygote)
        victims = {"the caller": os.getpid(), "its own parent": zygote, "a sibling": sibling, "a bystander": victim, "the first process": 1}
        told = json.loads(server.call(b"escape", json.dumps(asdict(scene(secret, victims))).encode())[0])
    server.close()
    assert len(told["doors"]) > 200
    assert {name: answer for name, answer in told["doors"].items() if answer not in SHUT} == {}
    assert told["descriptors"] == 4, "input, output and errors, which lead nowhere, and the answer"
    assert told["standard"] == [0, 1, 1]
    assert told["font"] == OPEN, "fonts are there to be read"
    assert "VERMILION_SECRET" not in told["environment"]
    assert [each.name for each in secret.parent.iterdir()] == ["secret"] and secret.read_text() == "1234"


def test_the_environment_of_the_caller_is_not_in_memory_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERMILION_SECRET", "what-nobody-is-to-read")
    server = ForkServer(Job(ESCAPE))
    remembered = server.call(b"remember")[0]
    server.close()
    assert b"PYTHONPATH=" in remembered and b"what-nobody-is-to-read" not in remembered


def test_without_landlock_nothing_is_opened_at_all(secret: Path, victim: int) -> None:
    server = ForkServer(Job(ESCAPE, ("tests.sandbox.older_kernels:without_landlock",)))
    told = json.loads(server.call(b"escape", json.dumps(asdict(scene(secret, {"a bystander": victim}))).encode())[0])
    server.close()
    assert {name: answer for name, answer in told["doors"].items() if answer not in SHUT} == {}
    assert told["font"] in SHUT


def test_without_seccomp_nothing_of_strangers_is_read() -> None:
    server = ForkServer(Job(ESCAPE, ("tests.sandbox.older_kernels:without_seccomp",)))
    with pytest.raises(VermilionError, match="seccomp") as refused:
        server.call(b"")
    assert refused.value.code == "SERVICE_UNAVAILABLE"
    server.close()


@pytest.fixture(scope="module")
def short() -> Iterator[ForkServer]:
    """Whose children have a second."""
    server = ForkServer(Job(ESCAPE, limits=Limits(cpu_s=1, wall_s=1.0)))
    server.start()
    yield server
    server.close()


def test_time_is_over_also_for_who_is_deaf_to_signals(short: ForkServer) -> None:
    with pytest.raises(VermilionError) as refused:
        short.call(b"outstay")
    assert refused.value.code == "DOCUMENT_TOO_COMPLEX"
    assert until_none(zygote_of(short))


@pytest.mark.parametrize("numbers", [b"x32"] if os.uname().machine == "x86_64" else [])
def test_calls_by_the_numbers_of_another_abi_end_the_process(short: ForkServer, numbers: bytes) -> None:
    with pytest.raises(VermilionError) as refused:
        short.call(numbers)
    assert refused.value.code == "DOCUMENT_TOO_COMPLEX"


def test_a_child_ends_with_its_caller(secret: Path) -> None:
    server = ForkServer(Job(ESCAPE))
    server.start()
    with conversation(server, begun=True):
        assert len(children(zygote_of(server))) == 1
    assert until_none(zygote_of(server))
    server.close()


def test_a_child_ends_with_what_it_was_forked_from() -> None:
    server = ForkServer(Job(ESCAPE))
    server.start()
    with conversation(server, begun=True) as caller:
        assert server._process is not None
        server._process.kill()
        assert caller.recv(1) == b"", "nobody holds the other end any more"
    server.close()


def test_a_document_is_read_again_where_the_sandbox_died_under_it() -> None:
    """Killed from outside it says nothing of the document, which is not refused for it."""
    server = ForkServer(Job(ESCAPE, limits=Limits(wall_s=30)))
    server.start()
    answers: list[Any] = []

    def call() -> None:
        try:
            answers.append(server.call(b"wait"))
        except VermilionError as refusal:
            answers.append(refusal.code)

    waiting = threading.Thread(target=call)
    waiting.start()
    for _ in range(2):
        while server._process is None or not children(zygote_of(server)):
            select.select([], [], [], 0.01)
        server._process.kill()
        server._process.wait()
    waiting.join()
    server.close()
    assert answers == ["SERVICE_UNAVAILABLE"]


def until_none(zygote: int) -> bool:
    """Waits until it has no children any more."""
    while children(zygote):
        select.select([], [], [], 0.01)
    return True
