"""An office for the workflow's tests: its use cases over real databases and a real gRPC signer side; and the whole service as a process."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.clock import FixedClock
from sealcore.hsm import softhsm
from sealcore.ids import client_uri, operator_uri, service_uri, uuid7
from sealcore.platform.config import TlsSettings, TokenSettings
from sealcore.platform.db import connect, write
from sealcore.platform.http_client import client_context
from sealcore.platform.migrate import scripts, upgrade
from sealcore.protocol.leaf import Placement
from sealcore.protocol.manifest import DocumentEntry, Manifest
from tests.pki import InfrastructureCa
from tests.support.ports import free_port
from tests.support.programs import program
from tests.workflow.signer_side import Human, SignerSide
from workflow.delivery.outbox import Outbox
from workflow.delivery.signer_link import SignerRegister
from workflow.directory import store as directory_store
from workflow.directory.model import Client, Person, Role, Unit
from workflow.forms import use_cases as forms
from workflow.forms.issuer import Issuer
from workflow.forms.kinds.documents import Documents
from workflow.forms.kinds.kind import Application
from workflow.forms.model import Form
from workflow.office import Bounds, Office
from workflow.principal import Principal, principal_of

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
OFFICE_BOUNDS = Bounds(service_uri("signer"), "OFFICE", 7 * 86_400, 366 * 86_400)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> InfrastructureCa:
    return InfrastructureCa(tmp_path_factory.mktemp("workflow-pki"))


@pytest.fixture(scope="session")
def signer_tls(ca: InfrastructureCa) -> TlsSettings:
    return ca.identity("signer", service_uri("signer"))


@pytest.fixture(scope="session")
def workflow_tls(ca: InfrastructureCa, tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    cache = tmp_path_factory.mktemp("workflow-crl") / "infrastructure.crl"
    cache.write_bytes(x509.load_der_x509_crl(ca.crl()).public_bytes(Encoding.PEM))
    identity = ca.identity("workflow", service_uri("workflow"))
    return identity.model_copy(update={"crl_urls": ("http://127.0.0.1:1/infrastructure.crl",), "crl_cache": cache})


@dataclass
class Desk:
    """The use cases at hand: an office, its people, and its clock."""

    office: Office
    clock: FixedClock
    signer: SignerSide
    outbox: Outbox
    issuer: Human
    client: Principal
    operator: Principal = field(default_factory=lambda: principal_of(operator_uri("desk")))

    def human(self, *roles: str, registered: bool = True) -> Human:
        """A person of the office, in the signer's register too unless told otherwise."""
        human = Human(*roles)
        person = Person(human.id, human.name, "OFFICE", frozenset(map(Role, roles)), human.spki)
        with write(self.office.engine) as connection:
            directory_store.add_person(connection, person)
        if registered:
            self.signer.state.register(human)
        return human

    def now(self) -> int:
        return self.office.now()

    def documents(self, count: int = 1) -> Documents:
        entries = tuple(DocumentEntry(f"contract {n}.pdf", bytes([n % 256]) * 32, 1000 + n, Placement()) for n in range(count))
        manifest = Manifest.build(entries)
        return Documents(entries, tuple(leaf.salt for leaf in manifest.leaves), manifest.root)

    def submit(self, seal: str, *, asked: Any = None, action: str = "seal", caller: Principal | None = None, **about: Any) -> Form:
        application = Application(seal, action, "A form", asked or self.documents(), **about)
        return forms.submit(self.office, caller or self.client, application)


@pytest.fixture
def signer(signer_tls: TlsSettings) -> Iterator[SignerSide]:
    side = SignerSide(signer_tls, free_port())
    side.start()
    yield side
    side.close()


@pytest.fixture
def desk(database_url: str, signer: SignerSide, workflow_tls: TlsSettings) -> Iterator[Desk]:
    clock = FixedClock(NOON)
    engine = connect(database_url, pool_size=16)
    upgrade(engine, scripts("workflow"))
    client = Client(uuid7(), "ERP", client_uri("erp"), "OFFICE")
    with write(engine) as connection:
        directory_store.add_unit(connection, Unit("OFFICE", "Office"))
        directory_store.add_client(connection, client)
    issuer = Human()
    signer.state.issuer_key = issuer.key.public_key()
    register = SignerRegister(signer.target, workflow_tls, clock, cache_s=0.0)
    office = Office(engine, register, Issuer(_SoftwareKey(issuer)), clock, OFFICE_BOUNDS)
    yield Desk(office, clock, signer, Outbox(engine, register), issuer, principal_of(client.uri))
    register.close()
    engine.dispose()


class _SoftwareKey:
    """An issuer's key outside a token, for the use cases; the service itself is tested with SoftHSM."""

    def __init__(self, human: Human) -> None:
        self.spki_der, self.public_key, self.sign = human.spki, human.key.public_key(), human.sign


GENERATE = """
import sys
from sealcore.platform.config import TokenSettings
from sealcore.hsm.token import Algorithm, Token
token = Token.open(TokenSettings.model_validate_json(sys.stdin.read()))
sys.stdout.buffer.write(token.generate("approval.issuer.1", Algorithm.P256).spki_der)
token.close()
"""


@pytest.fixture(scope="session")
def issuer_token(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenSettings, bytes]:
    """The workflow's SoftHSM token with the issuer's key, and that key's SPKI."""
    settings = softhsm.create(tmp_path_factory.mktemp("workflow-hsm") / "workflow", "workflow")
    made = subprocess.run([sys.executable, "-c", GENERATE], input=settings.model_dump_json().encode(), check=True, capture_output=True)
    return settings, made.stdout


@dataclass
class Running:
    """The workflow as a process of its own, over mTLS."""

    url: str
    config: Path
    ca: InfrastructureCa
    signer: SignerSide
    process: subprocess.Popen[str]
    log: Path

    def session(self, name: str, uri: str | None) -> httpx.Client:
        """An HTTP client that is ``uri``."""
        return httpx.Client(base_url=self.url, verify=client_context(self.ca.identity(name, uri)), trust_env=False, timeout=60)

    def operator(self) -> httpx.Client:
        return self.session("operator", operator_uri("desk"))

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(program("workflow", "--config", self.config), stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def enrol(self, operator: httpx.Client, human: Human) -> None:
        """Adds a person by REST."""
        key = base64.b64encode(human.spki).decode()
        body = {"id": human.id, "name": human.name, "roles": list(human.roles), "public_key": key}
        assert operator.post("/v1/people", json=body).status_code == 201


def configuration(path: Path, *, listen: int, tls: TlsSettings, token: TokenSettings, database: str, signer: str) -> Path:
    """Writes the service's TOML file."""
    assert tls.crl_cache is not None
    path.write_text(
        f'register_cache_s = 0\nsigner_target = "{signer}"\n[listen]\nport = {listen}\n[tls]\nkey_file = "{tls.key_file}"\ncertificate_file = "{tls.certificate_file}"\n'
        f'trust_file = "{tls.trust_file}"\ncrl_urls = ["{tls.crl_urls[0]}"]\ncrl_cache = "{tls.crl_cache}"\n[token]\nlabel = "{token.label}"\n'
        f'pin_file = "{token.pin_file}"\nsofthsm_conf = "{token.softhsm_conf}"\n[database]\nurl = "{database}"\n'
    )
    return path


Launch = Callable[[str], Running]


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    ca: InfrastructureCa,
    signer_tls: TlsSettings,
    workflow_tls: TlsSettings,
    issuer_token: tuple[TokenSettings, bytes],
) -> Iterator[Running]:
    """The service on SQLite with its signer side, shared by the tests of a module."""
    folder = tmp_path_factory.mktemp("running")
    side = SignerSide(signer_tls, free_port())
    side.start()
    listen = free_port()
    config = configuration(
        folder / "workflow.toml",
        listen=listen,
        tls=workflow_tls,
        token=issuer_token[0],
        database=f"sqlite:///{folder / 'workflow.db'}",
        signer=side.target,
    )
    service = Running(f"https://localhost:{listen}", config, ca, side, None, folder / "log")  # type: ignore[arg-type]
    service.start()
    yield service
    service.stop()
    side.close()
