"""`vermilion seals`: what seals there are, and stopping and resuming them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from protos.vermilion.v1 import signer_pb2
from sealcore.approvals.decision import MOST_PERSONS
from vermilion import acts
from vermilion.cli import common, deciding
from vermilion.cli.common import DEFAULT, As, AsJson, Reason, Several, State, find_seal, here, read_file
from vermilion.messages import text
from vermilion.people_token import PeopleToken
from vermilion.terminal import emit_json, say, shortened, show_pairs, show_table

app = typer.Typer(help=text("help.seals"))
Seal = Annotated[str, typer.Argument(metavar="SEAL", help=text("argument.seal"))]


class Certifies(StrEnum):
    """What a seal certifies where a form does not say otherwise."""

    FINAL = "final"
    FORM_FILL = "form-fill"


@app.command("list", help=text("help.seals_list"))
def list_seals(state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).registry() as registry:
        found = registry.seals()
    if as_json:
        emit_json([_as_json(seal) for seal in found])
        return
    rows = [[seal.kind, seal.state, seal.algorithm, _quorum(seal), seal.certification, seal.name, seal.id] for seal in found]
    show_table(["kind", "state", "algorithm", "quorum", "certification", "owner", "id"], rows, empty="seals.none")


@app.command("show", help=text("help.seals_show"))
def show_seal(seal: Seal, state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).registry() as registry:
        found = find_seal(registry, seal)
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
    with office.registry() as registry:
        found = find_seal(registry, seal)
        with office.desk() as desk:
            officer = acts.officer_id(office.office, desk, person)
        with PeopleToken.open(office.layout.token_settings("people")) as token:
            answer = acts.stop(registry, token, "seal", found.id, officer=officer, reason=reason, now=datetime.now(UTC))
    say("seals.suspended", kind=found.kind, index=answer.ledger_index)


@app.command("resume", help=text("help.seals_resume"))
def resume(seal: Seal, persons: Several = None, state: State = DEFAULT) -> None:
    office = here(state)
    with office.registry() as registry:
        found = find_seal(registry, seal)
    with office.desk() as desk:
        form = acts.apply(desk, "resume", seal=found.id, title=text("seals.resume_title", kind=found.kind))
        done = deciding.carry_out(office, desk, form, persons)
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
    office = here(state)
    with office.registry() as registry:
        found = find_seal(registry, seal)
    rules = {rule.action: rule.least_persons for rule in found.quorum} | {action: least}
    parameters = {"change": "seal_quorum", "id": found.id, "quorum": [f"{name}:{count}" for name, count in rules.items()]}
    with office.desk() as desk:
        title = text("seals.quorum_title", kind=found.kind, action=action, least=least)
        form = acts.apply(desk, "register", title=title, parameters=parameters)
        done = deciding.carry_out(office, desk, form, persons)
    if done is not None:
        say("seals.quorum_set", kind=found.kind, action=action, least=least, number=form["number"], index=done["ledger_index"])


@app.command("picture", help=text("help.seals_picture"))
def picture(
    seal: Seal,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text("argument.picture"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office, content = here(state), read_file(file)
    with office.registry() as registry:
        found = find_seal(registry, seal)
    digest = hashlib.sha256(content).hexdigest()
    parameters = {"change": "seal_picture_add", "id": found.id, "picture": digest}
    with office.desk() as desk:
        title = text("seals.picture_title", kind=found.kind, file=file.name)
        form = acts.apply(desk, "register", title=title, parameters=parameters, files=[content])
        done = deciding.carry_out(office, desk, form, persons)
    if done is not None:
        say("seals.picture_added", kind=found.kind, picture=digest, number=form["number"], index=done["ledger_index"])


@app.command("certification", help=text("help.seals_certification"))
def certification(
    seal: Seal,
    certifies: Annotated[Certifies, typer.Argument(metavar="final|form-fill", help=text("option.seal_certification"))],
    persons: Several = None,
    state: State = DEFAULT,
) -> None:
    office = here(state)
    with office.registry() as registry:
        found = find_seal(registry, seal)
    parameters = {"change": "seal_certification", "id": found.id, "certification": certifies.value}
    with office.desk() as desk:
        title = text("seals.certification_title", kind=found.kind, certification=certifies)
        form = acts.apply(desk, "register", title=title, parameters=parameters)
        done = deciding.carry_out(office, desk, form, persons)
    if done is not None:
        told = {"kind": found.kind, "certification": certifies, "number": form["number"], "index": done["ledger_index"]}
        say("seals.certification_set", **told)


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
