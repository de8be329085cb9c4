"""`vermilion ca request`, `import`: a seal's certificate from an outside CA."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.protocol.canonical import b64url
from signer.register.chain import require_seal_chain
from vermilion.cli import deciding
from vermilion.cli.common import DEFAULT, AsJson, Several, State, here, read_certificates, require_free
from vermilion.messages import text
from vermilion.remote.signer_client import SignerClient
from vermilion.terminal import emit_json, say
from vermilion.use_cases import acts

Label = Annotated[str, typer.Option("--label", metavar="KEY", help=text("option.seal_label"))]


def request(
    label: Label,
    name: Annotated[str | None, typer.Option("--name", help=text("option.common_name"))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.request_out"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    require_free(out)
    office = here(state)
    with office.signer() as signer:
        made = signer.request_certificate(label, name or _seal_of(signer, label).name, office.office.name)
    read = x509.load_der_x509_csr(made.request)
    pem = read.public_bytes(Encoding.PEM)
    if out is not None:
        durable.create(out, pem)
    if as_json:
        emit_json({"label": label, "ledger_index": made.ledger_index, "request_pem": pem.decode("ascii")})
    elif out is None:
        typer.echo(pem.decode("ascii"), nl=False)
    else:
        say("ca.request_written", file=out, index=made.ledger_index)


def import_chain(
    chain: Annotated[Path, typer.Argument(metavar="CHAIN.pem", help=text("argument.chain"))],
    label: Label,
    persons: Several = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    leaf, *issuers = read_certificates(chain)
    office = here(state)
    with office.signer() as signer:
        seal = _seal_of(signer, label)
    encoded = [one.public_bytes(Encoding.DER) for one in (leaf, *issuers)]
    require_seal_chain(encoded[0], encoded[1:], datetime.now(UTC))  # the signer judges again; here it costs nobody a form
    if _spki_sha256(leaf) != seal.spki_sha256:
        raise VermilionError(Code.SEAL_CERTIFICATE_INVALID, f"the first certificate is not for the key {label}")
    parameters = {
        "change": "seal_certificate",
        "id": seal.id,
        "certificate": b64url(encoded[0]),
        "chain": [b64url(one) for one in encoded[1:]],
    }
    with office.workflow() as workflow:
        form = acts.apply(workflow, "register", title=text("ca.import_title", kind=seal.kind), parameters=parameters)
        performed = deciding.carry_out(office, workflow, form, persons, quiet=as_json)
    number = form["number"]
    if as_json:
        emit_json({"form": number, "seal": seal.id, "ledger_index": performed["ledger_index"] if performed else None})
    elif performed is not None:
        say("ca.imported", kind=seal.kind, issuer=leaf.issuer.rfc4514_string(), number=number, index=performed["ledger_index"])


def add_to(app: typer.Typer) -> None:
    """Gives the group these commands."""
    for name, command in (("request", request), ("import", import_chain)):
        app.command(name, help=text(f"help.ca_{name}"))(command)


def _seal_of(signer: SignerClient, label: str) -> signer_pb2.SealRecord:
    """The seal whose key has this label; HSM_KEY_MISSING, SEAL_UNKNOWN."""
    key = next((one for one in signer.signer_keys() if one.label == label), None)
    if key is None:
        raise VermilionError(Code.HSM_KEY_MISSING, f"the signer's token has no key {label}; see `vermilion keys list`")
    seal = next((one for one in signer.seals() if one.spki_sha256 == key.spki_sha256), None)
    if seal is None:
        raise VermilionError(Code.SEAL_UNKNOWN, f"no seal has the key {label}")
    return seal


def _spki_sha256(certificate: x509.Certificate) -> bytes:
    return hashlib.sha256(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
