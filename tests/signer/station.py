"""A signer as a process of its own, and a client of it, for tests that go over the wire."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc

from protos.vermilion.v1 import ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.errors import VermilionError
from sealcore.ids import operator_uri, service_uri
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.error_messages import from_message
from sealcore.platform.rpc.errors import from_rpc_error
from tests.pki import InfrastructureCa
from tests.signer.office import UNIT, Approved, Office, pem, write_toml
from tests.support import programs
from tests.support.http_server import HttpServer
from vermilion.client.suffixes import Suffixes

TIMEOUT_S = 120
_IDENTITIES = threading.Lock()  # one writes an identity's files at a time
PROGRAMS = Path(__file__).parent / "programs"


class Crls:
    """Serves the CRLs of both issuing CAs over HTTP."""

    def __init__(self, infrastructure: InfrastructureCa, office: Office) -> None:
        crls = {"/infrastructure.crl": infrastructure.crl, "/seals.crl": office.ca.crl}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = crls[self.path]()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = HttpServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Station:
    """The configuration of one signer over one database; starts and stops the process."""

    folder: Path
    office: Office
    infrastructure: InfrastructureCa
    crls: Crls
    database_url: str
    port: int
    extra: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    forked: bool = True
    """Whether its programs come from the nursery, or are started as they are in service."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "signer.log"
        self.write_config()
        self._channels: dict[str, grpc.Channel] = {}

    def program(self, module: str) -> list[str]:
        """The command of one of the signer's programs."""
        if not self.forked:
            return [sys.executable, "-m", module]
        return programs.signer() if module == "signer" else programs.program(module)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "signer.toml"

    def write_config(self) -> None:
        """Writes the settings file."""
        office, pki = self.office, self.folder / "pki"
        pki.mkdir(exist_ok=True)
        assert office.token is not None
        (pki / "unit.pem").write_bytes(pem([office.unit_certificate]))
        (pki / "chain.pem").write_bytes(pem([office.ca.issuing, office.ca.root]))
        tls = self.infrastructure.identity("signer", service_uri("signer"))
        values: dict[str, Any] = {
            "listen": {"port": self.port},
            "token": office.token.model_dump(mode="json", exclude_none=True),
            "tls": {
                **tls.model_dump(mode="json", exclude_none=True),
                "crl_urls": [f"{self.crls.url}/infrastructure.crl"],
                "crl_cache": str(self.folder / "infrastructure.crl"),
            },
            "database": {"url": self.database_url},
            "timestamp": {
                "key_label": UNIT,
                "certificate_file": str(pki / "unit.pem"),
                "chain_file": str(pki / "chain.pem"),
                "policy_oid": "1.3.6.1.4.1.32473.1.1",
                "clock": "trust-machine",
            },
            "workers": {"bulk": 1, "interactive": 0},  # tests of more than one say so
            "trust": {"seals_chain_file": str(pki / "chain.pem"), "seals_crl_url": f"{self.crls.url}/seals.crl"},
        }
        for name, value in self.extra.items():
            values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
        # top-level scalars first: in TOML they would belong to the last table otherwise
        write_toml(self.config, dict(sorted(values.items(), key=lambda pair: isinstance(pair[1], dict))))

    def ceremony(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the signer's part of the ceremony."""
        return subprocess.run(
            [*self.program("signer.ceremony"), "--config", self.config, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def seed(self) -> None:
        """Seeds the register with the office."""
        attachments = self.folder / "attachments"
        attachments.mkdir(exist_ok=True)
        (attachments / "picture.pdf").write_bytes(self.office.picture)
        seed = self.folder / "seed.json"
        seed.write_text(json.dumps(self.office.seed()), "utf-8")
        done = self.ceremony("--seed", str(seed), "--attachments", str(attachments))
        assert done.returncode == 0, done.stderr

    def start(self, *program: str) -> None:
        """Starts the signer, or a program that builds it in another way, and waits until it serves."""
        command = [*([sys.executable, *program] if program else self.program("signer")), "--config", str(self.config)]
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", self.log.read_text("utf-8")

    def refused_start(self) -> str:
        """Starts a signer that must not come up; what it says."""
        done = subprocess.run(
            [*self.program("signer"), "--config", self.config],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 1, done.stderr
        return done.stderr

    def stop(self) -> int:
        """Ends the process as an operator would; its exit status."""
        self.forget_channels()
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(TIMEOUT_S)
        self._forget_process()
        return status

    def died(self) -> int:
        """Waits for a process that kills itself; its exit status."""
        assert self.process is not None
        status = self.process.wait(TIMEOUT_S)
        self._forget_process()
        return status

    def _forget_process(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None

    @contextlib.contextmanager
    def running(self, *program: str) -> Iterator[Station]:
        """The signer, running."""
        self.start(*program)
        try:
            yield self
        finally:
            self.stop()

    def identity(self, uri: str) -> TlsSettings:
        """An mTLS identity."""
        return self.infrastructure.identity(hashlib.sha256(uri.encode()).hexdigest()[:16], uri)

    def channel(self, uri: str) -> grpc.Channel:
        """A channel under an identity."""
        with _IDENTITIES:
            if uri not in self._channels:
                self._channels[uri] = channel(f"127.0.0.1:{self.port}", self.identity(uri))
                grpc.channel_ready_future(self._channels[uri]).result(TIMEOUT_S)  # a busy machine shakes hands slowly
            return self._channels[uri]

    def forget_channels(self) -> None:
        """Closes every connection; the next call opens a new one."""
        for one in self._channels.values():
            one.close()
        self._channels.clear()

    def signer(self, uri: str | None = None) -> Any:
        """The Signer service as a client."""
        return signer_pb2_grpc.SignerStub(self.channel(uri or self.office.client))

    def register(self, uri: str | None = None) -> Any:
        """The Register service as an operator."""
        return signer_pb2_grpc.RegisterStub(self.channel(uri or operator_uri("test")))

    def ledger(self, uri: str) -> Any:
        """The Ledger service."""
        return ledger_pb2_grpc.LedgerStub(self.channel(uri))

    def seal(self, approved: Approved, place: int = 0, *, uri: str | None = None, item: signer_pb2.Item | None = None) -> signer_pb2.Sealed:
        """One document by the unary call; raises the typed error."""
        request = signer_pb2.SealRequest(token=approved.token, item=item or approved.items[place])
        return typed(lambda: self.signer(uri).Seal(request, timeout=TIMEOUT_S)).sealed

    def stream(self, token: str, items: Sequence[signer_pb2.Item], *, a_message: int = 4) -> Results:
        """A batch over a stream; raises the typed error when the stream as a whole fails."""
        return self.exchange(stream_messages(token, items, a_message))

    def exchange(self, messages: Iterable[signer_pb2.SealStreamRequest], *, uri: str | None = None) -> Results:
        """Sends ``messages``; everything that came back."""
        return typed(lambda: Results.collect(self.signer(uri).SealStream(iter(messages), timeout=TIMEOUT_S)))


@dataclass
class Results:
    """What came back on a stream, by index."""

    sealed: dict[int, signer_pb2.Sealed] = field(default_factory=dict)
    refused: dict[int, VermilionError] = field(default_factory=dict)
    suffixes: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def collect(cls, responses: Iterable[signer_pb2.SealStreamResponse]) -> Results:
        """All results of a stream."""
        results = cls()
        for response in responses:
            results.take(response)
        return results

    def take(self, response: signer_pb2.SealStreamResponse) -> None:
        """One message of results."""
        if response.WhichOneof("kind") == "suffix":
            chunk = response.suffix
            assert chunk.offset == len(self.suffixes[chunk.index])
            self.suffixes[chunk.index] += chunk.data
            return
        suffixes = Suffixes()
        suffixes.take(response.results.parts)
        for sealed in response.results.sealed:
            assert sealed.index not in self.sealed, "one result for each item"
            self.sealed[sealed.index] = sealed
            self.suffixes[sealed.index] = suffixes.whole(sealed)
        for refused in response.results.refused:
            assert refused.index not in self.refused, "one result for each item"
            self.refused[refused.index] = from_message(refused.error)


def stream_messages(token: str, items: Sequence[signer_pb2.Item], a_message: int = 4) -> Iterator[signer_pb2.SealStreamRequest]:
    """The messages of a stream: the token, then items, several a message."""
    yield signer_pb2.SealStreamRequest(open=signer_pb2.SealStreamRequest.Open(token=token))
    for start in range(0, len(items), a_message):
        yield signer_pb2.SealStreamRequest(items=signer_pb2.SealStreamRequest.Items(items=items[start : start + a_message]))


def typed(call: Any) -> Any:
    """The call's answer, or the typed error behind its failure."""
    try:
        return call()
    except grpc.RpcError as fault:
        raise from_rpc_error(fault) from None
