"""`vermilion clients list`, `remove`: which business systems there are, how they stand, and the end of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from ca.revocation.change import Change, Kind
from sealcore.errors import Code, VermilionError
from vermilion.cli import client_names
from vermilion.cli.common import DEFAULT, AsJson, Here, State, here
from vermilion.messages import text
from vermilion.operation.client_renewal import client_bundles
from vermilion.remote.ca_client import CaClient
from vermilion.terminal import emit_json, say, show_table

Record = Any  # of a certificate, as the CA lists it
PROFILE = "client"
IN_FORCE = ("recorded", "issued", "held")
REASON = "cessationOfOperation"
FILES = ("key.pem", "cert.pem", "trust.pem")


def list_clients(
    removed: Annotated[bool, typer.Option("--removed", help=text("option.clients_removed"))] = False,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    with office.workflow() as workflow:
        found = [one for one in client_names.every(workflow) if one["active"] or removed]
    certificates = _certificates(office)
    told = [{**one, "state": _state(one, certificates), "until": _until(certificates.get(one["uri"], []))} for one in found]
    if as_json:
        emit_json(told)
        return
    rows = [[one["name"], ", ".join(one["units"]), text(f"clients.{one['state']}"), one["until"] or "–", one["id"]] for one in told]
    show_table(["client", "units", "state", "until", "id"], rows, empty="clients.none")


def remove(client: Annotated[str, typer.Argument(metavar="CLIENT", help=text("argument.client"))], state: State = DEFAULT) -> None:
    office = here(state)
    with office.workflow() as workflow:
        found = client_names.find(workflow, client)
        workflow.post(f"/v1/clients/{found['id']}/remove", {})
    with CaClient(office.layout, office.office) as authority:  # again after a stop in the middle: what is revoked stays so
        revoked = [_revoke(authority, one) for one in _in_force(_certificates(office).get(found["uri"], []))]
    _clear(office, found["uri"])
    say("clients.removed", name=found["name"], serials=", ".join(revoked) or text("clients.no_certificate"))


def _revoke(authority: CaClient, record: Record) -> str:
    serial = int.from_bytes(record.serial, "big")
    authority.change(Change(Kind.REVOKE, record.issuer, serial, REASON))
    return f"{serial:x}"


def _certificates(office: Here) -> dict[str, list[Record]]:
    """URI → its certificates, as the CA lists them."""
    found: dict[str, list[Record]] = {}
    with CaClient(office.layout, office.office) as authority:
        for record in authority.certificates(PROFILE):
            found.setdefault(_uri(x509.load_der_x509_certificate(record.certificate)), []).append(record)
    return found


def _uri(certificate: x509.Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), ""))


def _in_force(records: list[Record]) -> list[Record]:
    return [one for one in records if one.state in IN_FORCE and one.certificate]


def _state(client: Any, certificates: dict[str, list[Record]]) -> str:
    if not client["active"]:
        return "is_removed"
    if not client["approved"]:
        return "is_waiting"
    return "is_in" if _in_force(certificates.get(client["uri"], [])) else "is_uncertified"


def _until(records: list[Record]) -> str | None:
    ends = [x509.load_der_x509_certificate(one.certificate).not_valid_after_utc for one in _in_force(records)]
    return max(ends).strftime("%Y-%m-%d") if ends else None


def _clear(office: Here, uri: str) -> None:
    """Takes the bundle of a removed client out of the office's folder: its certificate is revoked, and nothing renews it."""
    for folder in client_bundles(office.layout):
        certificate = x509.load_pem_x509_certificates((folder / "cert.pem").read_bytes())[0]
        if _uri(certificate) == uri:
            for name in FILES:
                (folder / name).unlink(missing_ok=True)


def bundle(office: Here, name: str) -> Path:
    """The folder of a client whose bundle lies with the office; NOT_FOUND."""
    folder = office.layout.tls(name)
    if folder not in client_bundles(office.layout):
        raise VermilionError(Code.NOT_FOUND, text("clients.no_bundle", name=name))
    return folder


def add_to(app: typer.Typer) -> None:
    """Gives the group these commands."""
    app.command("list", help=text("help.clients_list"))(list_clients)
    app.command("remove", help=text("help.clients_remove"))(remove)
