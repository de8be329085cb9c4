"""`vermilion seals`: what seals there are, and stopping and resuming them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protos.vermilion.v1 import signer_pb2
from sealcore.ids import uuid7
from sealcore.protocol.canonical import b64url
from sealcore.protocol.decision import MOST_PERSONS
from vermilion.cli import common, deciding
from vermilion.cli.common import DEFAULT, As, AsJson, Here, Reason, Several, State, find_seal, here, read_certificates, read_file
from vermilion.messages import text
from vermilion.terminal import emit_json, say, shortened, show_pairs, show_table
from vermilion.use_cases import acts
from vermilion.use_cases.people_token import PeopleToken

app = typer.Typer(help=text("help.seals"))
USUAL_QUORUMS = ("seal:2", "resume:2", "revoke:2", "grant-untemplated:2")
Seal = Annotated[str, typer.Argument(metavar="SEAL", help=text("argument.seal"))]


class Content(StrEnum):
    """What is done with documents that can change their look, or would lose PDF/A or PDF/UA."""

    REPORT = "report"
    STRICT = "strict"


class Certifies(StrEnum):
    """What a seal certifies where a form does not say otherwise."""

    FINAL = "final"
    FORM_FILL = "form-fill"


@app.command("list", help=text("help.seals_list"))
def list_seals(state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).signer() as signer:
        found = signer.seals()
    if as_json:
        emit_json([_as_json(seal) for seal in found])
        return
    rows = [[seal.kind, seal.state, seal.algorithm, _quorum(seal), seal.certification, seal.name, seal.id] for seal in found]
    show_table(["kind", "state", "algorithm", "quorum", "certification", "owner", "id"], rows, empty="seals.none")


@app.command("show", help=text("help.seals_show"))
def show_seal(seal: Seal, state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).signer() as signer:
        found = find_seal(signer, seal)
    if as_json:
        emit_json(_as_json(found))
        return
    certificate = x509.load_der_x509_certificate(found.certificate)
    show_pairs(
        [
            (text("column.id"), found.id),
            (text("column.kind"), found.kind),
            (text("column.owner"), found.name),
            (text("column.state"), f"{found.state} · {text('seals.epoch', epoch=found.epoch)}"),
            (text("column.algorithm"), found.algorithm),
            (text("column.quorum"), _quorum(found)),
            (text("column.content"), found.content_policy),
            (text("column.certification"), common.certification(found.certification)),
            (text("column.key"), found.spki_sha256.hex()),
            (text("column.certificate"), certificate.subject.rfc4514_string()),
            (text("column.until"), certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%SZ")),
            (text("column.pictures"), " ".join(shortened(one.hex()) for one in found.picture_sha256)),
        ]
    )


@app.command("suspend", help=text("help.seals_suspend"))
def suspend(seal: Seal, person: As, reason: Reason, state: State = DEFAULT) -> None:
    office = here(state)
    with office.signer() as signer:
        found = find_seal(signer, seal)
        with office.workflow() as workflow:
            officer = acts.officer_id(office.office, workflow, person)
        with PeopleToken.open(office.layout.token_settings("people")) as token:
            answer = acts.stop(signer, token, "seal", found.id, officer=officer, reason=reason, now=datetime.now(UTC))
    say("seals.suspended", kind=found.kind, index=answer.ledger_index)


@app.command("resume", help=text("help.seals_resume"))
def resume(seal: Seal, persons: Several = None, state: State = DEFAULT) -> None:
    office = here(state)
    with office.signer() as signer:
        found = find_seal(signer, seal)
    with office.workflow() as workflow:
        form = acts.apply(workflow, "resume", seal=found.id, title=text("seals.resume_title", kind=found.kind))
        done = deciding.carry_out(office, workflow, form, persons)
    if done is not None:
        say("seals.resumed", kind=found.kind, number=form["number"], index=done["ledger_index"])


@app.command("quorum", help=text("help.seals_quorum"))
def quorum(
    seal: Seal,
    action: Annotated[str, typer.Option("--action", help=text("option.quorum_action"))],
    least: Annotated[int, typer.Option("--least", min=1, max=MOST_PERSONS, help=text("option.quorum_least"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office, found = _found(state, seal)
    rules = {rule.action: rule.least_persons for rule in found.quorum} | {action: least}
    parameters = {"change": "seal_quorum", "id": found.id, "quorum": [f"{name}:{count}" for name, count in rules.items()]}
    _change(office, found, parameters, persons, what="quorum", action=action, least=least)


@app.command("policy", help=text("help.seals_policy"))
def policy(
    seal: Seal,
    action: Annotated[str, typer.Option("--action", help=text("option.quorum_action"))],
    least: Annotated[int, typer.Option("--least", min=0, max=MOST_PERSONS, help=text("option.policy_least"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office, found = _found(state, seal)
    identifier = f"{found.kind}-{action}"
    with office.workflow() as workflow:
        versions = [one["version"] for one in workflow.get("/v1/policies")["policies"] if one["id"] == identifier]
    parameters = {"change": "policy_add", "id": identifier, "version": max(versions, default=0) + 1, "quorum": least}
    _change(office, found, {**parameters, "seal": found.id, "action": action}, persons, what="policy", action=action, least=least)


@app.command("picture", help=text("help.seals_picture"))
def picture(
    seal: Seal,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("argument.picture"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    content, (office, found) = read_file(file), _found(state, seal)
    digest = hashlib.sha256(content).hexdigest()
    parameters = {"change": "seal_picture_add", "id": found.id, "picture": digest}
    _change(office, found, parameters, persons, what="picture", files=[content], picture=digest, file=file.name)


@app.command("certification", help=text("help.seals_certification"))
def certification(
    seal: Seal,
    certifies: Annotated[Certifies, typer.Argument(metavar="final|form-fill", help=text("option.seal_certification"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office, found = _found(state, seal)
    parameters = {"change": "seal_certification", "id": found.id, "certification": certifies.value}
    _change(office, found, parameters, persons, what="certification", certification=certifies)


@app.command("content", help=text("help.seals_content"))
def content(
    seal: Seal,
    policy: Annotated[Content, typer.Argument(metavar="report|strict", help=text("option.seal_content"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office, found = _found(state, seal)
    parameters = {"change": "seal_content", "id": found.id, "content_policy": policy.value}
    _change(office, found, parameters, persons, what="content", policy=policy)


@app.command("retire", help=text("help.seals_retire"))
def retire(seal: Seal, persons: Several = None, state: State = DEFAULT) -> None:
    office, found = _found(state, seal)
    _change(office, found, {"change": "seal_retire", "id": found.id}, persons, what="retire")


@app.command("add", help=text("help.seals_add"))
def add(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=text("argument.seal_kind"))],
    *,
    label: Annotated[str, typer.Option("--label", metavar="KEY", help=text("option.seal_label"))],
    certificate: Annotated[Path, typer.Option("--certificate", metavar="CHAIN.pem", help=text("option.seal_chain"))],
    pictures: Annotated[list[Path], typer.Option("--picture", metavar="FILE", help=text("argument.picture"))],
    quorums: Annotated[list[str] | None, typer.Option("--quorum", metavar="ACTION:N", help=text("option.seal_quorums"))] = None,
    name: Annotated[str | None, typer.Option("--name", help=text("option.seal_name"))] = None,
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office, files = here(state), [read_file(one) for one in pictures]
    leaf, *chain = (b64url(one.public_bytes(Encoding.DER)) for one in read_certificates(certificate))
    parameters = {
        "change": "seal_add",
        "id": uuid7(),
        "name": name or office.office.name,
        "kind": kind,
        "key_label": label,
        "certificate": leaf,
        "chain": chain,
        "pictures": [hashlib.sha256(one).hexdigest() for one in files],
        "quorum": list(quorums or USUAL_QUORUMS),
    }
    title = text("seals.add_title", kind=kind, name=parameters["name"])
    deciding.say_done("seals.add_done", deciding.register(office, title, parameters, persons, files=files), kind=kind, id=parameters["id"])


def _found(state: Path, seal: str) -> tuple[Here, signer_pb2.SealRecord]:
    office = here(state)
    with office.signer() as signer:
        return office, find_seal(signer, seal)


def _change(
    office: Here,
    found: signer_pb2.SealRecord,
    parameters: Mapping[str, Any],
    persons: list[str] | None,
    *,
    what: str,
    files: Sequence[bytes] = (),
    **words: Any,
) -> None:
    """An act about a seal; ``what`` names the catalogue's texts for its title and its end."""
    title = text(f"seals.{what}_title", kind=found.kind, **words)
    deciding.say_done(f"seals.{what}_done", deciding.register(office, title, parameters, persons, files=files), kind=found.kind, **words)


def _quorum(seal: signer_pb2.SealRecord) -> str:
    return " · ".join(f"{rule.action} {rule.least_persons}" for rule in seal.quorum)


def _as_json(seal: signer_pb2.SealRecord) -> Any:
    return {
        "id": seal.id,
        "kind": seal.kind,
        "owner": seal.name,
        "state": seal.state,
        "epoch": seal.epoch,
        "algorithm": seal.algorithm,
        "quorum": {rule.action: rule.least_persons for rule in seal.quorum},
        "content_policy": seal.content_policy,
        "certification": seal.certification,
        "spki_sha256": seal.spki_sha256.hex(),
        "pictures": [one.hex() for one in seal.picture_sha256],
        "certificate_not_after": x509.load_der_x509_certificate(seal.certificate).not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
