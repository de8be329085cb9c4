"""`vermilion clients`: business systems that may apply for seals, each with a certificate of its own, which people approve."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.issuance.enrolment import enrolment, enrolment_of
from sealcore import pem
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform import identity
from vermilion.cli import client_names, client_standing, deciding, enrolling
from vermilion.cli.common import DEFAULT, AsJson, Here, Several, State, here, is_there
from vermilion.cli.enrolling import Issued, Waiting
from vermilion.messages import text
from vermilion.operation.client_renewal import OPERATOR
from vermilion.remote.ca_client import CaClient
from vermilion.remote.workflow_client import WorkflowClient, in_folder
from vermilion.services import SERVICES
from vermilion.state import identities
from vermilion.state.layout import FOLDER_MODE
from vermilion.state.trust_files import mtls_trust
from vermilion.terminal import emit_json, say, show_pairs

app = typer.Typer(help=text("help.clients"))
PROFILE = "client"
Client = Annotated[str, typer.Argument(metavar="CLIENT", help=text("argument.client"))]


@app.command("add", help=text("help.clients_add"))
def add_client(
    name: Annotated[str, typer.Argument(metavar="NAME", help=text("argument.client_name"))],
    *,
    unit: Annotated[str | None, typer.Option("--unit", help=text("option.unit"))] = None,
    units: Annotated[list[str] | None, typer.Option("--for-unit", metavar="UNIT", help=text("option.for_unit"))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.bundle"))] = None,
    persons: Several = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    folder = (out or _own_folder(office, name)).absolute()
    replaces = (folder / "cert.pem").exists() or (folder / "trust.pem").exists()
    if replaces:
        uri, outcome = _instead_of_revoked(office, folder, name, persons or [], fixed=bool(unit or units), quiet=as_json)
    else:
        bound = (unit or office.office.unit, *(units or ()))
        uri, outcome = _certified(office, folder, name, bound, persons or [], quiet=as_json)
    if isinstance(outcome, Waiting):
        _told_waiting(outcome, as_json, uri=uri, bundle=str(folder))
        return
    trust = mtls_trust(office.layout, SystemClock().now())
    if replaces:  # key and certificate are in their place, both at once
        identities.private_file(folder / "trust.pem", trust)
    else:
        identities.store(folder, outcome.certificate, outcome.chain, trust)
    if as_json:
        emit_json({"name": name, "uri": uri, "bundle": str(folder)})
        return
    say("clients.added", name=name)
    show_pairs(
        [
            (text("column.client"), uri),
            (text("column.bundle"), str(folder)),
            (text("column.signer"), office.office.listen("signer").target),
            (text("column.workflow"), office.office.url("workflow", scheme="https")),
        ]
    )


@app.command("renew", help=text("help.clients_renew"))
def renew_client(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER|NAME", help=text("argument.bundle"))],
    *,
    ca: Annotated[str | None, typer.Option("--ca", metavar="HOST:PORT", help=text("option.ca"))] = None,
    persons: Several = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    folder = folder.absolute() if is_there(folder) else client_standing.bundle(here(state), str(folder))
    try:
        until = identities.renew_client(folder, ca or here(state).office.listen("ca").target)
    except VermilionError as fault:
        if fault.code is not Code.CERTIFICATE_EXPIRED or ca is not None:
            raise
        outcome = _certified_anew(here(state), folder, persons or [], quiet=as_json)
        if isinstance(outcome, Waiting):
            _told_waiting(outcome, as_json, bundle=str(folder))
            return
        until = outcome.certificate.not_valid_after_utc
    if as_json:
        emit_json({"bundle": str(folder), "until": until.isoformat()})
        return
    say("clients.renewed", folder=folder, until=until.strftime("%Y-%m-%d"))


client_standing.add_to(app)


@app.command("stop", help=text("help.clients_stop"))
def stop_client(client: Client, persons: Several = None, state: State = DEFAULT) -> None:
    _admit(here(state), client, "stop", persons)


@app.command("allow", help=text("help.clients_allow"))
def allow_client(client: Client, persons: Several = None, state: State = DEFAULT) -> None:
    _admit(here(state), client, "allow", persons)


def _own_folder(office: Here, name: str) -> Path:
    """Where a bundle lies that stays with the office; INVALID_ARGUMENT for a name that is no folder's, or that of one of the office's own."""
    folder = office.layout.tls(name)
    if folder.name != name or name == ".." or name.casefold() in (OPERATOR, *(service.name for service in SERVICES)):
        raise VermilionError(Code.INVALID_ARGUMENT, text("clients.no_folder", name=name), rule=text("clients.no_folder_rule"))
    return folder


def _admit(office: Here, name_or_uri: str, what: Literal["stop", "allow"], persons: list[str] | None) -> None:
    with office.workflow() as workflow:
        client = client_names.find(workflow, name_or_uri)
    title, parameters = text(f"clients.{what}_title", name=client["name"]), {"change": f"client_{what}", "client": client["uri"]}
    deciding.say_done(f"clients.{what}_done", deciding.register(office, title, parameters, persons), name=client["name"])


def _certified(
    office: Here, folder: Path, name: str, units: Sequence[str], persons: list[str], *, quiet: bool
) -> tuple[str, Issued | Waiting]:
    """The client's URI, and its certificate or the form for it; one that was begun before goes on with its key.

    Raises what ``_registered`` does for a name that a client bears.
    """
    spki = identities.own_key(folder).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with office.workflow() as workflow:
        if (form := enrolling.asked(workflow, spki)) is not None:
            wanted = enrolment_of(form["context"]["covers"]["act"])
        else:
            uri = _registered(office, workflow, name, units)
            request = identities.request(folder, uri, server=False, common_name=name)
            wanted = enrolment(PROFILE, uri, {"common_name": name}, request)
    return wanted.uri, enrolling.enrol(office, wanted, title=text("clients.form_title", name=name), persons=persons, quiet=quiet)


def _registered(office: Here, workflow: WorkflowClient, name: str, units: Sequence[str]) -> str:
    """The URI of the client of this name, which is registered unless it is known: then a certificate is asked for it anew.

    CONFLICT while it has one or a form asks for one, for a client of other units, and where several clients bear the name.
    """
    known = [one for one in client_names.every(workflow) if one["name"] == name and one["active"]]
    if not known:
        return str(workflow.post("/v1/clients", {"id": uuid7(), "name": name, "unit": units[0], "units": list(units[1:])})["uri"])
    if len(known) > 1:
        raise _taken(name, "several")
    uri, bound = known[0]["uri"], {known[0]["unit"], *known[0]["units"]}
    if (certificate := enrolling.holder(office, uri)) is not None:
        raise _taken(name, "holder", serial=f"{certificate.serial_number:x}")
    if (form := enrolling.asked_for(workflow, uri)) is not None:
        raise _taken(name, "asked", number=form["number"])
    if bound != set(units):
        raise _taken(name, "units", units=", ".join(sorted(bound)))
    return str(uri)


def _taken(name: str, why: str, **about: str) -> VermilionError:
    about = {"name": name, **about}
    return VermilionError(Code.CONFLICT, text(f"clients.taken.{why}", **about), rule=text(f"clients.taken.{why}_rule", **about))


def _instead_of_revoked(
    office: Here, folder: Path, name: str, persons: list[str], *, fixed: bool, quiet: bool
) -> tuple[str, Issued | Waiting]:
    """A new key and certificate for the client of a bundle that is revoked, whose files are kept aside. CONFLICT for any other bundle."""
    present = _present(folder)
    if present is None or (standing := _state_of(office, present)) not in ("held", "revoked"):
        raise VermilionError(Code.CONFLICT, f"{folder} holds a bundle already; take another name or --out")
    uri, holder = _holder(present)
    if standing == "held":
        reason = f"the certificate in {folder} is on hold: `vermilion ca release {present.serial_number:x}` lets it count again"
        raise VermilionError(Code.CONFLICT, reason, rule="A new bundle takes the place of one that is revoked for good.")
    if holder != name:
        raise VermilionError(Code.CONFLICT, f"{folder} holds the revoked bundle of {holder}; take that name, or another --out")
    if fixed:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{name} keeps its units with a new bundle; leave out --unit and --for-unit")
    return uri, _certified_anew(office, folder, persons, quiet=quiet, keep=True)


def _present(folder: Path) -> x509.Certificate | None:
    """The certificate of a bundle; None where it has none that can be read."""
    try:
        return pem.certificates((folder / "cert.pem").read_bytes())[0]
    except (OSError, pem.EncodingError):
        return None


def _state_of(office: Here, certificate: x509.Certificate) -> str:
    """How the office's CA lists it; empty where it does not."""
    der = certificate.public_bytes(Encoding.DER)
    with CaClient(office.layout, office.office) as authority:
        return next((one.state for one in authority.certificates(PROFILE) if one.certificate == der), "")


def _holder(certificate: x509.Certificate) -> tuple[str, str]:
    """URI and name of a client."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uri, str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def _keep_aside(folder: Path, certificate: x509.Certificate) -> None:
    """Copies of key and certificate in a folder of their own, before others take their place."""
    kept = folder / f"before-{certificate.serial_number:x}"
    kept.mkdir(mode=FOLDER_MODE, exist_ok=True)
    for name in ("key.pem", "cert.pem"):
        identities.private_file(kept / name, (folder / name).read_bytes())


def _certified_anew(office: Here, folder: Path, persons: list[str], *, quiet: bool, keep: bool = False) -> Issued | Waiting:
    """A new key and certificate for the URI of a bundle that has expired or is revoked: its holder's end, so that a new one takes
    people's approval."""
    present, waiting = identity.read(in_folder(folder)).certificate, folder / ".waiting"
    uri, name = _holder(present)
    request = identities.request(waiting, uri, server=False, common_name=name)
    wanted = enrolment(PROFILE, uri, {"common_name": name}, request)
    outcome = enrolling.enrol(office, wanted, title=text("clients.form_title", name=name), persons=persons, quiet=quiet)
    if isinstance(outcome, Issued):
        chain = identities.chain_pem(outcome.certificate, outcome.chain)
        if keep:
            _keep_aside(folder, present)
        identity.replace(in_folder(folder), (waiting / "key.pem").read_bytes(), chain)
        shutil.rmtree(waiting)
    return outcome


def _told_waiting(waiting: Waiting, as_json: bool, **about: str) -> None:
    if as_json:
        emit_json({"form": waiting.number, "quorum": waiting.quorum, **about})
        return
    say("acts.applied", number=waiting.number, quorum=waiting.quorum)
    say("acts.then_again", "quiet")
