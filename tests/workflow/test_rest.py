"""The workflow as a process of its own: REST over mTLS, a SoftHSM token, SQLite, and a signer side over gRPC."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, service_uri, uuid7
from sealcore.platform.config import TokenSettings
from sealcore.platform.http_client import client_context
from sealcore.protocol import token as tokens
from sealcore.protocol.canonical import b64url
from sealcore.protocol.json_objects import context_from_json
from sealcore.protocol.leaf import Certification, Placement
from sealcore.protocol.manifest import DocumentEntry, Manifest
from tests.pki import InfrastructureCa
from tests.support.programs import program
from tests.workflow.bodies import DOCUMENT, application, decision
from tests.workflow.conftest import Running
from tests.workflow.signer_side import Human
from vermilion.use_cases import acts
from workflow.web.limits import MOST_BODY_BYTES


@pytest.fixture(scope="module")
def operator(running: Running) -> httpx.Client:
    return running.operator()


@pytest.fixture(scope="module")
def client(running: Running, operator: httpx.Client) -> httpx.Client:
    assert operator.post("/v1/clients", json={"name": "ERP", "uri": client_uri("erp")}).status_code == 201
    return running.session("erp", client_uri("erp"))


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    body = answer.json()
    assert body["code"] == code
    assert body["way_out"]
    assert body["rule"]


def test_from_an_application_to_its_token(
    running: Running, operator: httpx.Client, client: httpx.Client, issuer_token: tuple[TokenSettings, bytes]
) -> None:
    seal = running.signer.state.add_seal(seal=1)
    approver = Human("approver", name="王芳")
    running.enrol(operator, approver)
    running.signer.state.register(approver)
    form = client.post("/v1/forms", json=application(seal)).json()
    answer = client.post(f"/v1/forms/{form['number']}/decisions", json=decision(form, approver))
    assert answer.status_code == 201
    assert answer.json() == {"number": form["number"], "state": "approved", "approvals": 1, "needed": 1, "applicant_signed": True}
    parsed = tokens.parse(client.get(f"/v1/forms/{form['number']}/token").json()["token"])
    tokens.verify_signature(parsed, load_der_public_key(issuer_token[1]))  # type: ignore[arg-type]
    assert parsed.claims.context == context_from_json(form["context"])
    shown = client.get(f"/v1/forms/{form['number']}").json()
    assert shown["documents"][0]["name"] == "合同 5.pdf"
    assert shown["documents"][0]["salt"] == DOCUMENT["salt"]
    assert shown["root"] == parsed.claims.covers.root.hex()  # type: ignore[union-attr]


@pytest.mark.parametrize("registered", ["final", "form-fill"])
def test_a_form_that_says_nothing_of_the_certification_gets_that_of_its_seal(
    running: Running, client: httpx.Client, registered: str
) -> None:
    state = running.signer.state
    seal = state.add_seal(seal=1)
    state.seals[seal].certification = registered
    default = Certification.of_word(registered)
    said = [{}, {"certification": None}, {"certification": 0}, {"certification": 1}, {"certification": 2}]
    expected = [default, default, *Certification]
    documents = [{**DOCUMENT, "salt": b64url(bytes([at]) * 16), "placement": placement} for at, placement in enumerate(said)]
    number = client.post("/v1/forms", json=application(seal, documents=documents)).json()["number"]
    shown = client.get(f"/v1/forms/{number}").json()
    assert [one["placement"]["certification"] for one in shown["documents"]] == expected
    entries = [DocumentEntry("", bytes.fromhex("ab" * 32), 7, Placement(certification=one)) for one in expected]
    manifest = Manifest.build(entries, salts=[bytes([at]) * 16 for at in range(len(said))])
    assert shown["root"] == manifest.root.hex(), "it is bound in what people sign"
    sealed_as = {one["id"]: one["certification"] for one in client.get("/v1/seals").json()["seals"]}
    assert sealed_as[seal] == registered


def test_a_root_that_leaves_the_certification_out_is_not_what_would_be_signed(running: Running, client: httpx.Client) -> None:
    seal = running.signer.state.add_seal(seal=1)
    manifest = Manifest.build([DocumentEntry("", bytes.fromhex("ab" * 32), 7, Placement())], salts=[bytes(16)])
    refused(client.post("/v1/forms", json=application(seal, root=manifest.root.hex())), 403, "PROOF_INVALID")


def test_fifty_applications_at_once_are_numbered_without_a_gap(running: Running, operator: httpx.Client, client: httpx.Client) -> None:
    seal = running.signer.state.add_seal(seal=1)
    assert operator.post("/v1/units", json={"code": "BULK", "name": "Bulk"}).status_code == 201
    body = {"name": "Bulk", "uri": client_uri("bulk"), "unit": "OFFICE", "units": ["BULK"]}
    assert operator.post("/v1/clients", json=body).json()["units"] == ["BULK", "OFFICE"]
    bulk = running.session("bulk", client_uri("bulk"))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: bulk.post("/v1/forms", json=application(seal, unit="BULK")), range(50)))
    years = {answer.json()["number"][5:9] for answer in answers}
    assert len(years) == 1
    assert sorted(answer.json()["number"][-6:] for answer in answers) == [f"{n:06d}" for n in range(1, 51)]


def test_lists_come_in_pages(running: Running, operator: httpx.Client, client: httpx.Client) -> None:
    seal = running.signer.state.add_seal(seal=1)
    numbers = [client.post("/v1/forms", json=application(seal)).json()["number"] for _ in range(5)]
    seen, before = [], ""
    while before is not None:
        page = client.get("/v1/forms", params={"limit": 2, "state": "applied", "before": before}).json()
        seen += [form["number"] for form in page["forms"]]
        before = page["next"]
    assert seen[:5] == numbers[::-1]
    assert len(seen) == len(set(seen))
    first = operator.get("/v1/people", params={"limit": 1}).json()
    assert len(first["people"]) <= 1


def test_who_calls_decides_what_may_be_called(running: Running, operator: httpx.Client, client: httpx.Client) -> None:
    service = running.session("verify", service_uri("verify"))
    nameless = running.session("nameless", None)
    for path in ("/v1/people", "/v1/clients", "/v1/units", "/v1/policies"):
        refused(client.get(path), 403, "PERMISSION_DENIED")
    refused(service.get("/v1/forms"), 403, "PERMISSION_DENIED")
    refused(nameless.get("/v1/forms"), 401, "UNAUTHENTICATED")
    seal = running.signer.state.add_seal(seal=1)
    refused(operator.post("/v1/forms", json=application(seal)), 403, "PERMISSION_DENIED")


def test_without_a_certificate_of_the_office_there_is_no_connection(running: Running, tmp_path: Path) -> None:
    stranger = InfrastructureCa(tmp_path).identity("erp", client_uri("erp"))
    ours = running.ca.identity("someone", client_uri("someone"))
    lying = stranger.model_copy(update={"trust_file": ours.trust_file})
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{running.url}/v1/forms", verify=client_context(lying), trust_env=False)
    import ssl

    bare = ssl.create_default_context(cafile=str(ours.trust_file))
    bare.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{running.url}/v1/forms", verify=bare, trust_env=False)


@pytest.mark.parametrize(
    "change",
    [
        {"seal": "not-an-id"},
        {"title": ""},
        {"documents": []},
        {"documents": [DOCUMENT | {"sha256": "AB" * 32}]},
        {"documents": [DOCUMENT | {"size_bytes": -1}]},
        {"documents": [DOCUMENT | {"salt": "short"}]},
        {"documents": [DOCUMENT | {"name": ""}]},
        {"documents": [DOCUMENT | {"placement": {"level": "B-LTA"}}]},
        {"documents": [DOCUMENT | {"placement": {"marks": [{"pages": [1, 0], "rect": [0, 0, 1, 1], "picture": "00" * 32}]}}]},
        {"unknown": 1},
        {"valid_s": 0},
        {"action": "destroy"},
    ],
)
def test_malformed_applications_name_what_is_wrong(running: Running, client: httpx.Client, change: dict[str, Any]) -> None:
    refused(client.post("/v1/forms", json=application(uuid7()) | change), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("sign", ["\u0000", "\u009b", "\u202e", "\u200b", "\u2028", "\u001b", "\u3164", "\u2066"])
def test_text_that_people_read_later_hides_nothing(running: Running, operator: httpx.Client, client: httpx.Client, sign: str) -> None:
    """Each member that ends before a reader's eyes; the answer names the sign by its code point."""
    seal, text, key = running.signer.state.add_seal(seal=1, resume=1), f"a{sign}b", base64.b64encode(Human().spki).decode()
    form = client.post("/v1/forms", json=application(seal)).json()["number"]
    stop = {"officer": uuid7(), "reason": text, "time": "2026-05-04T12:00:00Z", "signature": "AAAAAAAAAAAA"}
    rejection = {"person": uuid7(), "verdict": "reject", "time": 1, "signature": "AAAAAAAAAAAA", "reason": text}
    placed = [DOCUMENT | {"placement": {"texts": {name: text}}} for name in ("name", "reason", "location", "contact")]
    for caller, path, body in (
        (client, "/v1/forms", application(seal, title=text)),
        (client, "/v1/forms", application(seal, documents=[DOCUMENT | {"name": text}])),
        *((client, "/v1/forms", application(seal, documents=[one])) for one in placed),
        (client, "/v1/forms", {"seal": "", "action": "register", "title": "t", "act": {"change": "seal_add", "name": text}}),
        (client, "/v1/forms", {"seal": "", "action": "register", "title": "t", "act": {"change": "template_add", "fields": ["a", text]}}),
        (client, f"/v1/forms/{form}/decisions", rejection),
        (client, f"/v1/seals/{seal}/suspend", stop),
        (client, f"/v1/grants/{seal}/withdraw", stop),
        (operator, "/v1/people", {"name": text, "roles": ["approver"], "public_key": key}),
        (operator, "/v1/units", {"code": "ODD", "name": text}),
        (operator, "/v1/clients", {"name": text}),
        (operator, "/v1/refused/1/close", {"person": uuid7(), "reason": text}),
    ):
        answer = caller.post(path, json=body)
        refused(answer, 400, "TEXT_DECEPTIVE")
        assert f"U+{ord(sign):04X}" in answer.json()["reason"], path


@pytest.mark.parametrize("title", [" ", "   ", "\u00a0", "\u3000\u202f"], ids=["space", "spaces", "no-break", "wide"])
def test_a_title_is_not_blank(running: Running, client: httpx.Client, title: str) -> None:
    refused(client.post("/v1/forms", json=application(running.signer.state.add_seal(seal=1), title=title)), 400, "TEXT_DECEPTIVE")


class AtTheDesk:
    """The operator's calls, as the command line makes them."""

    def __init__(self, session: httpx.Client) -> None:
        self._session = session

    def get(self, path: str, **query: Any) -> Any:
        return self._session.get(path, params=query).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        return self._session.post(path, json=body).raise_for_status().json()

    def form(self, number: str) -> Any:
        return self.get(f"/v1/forms/{number}")


def test_an_act_is_gone_on_with_until_it_is_carried_out(running: Running, operator: httpx.Client) -> None:
    """Open, or approved and waiting for a signer that cannot take it yet: the same command files no second form."""
    desk: Any = AtTheDesk(operator)  # stands for the client of the command line
    state, act = running.signer.state, {"change": "client_stop", "client": client_uri(uuid7())}
    approver = Human("approver")
    running.enrol(operator, approver)
    state.register(approver)
    state.register_quorum, state.refuse_performs = 1, VermilionError(Code.REVOCATION_UNAVAILABLE, "no CRL")
    try:
        form = acts.apply(desk, "register", title="first", parameters=act)
        assert acts.apply(desk, "register", title="again", parameters=act)["number"] == form["number"]
        other = acts.apply(desk, "register", title="first", parameters={**act, "client": client_uri(uuid7())})
        assert other["number"] != form["number"]
        assert operator.post(f"/v1/forms/{form['number']}/decisions", json=decision(form, approver)).json()["state"] == "approved"
        assert acts.apply(desk, "register", title="again", parameters=act)["number"] == form["number"]
        operator.post(f"/v1/forms/{other['number']}/withdraw").raise_for_status()
        anew = acts.apply(desk, "register", title="first", parameters={**act, "client": other["context"]["covers"]["act"]["client"]})
        assert anew["number"] not in (form["number"], other["number"])
    finally:
        state.register_quorum, state.refuse_performs = 2, None


def test_what_is_not_json_or_too_large_is_refused(client: httpx.Client) -> None:
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"\\ud800": 1}'):
        refused(client.post("/v1/forms", content=body, headers={"content-type": "application/json"}), 400, "INVALID_ARGUMENT")
    refused(client.post("/v1/forms", content=b" " * (MOST_BODY_BYTES + 1)), 400, "INVALID_ARGUMENT")


def test_what_does_not_exist(client: httpx.Client) -> None:
    refused(client.get("/v1/forms/OFFICE-2026-999999"), 404, "NOT_FOUND")
    refused(client.get("/nothing"), 404, "NOT_FOUND")
    refused(client.get("/docs"), 404, "NOT_FOUND")
    wrong = client.delete("/v1/forms")
    refused(wrong, 405, "INVALID_ARGUMENT")
    assert wrong.headers["allow"]


def test_people_are_unique_and_policies_versioned(running: Running, operator: httpx.Client) -> None:
    human = Human("approver")
    running.enrol(operator, human)
    body = {"name": "Twin", "roles": ["approver"], "public_key": base64.b64encode(human.spki).decode()}
    refused(operator.post("/v1/people", json=body), 409, "CONFLICT")
    refused(operator.post("/v1/people", json=body | {"public_key": "AAAA"}), 400, "INVALID_ARGUMENT")
    refused(operator.post("/v1/people", json=body | {"unit": "NOWHERE"}), 404, "NOT_FOUND")
    policy = {"id": "two-eyes", "version": 1, "quorum": 0}
    assert operator.post("/v1/policies", json=policy).status_code == 201
    refused(operator.post("/v1/policies", json=policy), 409, "CONFLICT")
    assert operator.get("/v1/policies").json()["policies"] == [policy | {"seal": None, "action": None}]


def test_seals_and_stops_go_through_to_the_signer(running: Running, operator: httpx.Client, client: httpx.Client) -> None:
    from datetime import UTC, datetime

    from vermilion.client import people

    seal = running.signer.state.add_seal(seal=1, resume=2)
    officer = Human("officer")
    running.signer.state.register(officer)
    (shown,) = [one for one in client.get("/v1/seals").json()["seals"] if one["id"] == seal]
    assert shown["quorum"] == {"seal": 1, "resume": 2}
    statement, signature = people.stop("seal", seal, officer.id, "lost", key=officer, now=datetime.now(UTC))
    body = {"officer": officer.id, "reason": "lost", "time": statement.time, "signature": b64url(signature)}
    assert operator.post(f"/v1/seals/{seal}/suspend", json=body).json()["ledger_index"] == 70
    refused(operator.post(f"/v1/seals/{uuid7()}/suspend", json=body), 403, "DECISION_INVALID")
    refused(operator.post(f"/v1/grants/{seal}/withdraw", json=body), 403, "DECISION_INVALID")
    assert operator.get("/v1/grants").json() == {"grants": []}


def test_a_killed_service_comes_back_with_everything_and_stops_cleanly(running: Running, client: httpx.Client) -> None:
    seal = running.signer.state.add_seal(seal=1)
    form = client.post("/v1/forms", json=application(seal)).json()
    running.process.kill()
    running.process.wait()
    running.start()
    shown = client.get(f"/v1/forms/{form['number']}").json()
    assert shown["context"] == form["context"]
    assert running.stop() == 0
    running.start()


def test_no_pin_and_no_token_in_the_log(
    running: Running, operator: httpx.Client, client: httpx.Client, issuer_token: tuple[TokenSettings, bytes]
) -> None:
    seal, human = running.signer.state.add_seal(seal=0), Human("approver")
    running.enrol(operator, human)
    running.signer.state.register(human)
    form = client.post("/v1/forms", json=application(seal)).json()
    assert (form["state"], form["context"]["policy"]["quorum"]) == ("applied", 1), "nobody but an operator let this client in"
    client.post(f"/v1/forms/{form['number']}/decisions", json=decision(form, human))
    token = client.get(f"/v1/forms/{form['number']}/token").json()["token"]
    log = running.log.read_text()
    assert issuer_token[0].pin_file.read_text().strip() not in log
    assert token.split(".")[2] not in log
    command_line = Path(f"/proc/{running.process.pid}/cmdline").read_text()
    assert issuer_token[0].pin_file.read_text().strip() not in command_line


def test_a_service_that_cannot_start_says_why(running: Running, tmp_path: Path) -> None:
    for old, new, code in [
        ('signer_target = "', 'signer_targets = "', "CONFIGURATION_INVALID"),
        ('issuer_key_label = "', "", "HSM_KEY_MISSING"),
    ]:
        text = running.config.read_text().replace(old, new) if new else 'issuer_key_label = "no.such.key"\n' + running.config.read_text()
        config = tmp_path / "workflow.toml"
        config.write_text(text.replace("workflow.db", "other.db"))
        ended = subprocess.run(program("workflow", "--config", config), check=False, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1
        assert code in ended.stderr
        assert ended.stdout == ""


def test_a_seed_plants_what_is_missing_and_may_come_again(running: Running, tmp_path: Path) -> None:
    human, config, seed = Human("approver"), tmp_path / "workflow.toml", tmp_path / "seed.json"
    database = tmp_path / "seeded.db"
    original = running.config.read_text()
    config.write_text(original.replace(original.split("sqlite:///")[1].split('"')[0], str(database)))
    key = base64.b64encode(human.spki).decode()
    seed.write_text(
        json.dumps(
            {
                "units": [{"code": "DEMO", "name": "Demo"}],
                "people": [{"id": human.id, "name": "王芳", "unit": "DEMO", "roles": ["approver"], "public_key": key}],
                "clients": [{"id": uuid7(), "name": "ERP", "unit": "DEMO"}],
            }
        )
    )
    command = program("workflow.directory.seed", "--config", config, "--seed", seed)
    first, second = (json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(2))
    assert first == {"units": 1, "people": 1, "clients": 1, "policies": 0}
    assert second == {"units": 0, "people": 0, "clients": 0, "policies": 0}
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT name FROM people").fetchall() == [("王芳",)]
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (3,)
    seed.write_text('{"peoples": []}')
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1


def test_a_seed_names_everything_that_cannot_be_planted_and_plants_nothing(running: Running, tmp_path: Path) -> None:
    """A unit that is not there, a key or a URI that another holds, a policy that says something else: nothing vanishes in silence."""
    config, seed, database = tmp_path / "workflow.toml", tmp_path / "seed.json", tmp_path / "seeded.db"
    original = running.config.read_text()
    config.write_text(original.replace(original.split("sqlite:///")[1].split('"')[0], str(database)))
    command = program("workflow.directory.seed", "--config", config, "--seed", seed)

    def person(human: Human, name: str, unit: str) -> dict[str, Any]:
        key = base64.b64encode(human.spki).decode()
        return {"id": human.id, "name": name, "unit": unit, "roles": ["approver"], "public_key": key}

    known, twin, lost, also_lost = (Human("approver") for _ in range(4))
    client = {"id": uuid7(), "name": "ERP", "uri": client_uri("seeded"), "unit": "DEMO"}
    units = [{"code": "DEMO", "name": "Demo"}]
    policy = {"id": "eyes", "version": 1, "quorum": 2}
    seed.write_text(json.dumps({"units": units, "people": [person(known, "Known", "DEMO")], "clients": [client], "policies": [policy]}))
    subprocess.run(command, check=True, capture_output=True)
    twin.spki = known.spki
    faulty = {
        "units": [*units, {"code": "NEWUNIT", "name": "New"}],
        "people": [person(lost, "Lost", "NOWHERE"), person(also_lost, "Also", "ELSEWHERE"), person(twin, "Twin", "DEMO")],
        "clients": [client | {"id": uuid7()}, client | {"id": uuid7(), "uri": client_uri("lost"), "unit": "NOWHERE"}],
        "policies": [policy | {"quorum": 1}],
    }
    seed.write_text(json.dumps(faulty))
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "CONFIGURATION_INVALID" in ended.stderr
    named = (lost.id, "NOWHERE", also_lost.id, "ELSEWHERE", twin.id, faulty["clients"][0]["id"], faulty["clients"][1]["id"], "eyes@1")
    assert [name for name in named if name not in ended.stderr] == []
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (1,)
        assert connection.execute("SELECT code FROM units WHERE code = 'NEWUNIT'").fetchall() == []
