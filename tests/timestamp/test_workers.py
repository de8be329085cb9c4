"""Several processes make the tokens of one unit: in order, together, and none outlives the service."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from asn1crypto import tsp
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from sealcore.clock import SystemClock
from sealcore.platform.config import load
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.service import REPEAT_DOES_HARM
from tests import plain_http
from tests.support.waiting import until
from tests.timestamp.kit import Response, SmallCa, UnitKeys, write_config
from timestamp.app import build
from timestamp.http import QUERY_TYPE
from timestamp.settings import DEFAULT_POLICY_OID, TimestampSettings

MESSAGE = b"what was seen"
SOON_S = 20.0  # far more than anything here takes on an idle machine


def query(digest: bytes = hashlib.sha256(MESSAGE).digest()) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
    return bytes(tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "cert_req": True}).dump())


def gen_time(answer: bytes) -> float:
    token = Response.load(answer)["time_stamp_token"]
    return float(token["content"]["encap_content_info"]["content"].parsed["gen_time"].native.timestamp())


@dataclass(frozen=True)
class Office:
    """A running timestamp service and where it is."""

    process: subprocess.Popen[str]
    port: int
    monitoring: str

    def workers(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def stamp(self) -> bytes:
        """One token over a connection of its own, so that any worker may get it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON_S)
        try:
            connection.request("POST", "/", query(), {"Content-Type": QUERY_TYPE})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200
            return body
        finally:
            connection.close()

    def sample(self, name: str, **labels: str) -> dict[str, float]:
        """The values of a metric by worker."""
        families = text_string_to_metric_families(plain_http.get(f"{self.monitoring}/metrics").text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return {each.labels["worker"]: each.value for each in samples if labels.items() <= each.labels.items()}


@pytest.fixture
def office(
    request: pytest.FixtureRequest, tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> Iterator[Office]:
    """With the settings of ``request.param`` beside the usual ones."""
    port, monitoring = free_port(), free_port()
    config = write_config(tmp_path, unit_keys, small_ca, port)
    config.write_text(f"{getattr(request, 'param', '')}\n{config.read_text()}[metrics]\nport = {monitoring}\n")
    command = [sys.executable, "-m", "timestamp", "--config", str(config)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", (tmp_path / "log").read_text()
    yield Office(process, port, f"http://127.0.0.1:{monitoring}")
    process.kill()
    process.communicate()


def test_each_worker_makes_tokens_that_verify(office: Office, small_ca: SmallCa) -> None:
    assert len(office.workers()) == 2
    verifier = VerifierBuilder().policy_id(x509.ObjectIdentifier(DEFAULT_POLICY_OID)).add_root_certificate(small_ca.certificate).build()
    answers = []
    while min(office.sample("vermilion_timestamp_requests_total", outcome="granted").get(name, 0) for name in ("1", "2")) < 3:
        answers.append(office.stamp())
        assert len(answers) < 500, "the kernel spreads connections over both"
    for answer in answers:
        assert verifier.verify_message(decode_timestamp_response(answer), MESSAGE)
    granted = office.sample("vermilion_timestamp_requests_total", outcome="granted")
    assert sum(granted.values()) == len(answers) == sum(office.sample("vermilion_timestamp_seconds_count").values())
    assert office.sample("vermilion_timestamp_workers") == {"parent": 2}


@pytest.mark.parametrize("office", ["silent_s = 1"], indirect=True)
def test_a_worker_that_hangs_is_ended_and_replaced(office: Office) -> None:
    """Its share of the connections would wait for ever, and the others' answers would call the service ready."""
    victim, survivor = office.workers()
    os.kill(victim, signal.SIGSTOP)
    until(lambda: victim not in office.workers(), "the hung worker is noticed")
    until(lambda: office.sample("vermilion_timestamp_workers") == {"parent": 2}, "another worker serves in its place")
    assert survivor in office.workers()
    for _ in range(20):
        office.stamp()


def test_a_killed_worker_is_replaced_while_the_others_serve(office: Office) -> None:
    victim, survivor = office.workers()
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in office.workers(), "the dead worker is noticed")
    for _ in range(20):
        office.stamp()
    until(lambda: office.sample("vermilion_timestamp_workers") == {"parent": 2}, "another worker serves in its place")
    assert survivor in office.workers() and len(office.workers()) == 2
    assert office.sample("vermilion_timestamp_worker_restarts_total") == {"parent": 1}
    assert plain_http.get(f"{office.monitoring}/readyz").status_code == 200


def test_a_worker_is_replaced_as_soon_as_there_is_a_descriptor_for_it(office: Office, tmp_path: Path) -> None:
    victim, _survivor = office.workers()
    before = resource.prlimit(office.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(office.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    os.kill(victim, signal.SIGKILL)
    until(lambda: "RESOURCES_EXHAUSTED" in (tmp_path / "log").read_text(), "the parent says what it is short of")
    assert office.stamp()  # by the other one
    resource.prlimit(office.process.pid, resource.RLIMIT_NOFILE, before)
    until(lambda: len(office.workers()) == 2 and victim not in office.workers(), "another worker serves in its place")


def test_a_killed_parent_leaves_no_worker_behind(office: Office) -> None:
    workers = office.workers()
    office.process.kill()
    office.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers end by themselves")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", office.port), timeout=SOON_S)


def test_on_sigterm_every_request_that_was_taken_is_answered(office: Office) -> None:
    """Connections stay open, so that a request is taken once it is sent on one; those that the service has closed are the service's end."""
    answered, torn = [], []
    stop = threading.Event()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", office.port, timeout=SOON_S)
        while not stop.is_set():
            try:
                connection.request("POST", "/", query(), {"Content-Type": QUERY_TYPE})
                answer = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                return
            try:
                answered.append(answer.read())
            except http.client.IncompleteRead as fault:
                torn.append(fault)
                return

    workers = office.workers()
    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client) for _ in range(8)]
        until(lambda: len(answered) > 200, "there is load")
        office.process.terminate()
        assert office.process.wait(SOON_S) == 0
        stop.set()
        for each in clients:
            each.result(SOON_S)
    assert not torn and all(gen_time(answer) for answer in answered)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_readiness_follows_the_token(office: Office, unit_keys: UnitKeys) -> None:
    assert plain_http.get(f"{office.monitoring}/healthz").text == "ok\n" == plain_http.get(f"http://127.0.0.1:{office.port}/healthz").text
    ready = plain_http.get(f"{office.monitoring}/readyz")
    parts = ready.json()["parts"]
    assert ready.status_code == 200 and parts["token"] == {"status": "ok"}
    assert parts["clock"]["status"] == "ok" and re.search("not synchronised|off by at most", parts["clock"]["note"])
    assert unit_keys.settings.softhsm_conf is not None
    folder = unit_keys.settings.softhsm_conf.parent
    away = folder.with_name("away")
    folder.rename(away)
    try:
        assert Response.load(office.stamp())["status"]["status"].native == "rejection"
        ready = plain_http.get(f"{office.monitoring}/readyz")
        assert ready.status_code == 503 and ready.json()["parts"]["token"]["code"].startswith("HSM_")
    finally:
        away.rename(folder)
    until(lambda: plain_http.get(f"{office.monitoring}/readyz").status_code == 200, "it recovers by itself")
    assert gen_time(office.stamp())


def test_gen_time_never_decreases_over_all_workers_whatever_their_clocks_say(
    tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> None:
    """A token that was asked for after another had come never says an earlier time."""
    port = free_port()
    settings = load(write_config(tmp_path, unit_keys, small_ca, port, processes=3), TimestampSettings)
    seen: list[tuple[int, int, float]] = []

    def client(_: int) -> None:
        begun_ns = time.monotonic_ns()
        answer = plain_http.post(f"http://127.0.0.1:{port}/", content=query(), headers={"Content-Type": QUERY_TYPE})
        seen.append((begun_ns, time.monotonic_ns(), gen_time(answer.content)))

    async def run() -> None:
        service = build(settings, clock=SystemClock(), worker_module="tests.timestamp.shaky_worker")
        try:
            await service.start()
            with ThreadPoolExecutor(4) as pool:
                await asyncio.gather(*(asyncio.get_running_loop().run_in_executor(pool, client, i) for i in range(300)))
        finally:
            await service.stop()

    asyncio.run(run())
    assert len(seen) == 300
    by_end, ended, highest = sorted(seen, key=lambda each: each[1]), 0, 0.0
    for begun_ns, _ended_ns, said in sorted(seen):
        while by_end[ended][1] < begun_ns:
            highest = max(highest, by_end[ended][2])
            ended += 1
        assert said >= highest


def test_heads_without_end_and_without_haste_are_cut_off(
    tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> None:
    port = free_port()
    loaded = load(write_config(tmp_path, unit_keys, small_ca, port, processes=1), TimestampSettings)
    settings = loaded.model_copy(update={"http": HttpLimits(head_s=1)})

    def talk(*pieces: bytes) -> bytes:
        """What comes back until the service closes."""
        with socket.create_connection(("127.0.0.1", port), timeout=SOON_S) as connection:
            answer = b""
            try:
                for piece in pieces:
                    connection.sendall(piece)
                while part := connection.recv(65536):
                    answer += part
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer

    def strangers() -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\n"
        endless = [b"X: " + b"a" * 60_000 + b"\r\n"] * 100
        assert len(talk(head, *endless)) < 1000 and b" 200 " not in talk(head, *endless)
        assert b" 200 " not in talk(head + b"X: ", *[b"a" * 60_000] * 100)
        chunked = head + b"Content-Type: application/timestamp-query\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        talk(chunked, *endless)
        assert talk(b"POST / HT") == b"" == talk(b""), "closed after a while"
        assert b" 400 " in talk(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        assert b" 413 " in talk(
            head + b"Content-Length: 9999999\r\nContent-Type: application/timestamp-query\r\nConnection: close\r\n\r\n" + bytes(5000)
        )
        answer = plain_http.post(f"http://127.0.0.1:{port}/", content=query(), headers={"Content-Type": QUERY_TYPE})
        assert gen_time(answer.content)

    async def run() -> None:
        service = build(settings, clock=SystemClock())
        try:
            await service.start()
            await asyncio.to_thread(strangers)
        finally:
            await service.stop()

    asyncio.run(run())


def test_a_wrong_pin_stops_the_start_of_all_workers(
    tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("000000")
    pin_file.chmod(0o600)
    wrong = UnitKeys(unit_keys.settings.model_copy(update={"pin_file": pin_file}), unit_keys.public)
    config = write_config(tmp_path, wrong, small_ca, free_port(), processes=4)
    command = [sys.executable, "-m", "timestamp", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == REPEAT_DOES_HARM and "HSM_PIN_REFUSED" in done.stderr and "Traceback" not in done.stderr
