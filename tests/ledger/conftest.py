"""A signer's Ledger service over a real store, real tokens, and the log process and witness as processes of their own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, MetaData

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc
from sealcore.errors import Code
from sealcore.hsm import softhsm
from sealcore.platform import db
from sealcore.platform.config import TokenSettings
from sealcore.platform.ledger import store
from sealcore.platform.ledger.store import Draft
from sealcore.platform.rpc import server as rpc
from sealcore.protocol.ledger_entry import Entry, jti_hash, signature_hash
from sealcore.protocol.signed_note import VerifierKey, log_key, witness_key
from tests.conftest import REPOSITORY
from tests.pki import InfrastructureCa, NeverRevoked
from tests.support.programs import program
from tests.support.waiting import until

ORIGIN = "vermilion.test/ledger"
WITNESS = "vermilion.test/witness"
_RULES: rpc.Rules = {f"/vermilion.v1.Ledger/{name}": frozenset({"service:ledger"}) for name in ("Head", "Entries")}
_ENTRIES_A_MESSAGE = 100
_GENERATE = """
import json, sys
from sealcore.platform.config import TokenSettings
from sealcore.hsm.token import Algorithm, Token
token = Token.open(TokenSettings.model_validate_json(sys.argv[1]))
print(token.generate(sys.argv[2], Algorithm.ED25519).spki_der.hex())
token.close()
"""


class Books:
    """A signer's ledger: a real store in SQLite, of which there may be several (a restored one, a rewritten one)."""

    def __init__(self, file: Path) -> None:
        self.engine: Engine = db.connect(f"sqlite:///{file}")
        metadata = MetaData()
        store.tables(metadata)
        with db.write(self.engine) as connection:
            metadata.create_all(connection)

    def append(self, count: int, *, mark: str = "") -> None:
        """More entries; ``mark`` makes them differ from those of other books."""
        with db.write(self.engine) as connection:
            start = store.head(connection).size
            store.append(connection, [draft(number, mark) for number in range(start, start + count)])

    @property
    def size(self) -> int:
        with db.read(self.engine) as connection:
            return store.head(connection).size


def draft(number: int, mark: str = "") -> Draft:
    entry = Entry("seal", number, jti_hash=jti_hash(f"jti{mark}"), index=number, signature_hash=signature_of(number, mark))
    return Draft(entry, jti="jti")


def signature_of(number: int, mark: str = "") -> bytes:
    return signature_hash(f"signature {number}{mark}".encode())


class SignerDouble(ledger_pb2_grpc.LedgerServicer):
    """The signer's Ledger service over whichever books are open; counts what it is asked.

    answers     how many more requests for entries are answered; the next one waits. None: all
    is_waited   whether one waits
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self.asked = 0
        self.answers: int | None = None
        self.is_waited = False

    async def Head(self, request: Any, context: Any) -> Any:
        self.asked += 1
        with db.read(self.books.engine) as connection:
            head = store.head(connection)
        return ledger_pb2.LedgerHead(size=head.size, root=head.root)

    async def Entries(self, request: Any, context: Any) -> AsyncIterator[Any]:
        while self.answers == 0:
            self.is_waited = True
            await asyncio.sleep(0.01)
        self.is_waited = False
        self.answers = None if self.answers is None else self.answers - 1
        with db.read(self.books.engine) as connection:
            data = store.entries(connection, request.start, request.end)
        for at in range(0, len(data), _ENTRIES_A_MESSAGE):
            yield ledger_pb2.EntriesResponse(start=request.start + at, entries=data[at : at + _ENTRIES_A_MESSAGE])


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path / "signer.db")


@pytest.fixture
def ca(tmp_path: Path) -> InfrastructureCa:
    return InfrastructureCa(tmp_path / "pki")


@pytest.fixture
def signer(books: Books, ca: InfrastructureCa, free_port: Callable[[], int]) -> Iterator[tuple[SignerDouble, str]]:
    """The service and its target."""
    double, target = SignerDouble(books), f"127.0.0.1:{free_port()}"
    loop, started, done = asyncio.new_event_loop(), Future[None](), asyncio.Event()

    async def serve() -> None:
        server = rpc.server(ca.identity("signer", "https://vermilion.internal/service/signer"), _RULES, NeverRevoked(), target=target)
        ledger_pb2_grpc.add_LedgerServicer_to_server(double, server)
        await server.start()
        started.set_result(None)
        await done.wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.result(20)
    yield double, target
    loop.call_soon_threadsafe(done.set)
    thread.join()


@dataclass
class Process:
    """One of our services in a process of its own, with the settings file that it was started with."""

    module: str
    settings: Path
    url: str
    forked: bool = True
    running: subprocess.Popen[str] | None = None
    log: Path = field(init=False)
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.settings.with_suffix(".log")
        self.http = httpx.Client(base_url=self.url)

    def start(self) -> None:
        """Returns once it says ``ready``."""
        command = program(self.module) if self.forked else [sys.executable, "-m", self.module]
        with self.log.open("a") as errors:
            self.running = subprocess.Popen(
                [*command, "--config", self.settings],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=REPOSITORY,
            )
        assert self.running.stdout is not None
        assert self.running.stdout.readline() == "ready\n", self.log.read_text()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.running is not None
        self.running.terminate()
        return self._ended()

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.running is not None
        self.running.kill()
        self._ended()
        # What was killed is the nursery's stand-in; the process behind it follows a moment later.
        until(lambda: not self._listens())

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((httpx.URL(self.url).host, httpx.URL(self.url).port or 80)) == 0

    def _ended(self) -> int:
        assert self.running is not None and self.running.stdout is not None
        status = self.running.wait(30)
        self.running.stdout.close()
        self.running = None
        return status

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get("/healthz").json()
        return answer

    def wait(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first health report that meets the condition."""

        def met() -> dict[str, Any]:
            assert self.running is not None and self.running.poll() is None, self.log.read_text()
            now = self.health()
            return now if condition(now) else {}

        return until(met)

    def wait_for_code(self, code: Code) -> dict[str, Any]:
        """The first health report that names this fault."""
        return self.wait(lambda now: now.get("code") == code)


@dataclass
class House:
    """Log process and witness over one signer."""

    ledger: Process
    witness: Process
    public: Path
    state: Path
    witness_state: Path
    log_key: VerifierKey
    witness_key: VerifierKey

    def start(self) -> None:
        self.witness.start()
        self.ledger.start()

    def published(self, size: int) -> None:
        """Waits until the cosigned checkpoint covers ``size`` entries."""
        self.ledger.wait(lambda now: now["published_size"] == size and now["status"] == "ok")


def _toml(path: Path, values: dict[str, Any]) -> Path:
    """Settings as a file; a table for each nested mapping. JSON strings, numbers and lists are TOML too."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict | BaseModel)}
    lines = [f"{name} = {json.dumps(value, default=str)}" for name, value in plain.items()]
    for name, value in values.items():
        if name not in plain:
            table = value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
            lines += [f"[{name}]", *(f"{key} = {json.dumps(item, default=str)}" for key, item in table.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _token_with_key(folder: Path, label: str, key_label: str) -> tuple[TokenSettings, bytes]:
    settings = softhsm.create(folder, label)
    command = [sys.executable, "-c", _GENERATE, settings.model_dump_json(), key_label]
    return settings, bytes.fromhex(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout.strip())


@dataclass(frozen=True)
class Ground:
    """What the houses of a session share: a SoftHSM token with an Ed25519 key for each of both."""

    log: tuple[TokenSettings, bytes]
    witness: tuple[TokenSettings, bytes]


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    with ThreadPoolExecutor() as pool:
        log = pool.submit(_token_with_key, folder / "ledger-token", "ledger", "ledger.checkpoint.1")
        witness = pool.submit(_token_with_key, folder / "witness-token", "witness", "witness.cosign.1")
        yield Ground(log.result(), witness.result())


@pytest.fixture
def house(
    signer: tuple[SignerDouble, str], ca: InfrastructureCa, ground: Ground, tmp_path: Path, free_port: Callable[[], int]
) -> Iterator[House]:
    """Log process and witness, configured but not started, each with an Ed25519 key in a SoftHSM token of its own."""
    (token, log_spki), (witness_token, witness_spki) = ground.log, ground.witness
    log, witness = log_key(ORIGIN, log_spki), witness_key(WITNESS, witness_spki)
    public, state, witness_state = tmp_path / "public", tmp_path / "state", tmp_path / "witness-state"
    port, witness_port = free_port(), free_port()
    ledger_file = _toml(
        tmp_path / "ledger.toml",
        {
            "origin": ORIGIN, "signer_target": signer[1], "public_folder": public, "state_folder": state, "interval_s": 0.05,
            "listen": {"port": port}, "token": token, "tls": ca.identity("ledger", "https://vermilion.internal/service/ledger"),
            "witness": {"url": f"http://127.0.0.1:{witness_port}", "key": str(witness)},
        },
    )  # fmt: skip
    witness_file = _toml(
        tmp_path / "witness.toml",
        {"name": WITNESS, "state_folder": witness_state, "logs": [str(log)], "listen": {"port": witness_port}, "token": witness_token},
    )
    made = House(
        Process("ledger", ledger_file, f"http://127.0.0.1:{port}"),
        Process("ledger.witness", witness_file, f"http://127.0.0.1:{witness_port}"),
        public, state, witness_state, log, witness,
    )  # fmt: skip
    yield made
    for process in (made.ledger, made.witness):
        if process.running is not None:
            process.kill()
        process.http.close()
