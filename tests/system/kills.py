"""An office under load whose services are killed: what the load did meanwhile, how soon each service was back, and what it comes to in the end.

Everything is driven and counted from outside: the command line seals, HTTP verifies and timestamps, the ledger's checker recomputes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from asn1crypto import tsp

from tests.cli.papers import papers
from tests.cli.running import RunningOffice
from tests.support.waiting import until
from vermilion import exits
from vermilion.operation.doctor import failing_parts
from vermilion.operation.launcher import running
from vermilion.services import SERVICES

DOCUMENTS = 24  # of a batch
APPROVERS = ("Chen Rui", "Zhao Ming")
REQUEST_S = 60.0
AGAIN_S = 0.2
MOST_REPEATS = 200  # of one command: far more than any absence takes


@dataclass
class Batch:
    """Documents of one form, from the application to the last sealed file."""

    folder: Path
    out: Path
    number: str = ""


@dataclass
class Load:
    """What goes on meanwhile, and what came of it: answers by kind, and whatever must never be."""

    office: RunningOffice
    folder: Path
    known: Path  # a sealed file, to be verified over and over
    batches: list[Batch] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Until the end of the block; then every batch that was begun is finished."""
        threads = [threading.Thread(target=self._kept, args=(work,)) for work in (self._seal, self._verify, self._stamp)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join()

    def _kept(self, work: Callable[[], None]) -> None:
        try:
            while not self._enough.is_set():
                work()
        except Exception as fault:  # noqa: BLE001  (a thread of the load must not end in silence)
            self.wrong.append(f"{work.__name__}: {type(fault).__name__}: {fault}")

    def _seal(self) -> None:
        name = f"batch {len(self.batches)}"
        batch = Batch(papers(self.folder / name, DOCUMENTS, name=name), self.folder / f"sealed {name}")
        asked = ("seal", batch.folder, "--wait", "0", "--out", batch.out)
        while not batch.number:
            said = self.office.run(*asked).stdout
            batch.number = next((word for word in said.split() if word.startswith("DEMO-")), "")
            self.answers["applications"] += 1
        self.batches.append(batch)
        for person in APPROVERS:
            self._repeated(f"approvals by {person}", "forms", "approve", batch.number, "--as", person, "--yes", "--folder", batch.folder)
        self._repeated("batches", "seal", batch.folder, "--out", batch.out)

    def _repeated(self, what: str, *arguments: str | Path) -> None:
        """The same command until it has done its work, as a person repeats it."""
        for _ in range(MOST_REPEATS):
            done = self.office.run(*arguments)
            if done.returncode == exits.DONE or "has decided" in done.stderr:
                self.answers[what] += 1
                return
            self.answers[f"{what}, again"] += 1
            time.sleep(AGAIN_S)
        self.wrong.append(f"{what} never came to their end: {done.stdout}{done.stderr}")

    def _verify(self) -> None:
        with self.known.open("rb") as content:
            answer = _asked(
                lambda: httpx.post(f"{self._url('verify')}/v1/verify", files={"file": content}, timeout=REQUEST_S, trust_env=False)
            )
        verdict = "away" if answer is None else str(answer.json().get("verdict", answer.json().get("code")))
        self.answers[f"verification {verdict}"] += 1
        if verdict in ("invalid", "unreadable"):
            self.wrong.append(f"a valid file was called {verdict}: {answer.text if answer is not None else ''}")

    def _stamp(self) -> None:
        imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(os.urandom(8)).digest()}
        query = tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "cert_req": True}).dump()
        headers = {"Content-Type": "application/timestamp-query"}
        answer = _asked(lambda: httpx.post(self._url("timestamp"), content=query, headers=headers, timeout=REQUEST_S, trust_env=False))
        status = (
            "away"
            if answer is None
            else str(tsp.TimeStampResp.load(answer.content)["status"]["status"].native)
            if answer.is_success
            else "away"
        )
        self.answers[f"timestamp {status}"] += 1
        time.sleep(0.02)

    def _url(self, port: str) -> str:
        return self.office.office.url(port)


def _asked(ask: Callable[[], httpx.Response]) -> httpx.Response | None:
    """The answer; None where the service is away."""
    try:
        return ask()
    except httpx.TransportError:
        time.sleep(AGAIN_S)
        return None


def pids(office: RunningOffice) -> dict[str, int]:
    """The processes of the office's services now."""
    return {one.service: one.pid for one in running(office.layout)}


@dataclass(frozen=True)
class Recovery:
    """How long after its death a service was ready again, and all services were."""

    service: str
    ready_s: float
    all_ready_s: float


def kill(office: RunningOffice, service: str) -> Recovery:
    """SIGKILL to one service; returns when the whole office is ready again. Nobody helps."""
    before = pids(office)[service]
    began_s = time.monotonic()
    os.kill(before, signal.SIGKILL)
    until(
        lambda: pids(office).get(service) not in (None, before) and not failing_parts(office.office, service),
        f"{service} does not come back",
    )
    ready_s = time.monotonic() - began_s
    until(lambda: all_ready(office), f"after the end of {service} the office does not come to itself")
    return Recovery(service, ready_s, time.monotonic() - began_s)


def all_ready(office: RunningOffice) -> bool:
    """Whether each service runs and calls itself ready."""
    return len(pids(office)) == len(SERVICES) and not any(failing_parts(office.office, service.name) for service in SERVICES)


def count(office: RunningOffice, batches: Sequence[Batch]) -> list[str]:
    """What is lost, doubled or left hanging, in words; none is what it is about."""
    found = []
    for batch in batches:
        files = sorted(batch.out.glob("*.pdf"))
        if len(files) != DOCUMENTS:
            found.append(f"{batch.number} has {len(files)} sealed files of {DOCUMENTS}")
        entries = [one for one in office.json("ledger", "show", batch.number) if one["kind"] == "seal"]
        places = Counter(one["index"] for one in entries)
        if len(places) != DOCUMENTS or set(places.values()) != {1}:
            found.append(f"{batch.number} has the entries {dict(places)}")
        verified = office.run("verify", *files, "--json")
        verdicts = Counter(one["verdict"] for one in json.loads(verified.stdout))
        if verdicts != {"valid": DOCUMENTS}:
            found.append(f"{batch.number} is {dict(verdicts)}")
    checked = office.run("ledger", "check", "--json")
    if checked.returncode != exits.DONE or json.loads(checked.stdout)["findings"]:
        found.append(f"the ledger does not hold: {checked.stdout}{checked.stderr}")
    return found


def figures(recoveries: Sequence[Recovery], answers: Counter[str]) -> dict[str, Any]:
    """For people."""
    slowest: dict[str, Recovery] = {}
    for one in recoveries:
        if one.service not in slowest or one.all_ready_s > slowest[one.service].all_ready_s:
            slowest[one.service] = one
    return {
        "slowest": {name: (round(one.ready_s, 1), round(one.all_ready_s, 1)) for name, one in slowest.items()},
        "answers": dict(answers),
    }
