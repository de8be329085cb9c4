"""`vermilion issuers`: whose approval tokens the signer takes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, load_pem_public_key

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url
from sealcore.unreadable import UNREADABLE
from vermilion.cli import deciding
from vermilion.cli.common import DEFAULT, AsJson, Several, State, here, read_file
from vermilion.messages import text
from vermilion.terminal import emit_json, show_table

app = typer.Typer(help=text("help.issuers"))


@app.command("list", help=text("help.issuers_list"))
def list_issuers(state: State = DEFAULT, as_json: AsJson = False) -> None:
    with here(state).signer() as signer:
        found = [hashlib.sha256(spki).hexdigest() for spki in signer.roll().issuers]
    if as_json:
        emit_json(found)
        return
    show_table(["sha256"], [[one] for one in found], empty="issuers.none")


@app.command("add", help=text("help.issuers_add"))
def add(
    file: Annotated[Path, typer.Argument(metavar="KEY", help=text("argument.issuer_key"))], persons: Several = None, state: State = DEFAULT
) -> None:
    spki = _public_key(file)
    key = hashlib.sha256(spki).hexdigest()
    parameters = {"change": "issuer_add", "public_key": b64url(spki)}
    done = deciding.register(here(state), text("issuers.add_title", issuer=key), parameters, persons)
    deciding.say_done("issuers.add_done", done, issuer=key)


@app.command("remove", help=text("help.issuers_remove"))
def remove(
    key: Annotated[str, typer.Argument(metavar="SHA-256", help=text("argument.issuer"))], persons: Several = None, state: State = DEFAULT
) -> None:
    office = here(state)
    with office.signer() as signer:
        found = [one for spki in signer.roll().issuers if (one := hashlib.sha256(spki)).hexdigest() == key.lower()]
    if not found:
        raise VermilionError(Code.NOT_FOUND, f"the signer pins no issuer {key}; see `vermilion issuers list`")
    parameters = {"change": "issuer_remove", "kid": b64url(found[0].digest())}
    deciding.say_done(
        "issuers.remove_done", deciding.register(office, text("issuers.remove_title", issuer=key), parameters, persons), issuer=key
    )


def _public_key(file: Path) -> bytes:
    """A public key from a file, PEM or DER, as DER; FILE_UNUSABLE, INVALID_ARGUMENT."""
    content = read_file(file)
    try:
        key = load_pem_public_key(content) if content.lstrip().startswith(b"-----BEGIN") else load_der_public_key(content)
    except UNREADABLE:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{file} holds no public key that can be read") from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
