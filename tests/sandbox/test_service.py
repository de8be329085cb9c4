"""Documents are read by a service in an account of its own: for whom it is meant, within bounds, and whole again when it comes back."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import signer.pipeline.sandbox
import verify.sandbox
from sealcore.errors import Code, VermilionError
from sealcore.platform.sandbox import ForkServer
from sealcore.platform.sandbox.address import dial
from sealcore.platform.sandbox.job import Job
from sealcore.platform.sandbox.zygote import MOST_LINES
from tests.accounts import as_account
from tests.attacks.escaping import SHUT, Scene
from tests.conftest import REPOSITORY
from tests.sandbox.as_account import ESCAPE

SANDBOX, SIGNER, VERIFY, STRANGER = 64108, 64100, 64106, 64199  # accounts, as `deploy/accounts.sh` numbers them


class Service:
    """The process, its folder, and an account each for it and its callers."""

    def __init__(self, folder: Path, account: int = SANDBOX) -> None:
        self.folder, self._account = folder, account
        self._config = folder / "sandbox.toml"
        for name, owner in (("signer", SIGNER), ("verify", VERIFY), ("sandbox", account)):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
            os.chown(folder / name, owner, owner)
        (folder / "sandbox").chmod(0o711)
        (folder / "signer" / "pin").write_text("1234")
        os.chown(folder / "signer" / "pin", SIGNER, SIGNER)
        self._config.write_text(
            f'folder = "{folder}/sandbox/callers"\nsigner = {{ owner_of = "{folder}/signer" }}\n'
            f'verify = {{ owner_of = "{folder}/verify", at_once = 1, waiting = 0 }}\n'
        )
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.sandbox.as_account", str(self._account), str(self._config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
        assert self.process.stdout is not None and self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def address(self, caller: str) -> Path:
        return self.folder / "sandbox" / "callers" / caller


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    assert os.geteuid() == 0, "these tests change accounts and need root"
    with tempfile.TemporaryDirectory(prefix="vermilion-sandbox-") as name:  # pytest's own folders let nobody pass through
        folder = Path(name) / ("long " * 20).strip()  # an address in the file system has at most 107 bytes
        folder.mkdir(mode=0o711)
        Path(name).chmod(0o711)
        made = Service(folder)
        yield made
        made.kill()


def asked(service: Service, caller: str, job: Job, *parts: bytes) -> str:
    """What a process of the caller's account gets: what was answered, or the code of a refusal."""
    server = ForkServer(job, service=service.address(caller))
    try:
        return b"".join(server.call(*parts)).decode()
    except VermilionError as refusal:
        return str(refusal.code)
    finally:
        server.close()


def ask(service: Service, account: int, caller: str, job: Job, *parts: bytes) -> str:
    answer: str = as_account(account, lambda: asked(service, caller, job, *parts))
    return answer


def test_only_the_account_of_a_caller_may_call(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealcore.platform.sandbox.server.RETURN_S", 0.0)
    assert ask(service, SIGNER, "signer", ESCAPE) == ""
    assert ask(service, VERIFY, "verify", ESCAPE) == ""
    for account, caller in ((VERIFY, "signer"), (SIGNER, "verify"), (STRANGER, "signer"), (SANDBOX, "signer"), (0, "verify")):
        assert ask(service, account, caller, ESCAPE) == "SERVICE_UNAVAILABLE", (account, caller)


def test_a_caller_gets_what_its_row_of_the_table_says_and_nothing_else(service: Service) -> None:
    assert ask(service, SIGNER, "signer", signer.pipeline.sandbox.JOB, b"", b"", b"") == "DOCUMENT_DAMAGED"  # which a child has said
    assert ask(service, VERIFY, "verify", verify.sandbox.JOB, b"") == "DOCUMENT_DAMAGED"
    for job in (signer.pipeline.sandbox.JOB, Job("os:system"), Job("")):
        assert ask(service, VERIFY, "verify", job, b"true") == "SERVICE_UNAVAILABLE"
    assert ask(service, SIGNER, "signer", verify.sandbox.JOB) == "SERVICE_UNAVAILABLE"


def test_from_inside_every_door_is_shut_to_the_accounts_of_others_and_to_its_own(service: Service) -> None:
    bystander = subprocess.Popen(["sleep", "1000"], user=SANDBOX, group=SANDBOX)
    victims = {"the service": service.process.pid, "the caller's kind": os.getpid(), "one of its account": bystander.pid}
    scene = Scene(str(service.folder / "signer"), victims, "")
    (service.folder / "signer" / "secret").write_text("1234")
    told = json.loads(ask(service, SIGNER, "signer", ESCAPE, b"escape", json.dumps(asdict(scene)).encode()))
    bystander.kill()
    bystander.wait()
    assert {name: answer for name, answer in told["doors"].items() if answer not in SHUT} == {}
    assert told["descriptors"] == 4 and told["standard"] == [0, 1, 1]
    account = Path(f"/proc/{service.process.pid}/status").read_text()
    assert f"Uid:\t{SANDBOX}\t" in account and "CapEff:\t0000000000000000" in account and "NoNewPrivs:\t1" in account


def test_what_it_was_started_with_is_not_in_memory_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERMILION_SECRET", "what-nobody-is-to-read")
    service = Service(tmp_path, account=0)
    os.chown(tmp_path / "signer", 0, 0)  # this process calls
    server = ForkServer(ESCAPE, service=service.address("signer"))
    remembered = server.call(b"remember")[0]
    server.close()
    service.kill()
    assert b"PATH=" in remembered and b"what-nobody-is-to-read" not in remembered


def test_without_descriptors_it_turns_callers_away_and_goes_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are left: none, or too few for what one document takes."""
    monkeypatch.setattr("sealcore.platform.sandbox.server.RETURN_S", 0.2)
    monkeypatch.setattr("sealcore.platform.sandbox.server.TURN_S", 0.5)
    os.chown(service.folder / "signer", 0, 0)  # this process calls
    server = ForkServer(ESCAPE, service=service.address("signer"))
    server.check()

    before = as_account(SANDBOX, lambda: resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE))

    def bounded(most: int) -> None:
        as_account(SANDBOX, lambda: resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (most, before[1])))

    held = len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))
    answers = []
    for most in range(held - 4, held + 6):
        bounded(most)
        try:
            answers.append("".join(each.decode() for each in server.call()))
        except VermilionError as refusal:
            answers.append(str(refusal.code))
    bounded(before[0])
    assert set(answers) == {"SERVICE_UNAVAILABLE", "OVERLOADED", ""} and answers[-1] == "", answers
    assert server.call() == [] and service.process.poll() is None
    server.close()
    os.chown(service.folder / "signer", SIGNER, SIGNER)


def test_without_another_process_it_turns_callers_away_and_goes_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its account may have so many processes and no more: each document is one."""
    monkeypatch.setattr("sealcore.platform.sandbox.server.RETURN_S", 0.2)
    monkeypatch.setattr("sealcore.platform.sandbox.server.TURN_S", 0.5)
    os.chown(service.folder / "signer", 0, 0)  # this process calls
    server = ForkServer(ESCAPE, service=service.address("signer"))
    assert server.call() == []
    before = as_account(SANDBOX, lambda: resource.prlimit(service.process.pid, resource.RLIMIT_NPROC))
    as_account(SANDBOX, lambda: resource.prlimit(service.process.pid, resource.RLIMIT_NPROC, (1, before[1])))
    with pytest.raises(VermilionError) as refused:
        server.call()
    as_account(SANDBOX, lambda: resource.prlimit(service.process.pid, resource.RLIMIT_NPROC, before))
    assert refused.value.code in {Code.SERVICE_UNAVAILABLE, Code.OVERLOADED, Code.RESOURCES_EXHAUSTED}
    assert server.call() == [] and service.process.poll() is None
    server.close()
    os.chown(service.folder / "signer", SIGNER, SIGNER)


def test_who_takes_its_place_keeps_it(tmp_path: Path) -> None:
    first = Service(tmp_path, account=0)
    second = Service(tmp_path, account=0)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait() == 0
    os.chown(tmp_path / "signer", 0, 0)
    assert asked(second, "signer", ESCAPE) == ""
    second.kill()


def test_the_process_that_forks_has_one_thread(service: Service) -> None:
    assert "Threads:\t1\n" in Path(f"/proc/{service.process.pid}/status").read_text()


def test_strangers_who_keep_their_places_occupied_do_not_keep_the_signer_waiting(service: Service) -> None:
    def occupied() -> list[str]:
        server = ForkServer(ESCAPE, service=service.address("verify"))
        with held(server):
            answers = [asked(service, "verify", ESCAPE)]
            server.check()  # it is busy, and well
        server.close()
        return answers

    results: list[list[str]] = []
    thread = threading.Thread(target=lambda: results.append(as_account(VERIFY, occupied)))
    thread.start()
    thread.join()
    assert results == [["OVERLOADED"]]
    assert as_account(VERIFY, lambda: with_lines(service, MOST_LINES + 20)) == MOST_LINES
    assert ask(service, SIGNER, "signer", ESCAPE) == ""


def held(server: ForkServer) -> socket.socket:
    """A conversation with a child, which waits for what it is to do."""
    ours, theirs = socket.socketpair()
    with theirs:
        server._hand_over(server._job, theirs, 0)
    assert ours.recv(1) == b"S"
    return ours


def with_lines(service: Service, count: int) -> int:
    """How many of these lines are kept, once the others are hung up."""
    lines: list[socket.socket] = []
    while len(lines) < count:  # the queue for the service's attention may be full for a moment
        line = dial(service.address("verify"))
        lines += [] if line is None else [line]
    closed = select.poll()
    for line in lines:
        closed.register(line, 0)
    while len(closed.poll(100)) < count - MOST_LINES:
        pass
    return len(lines) - len(closed.poll(0))


@pytest.mark.parametrize("message", [b"", b"\xff" * 500, b"os:system", ESCAPE.function.encode()], ids=repr)
def test_nonsense_on_a_line_is_nobodys_harm(service: Service, message: bytes) -> None:
    def said() -> None:
        for descriptor in (None, os.open("/dev/null", os.O_RDONLY), socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()):
            line = dial(service.address("verify"))
            assert line is not None
            if descriptor is None:
                line.send(message)
            else:
                socket.send_fds(line, [message], [descriptor])
            line.close()

    as_account(VERIFY, said)
    assert service.process.poll() is None
    assert ask(service, SIGNER, "signer", ESCAPE) == ""


def test_callers_are_told_when_it_dies_and_are_whole_when_it_is_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also whoever's document was being read: nothing is held against the document."""
    os.chown(service.folder / "signer", 0, 0)  # this process calls
    server, other = (ForkServer(ESCAPE, service=service.address("signer")) for _ in range(2))
    other.check()
    answers: list[str] = []

    def call() -> None:
        try:
            server.call(b"wait")
        except VermilionError as refusal:
            answers.append(refusal.code)

    with held(server):
        monkeypatch.setattr("sealcore.platform.sandbox.server.RETURN_S", 0.3)
        waiting = threading.Thread(target=call)
        waiting.start()
        while len(Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()) < 2:
            pass
        service.kill()
        waiting.join()
    assert answers == [Code.SERVICE_UNAVAILABLE]
    with pytest.raises(VermilionError) as away:
        server.check()
    assert away.value.code is Code.SERVICE_UNAVAILABLE
    monkeypatch.setattr("sealcore.platform.sandbox.server.RETURN_S", 60.0)
    returning = threading.Timer(0.2, service.start)
    returning.start()
    assert other.call() == []  # it was asked while the service was away, and waited
    returning.join()
    server.check()
    for each in (server, other):
        each.close()
    os.chown(service.folder / "signer", SIGNER, SIGNER)


def test_it_ends_cleanly_and_leaves_no_address_behind(tmp_path: Path) -> None:
    service = Service(tmp_path, account=0)
    assert sorted(each.name for each in (tmp_path / "sandbox" / "callers").iterdir()) == ["signer", "verify"]
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait() == 0
    assert list((tmp_path / "sandbox" / "callers").iterdir()) == []
