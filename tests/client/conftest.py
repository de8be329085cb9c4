"""A signer and a workflow as real processes, and people, for tests of the client library."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from protos.vermilion.v1 import ledger_pb2
from sealcore.hsm import softhsm
from sealcore.ids import operator_uri, service_uri, uuid7
from sealcore.platform.config import TlsSettings
from sealcore.protocol.canonical import b64url
from sealcore.protocol.ledger_entry import Entry
from tests.pki import InfrastructureCa
from tests.signer.office import Office as Staff
from tests.signer.office import Person, document, make_keys, spki
from tests.signer.station import Crls, Station
from tests.support.once import copied, once
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.waiting import until
from tests.workflow.conftest import GENERATE, configuration
from vermilion.client import Document, Form, Office, people

BRIEF = Document("brief.pdf", document("Brief"))


@dataclass
class House:
    """Signer and workflow at work; ``office`` speaks as the client."""

    staff: Staff
    station: Station
    workflow_url: str
    workflow_monitoring: str
    tls: TlsSettings
    operator_tls: TlsSettings
    office: Office
    brief: Form = field(init=False)
    """An approved form over ``BRIEF`` that expires a few seconds after the start."""

    def seal(self, kind: str = "contract") -> str:
        return self.staff.seals[kind].id

    def decide(self, form: Form, *persons: Person, verdict: Any = "approve", reason: str = "") -> None:
        """People decide, each with their own key."""
        for person in persons:
            decision = people.decide(form.context, person.id, verdict, person, now=datetime.now(UTC))
            self.office.decide(form.number, decision, reason)

    def approved(self, documents: list[Document], **about: Any) -> Form:
        """A form over ``documents`` that two people approved."""
        form = self.office.apply(self.seal(), documents, title="Contracts", **about)
        self.decide(form, self.staff.bo, self.staff.chen)
        return self.office.wait_approved(form.number, timeout_s=30)

    def kill_signer(self) -> None:
        """Returns once nobody listens at its port: what is killed at first is what stands for it (``tests/support/stub.py``)."""
        assert self.station.process is not None
        self.station.process.kill()
        self.station.process.wait()
        until(lambda: not self._listens())

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.station.port)).close()
        except OSError:
            return False
        return True

    def seal_entries(self, number: str) -> int:
        """How many entries of sealed documents the ledger has for a form."""
        stub = self.station.ledger(operator_uri("test"))
        found = stub.Find(ledger_pb2.FindRequest(form=number), timeout=30).entries
        return sum(str(Entry.decode(one.entry).kind) == "seal" for one in found)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    ca, staff = InfrastructureCa(folder / "pki"), Staff.in_softhsm(copied(once(tmp_path_factory, "signer", make_keys), folder / "staff"))
    crls = Crls(ca, staff)
    token = softhsm.create(folder / "hsm" / "workflow", "workflow")
    made = subprocess.run([sys.executable, "-c", GENERATE], input=token.model_dump_json().encode(), check=True, capture_output=True)
    station = Station(folder / "signer", staff, ca, crls, f"sqlite:///{folder / 'signer.db'}", free_port())
    seed = staff.seed()
    seed["issuers"].append(b64url(made.stdout))
    staff.seed = lambda: seed  # type: ignore[method-assign]
    station.seed()
    listen = free_port()
    workflow_tls = ca.identity("workflow", service_uri("workflow")).model_copy(
        update={"crl_urls": (f"{crls.url}/infrastructure.crl",), "crl_cache": folder / "workflow.crl"}
    )
    config = configuration(
        folder / "workflow.toml",
        listen=listen,
        tls=workflow_tls,
        token=token,
        database=f"sqlite:///{folder / 'workflow.db'}",
        signer=f"127.0.0.1:{station.port}",
    )
    monitoring = free_port()
    config.write_text(f"{config.read_text()}[metrics]\nport = {monitoring}\n")
    _plant(folder, config, staff)
    log = (folder / "workflow.log").open("w")
    with station.running():
        process = subprocess.Popen(program("workflow", "--config", config), stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", (folder / "workflow.log").read_text()
        url, tls = f"https://localhost:{listen}", ca.identity("erp", staff.client)
        with Office(url, f"127.0.0.1:{station.port}", tls) as office:
            house = House(staff, station, url, f"http://127.0.0.1:{monitoring}", tls, ca.identity("desk", operator_uri("desk")), office)
            house.brief = house.approved([BRIEF], valid_s=8)
            yield house
        process.terminate()
        assert process.wait(30) == 0
    crls.close()
    log.close()


def _plant(folder: Path, config: Path, staff: Staff) -> None:
    def entry(person: Person, name: str, roles: list[str]) -> dict[str, Any]:
        key = base64.b64encode(spki(person.key.public_key())).decode()
        return {"id": person.id, "name": name, "unit": "TEST", "roles": roles, "public_key": key}

    seed = folder / "workflow-seed.json"
    seed.write_text(
        json.dumps(
            {
                "units": [{"code": "TEST", "name": "Test"}],
                "people": [
                    entry(staff.ada, "Ada", ["applicant", "approver"]),
                    entry(staff.bo, "Bo", ["approver"]),
                    entry(staff.chen, "陈", ["approver"]),
                    entry(staff.dai, "Dai", ["officer"]),
                ],
                "clients": [{"id": uuid7(), "name": "ERP", "uri": staff.client, "unit": "TEST"}],
            }
        )
    )
    subprocess.run(program("workflow.directory.seed", "--config", config, "--seed", seed), check=True, capture_output=True)


@pytest.fixture
def papers(tmp_path: Path) -> list[Document]:
    """Forty small documents in a folder."""
    folder = tmp_path / "papers"
    folder.mkdir()
    for number in range(40):
        (folder / f"合同 {number:02d}.pdf").write_bytes(document(f"Contract {number}"))
    return [Document(path.name, path) for path in sorted(folder.iterdir())]


class Cutter:
    """A TCP relay in front of a server that cuts each connection after so many bytes from the server, until it has cut so often."""

    def __init__(self, port: int, *, after_bytes: int, times: int) -> None:
        self._port, self._after, self.left = port, after_bytes, times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._relay, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, True), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, from_server: bool) -> None:
        passed = 0
        try:
            while data := source.recv(4096):
                passed += len(data)
                if from_server and self.left > 0 and passed > self._after:
                    self.left -= 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
