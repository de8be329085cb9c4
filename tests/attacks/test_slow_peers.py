"""Peers that are many, or slow, against the services as an operator runs them: others are served beside them, and no log grows."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import httpx
import pytest

from protos.vermilion.v1 import verify_pb2, verify_pb2_grpc
from tests.support.ports import free_port
from tests.support.waiting import WITHIN_S, until
from tests.verify.office import Office

DESCRIPTORS: Final = 400  # of the service
HALF_OPEN: Final = 1100
MOST_LOG_BYTES: Final = 20_000
OTHER: Final = "127.0.0.2"


@dataclass
class Verifying:
    """``python -m verify`` with as few descriptors as some systems give."""

    process: subprocess.Popen[str]
    port: int
    rpc_port: int
    log: Path

    def verdict(self, source: str) -> str:
        """Of a file that is no document, asked for from this address."""
        transport = httpx.HTTPTransport(local_address=source)
        with httpx.Client(transport=transport, trust_env=False, timeout=WITHIN_S) as client:
            answer = client.post(f"http://127.0.0.1:{self.port}/v1/verify", files={"file": ("x.pdf", b"junk")})
            return str(answer.json()["verdict"])


@pytest.fixture(scope="module")
def verifying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifying]:
    tmp_path = tmp_path_factory.mktemp("verifying")
    office, port, rpc_port = Office(), free_port(), free_port()
    for name, authority in (("root", office.root), ("seals", office.seals)):
        (tmp_path / f"{name}.pem").write_bytes(authority.identity.pem)
    config, log = tmp_path / "verify.toml", tmp_path / "log"
    config.write_text(
        f"listen_http = {{ port = {port} }}\nlisten_rpc = {{ port = {rpc_port} }}\n"
        f'trust = {{ root_file = "{tmp_path / "root.pem"}", seals_file = "{tmp_path / "seals.pem"}" }}\n'
    )
    limited = f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS})); "
    command = [sys.executable, "-c", limited + "runpy.run_module('verify', run_name='__main__')", "--config", str(config)]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n", log.read_text()
        yield Verifying(process, port, rpc_port, log)
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def enough_descriptors(count: int) -> Iterator[None]:
    """For this process, which plays the strangers."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(before[0], count), before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def half_open(stack: contextlib.ExitStack, port: int, count: int, source: str = "127.0.0.1") -> None:
    """Connections on which nothing is ever sent."""
    for _ in range(count):
        stack.enter_context(socket.create_connection(("127.0.0.1", port), WITHIN_S, source_address=(source, 0)))


def test_half_open_connections_keep_nobody_out_and_fill_no_log(verifying: Verifying) -> None:
    with enough_descriptors(2 * HALF_OPEN), contextlib.ExitStack() as stack:
        half_open(stack, verifying.port, HALF_OPEN)
        assert verifying.verdict(OTHER) == "unreadable"
        assert verifying.verdict("127.0.0.1") == "unreadable"
        for host in range(3, 60):
            half_open(stack, verifying.port, 10, f"127.0.0.{host}")
        assert verifying.verdict(OTHER) == "unreadable"
    assert verifying.log.stat().st_size < MOST_LOG_BYTES


def test_what_is_no_http_fills_no_log(verifying: Verifying) -> None:
    for number in range(300):
        with socket.create_connection(("127.0.0.1", verifying.port), WITHIN_S) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(
                (b"\x16\x03\x01\x00\xff\x01 %d\r\n\r\n", b"GET / HTTP/9.9 %d\r\n\r\n", b"%d\x00\xff\r\n\r\n")[number % 3] % number
            )
            connection.recv(65536)
    assert verifying.verdict("127.0.0.1") == "unreadable"
    assert verifying.log.stat().st_size < MOST_LOG_BYTES


def test_without_descriptors_it_waits_for_some_and_goes_on(verifying: Verifying) -> None:
    pid = verifying.process.pid
    assert verifying.verdict(OTHER) == "unreadable"
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        half_open(stack, verifying.port, 40)
        until(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) > 40)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, before[1]))
        half_open(stack, verifying.port, 40)  # the kernel takes them, the service cannot
        until(lambda: "no connection can be accepted" in verifying.log.read_text())
        ticks = _cpu_ticks(pid)
        with socket.create_connection(("127.0.0.1", verifying.port), WITHIN_S) as waiting:
            waiting.settimeout(1.0)
            waiting.sendall(b"GET /root.pem HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            assert _cpu_ticks(pid) - ticks < 50, "a second of waiting is not half a second of work"
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            waiting.settimeout(WITHIN_S)
            assert waiting.recv(12) == b"HTTP/1.1 200"
    assert verifying.verdict(OTHER) == "unreadable"
    assert verifying.log.stat().st_size < MOST_LOG_BYTES


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_half_open_connections_to_grpc_keep_nobody_out_and_fill_no_log(verifying: Verifying) -> None:
    before = verifying.log.stat().st_size
    with enough_descriptors(2 * HALF_OPEN), contextlib.ExitStack() as stack:
        half_open(stack, verifying.rpc_port, HALF_OPEN)
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", verifying.rpc_port), WITHIN_S)).sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert verifying.verdict(OTHER) == "unreadable", "over HTTP"
        assert verify_over_grpc(verifying.rpc_port) == "unreadable"
    assert verifying.log.stat().st_size - before < MOST_LOG_BYTES


def verify_over_grpc(port: int) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = verify_pb2_grpc.VerifierStub(channel)
        answer = stub.Verify(iter([verify_pb2.VerifyRequest(name="x.pdf", data=b"junk")]), timeout=60, wait_for_ready=True)
        return str(answer.verdict)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Of HTTP/2 (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header, written out (RFC 7541 §6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


@pytest.mark.parametrize(
    ("name", "value"), [(b"grpc-timeout", b"soon"), (b"grpc-encoding", b"none of them"), (b"te", b"x"), (b"x-bin", b"!!"), (b"A", b"b")]
)
def test_headers_that_grpc_cannot_read_fill_no_log(verifying: Verifying, name: bytes, value: bytes) -> None:
    """A peer sends a hundred thousand of them a second."""
    path = field(b":path", b"/vermilion.v1.Verifier/Verify") + field(b":authority", b"x") + field(b"content-type", b"application/grpc")
    request = b"\x83\x86" + path + field(name, value)
    before = verifying.log.stat().st_size
    with socket.create_connection(("127.0.0.1", verifying.rpc_port), WITHIN_S) as peer, contextlib.suppress(ConnectionError):
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        for stream in range(1, 1000, 2):
            peer.sendall(frame(1, 5, stream, request) + frame(3, 0, stream, (8).to_bytes(4, "big")))
    assert verify_over_grpc(verifying.rpc_port) == "unreadable"
    assert verifying.log.stat().st_size - before < MOST_LOG_BYTES // 10


JUNK_TO_GRPC: Final = """
import socket, sys
from pathlib import Path
from sealcore.platform.rpc import server
from tests.pki import InfrastructureCa
from tests.serving import Serving
serving = Serving(InfrastructureCa(Path(sys.argv[1])).identity("ca", "https://vermilion.internal/service/ca"), {}, int(sys.argv[2]), id)
for number in range(100):
    with socket.create_connection(("127.0.0.1", int(sys.argv[2])), 60) as peer:
        peer.sendall((b"GET / HTTP/1.1", b"\\x16\\x03\\x01\\x00\\x05abcde")[number % 2] + b"\\r\\n\\r\\n")
        try:
            peer.recv(65536)
        except ConnectionError:
            pass
serving.close()
"""


def test_handshakes_that_fail_at_grpc_fill_no_log(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", JUNK_TO_GRPC, str(tmp_path), str(free_port())], stderr=subprocess.PIPE, timeout=WITHIN_S, check=True
    )
    assert len(done.stderr) < MOST_LOG_BYTES // 10, done.stderr[:1000]
