"""`vermilion ca revoke`, `hold`, `release`, `crl`: the standing of certificates, and the lists that tell the world of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.instants import to_text
from ca.names import role_of
from ca.revocation.change import Change, Kind, instant
from protos.vermilion.v1 import ca_pb2
from sealcore import pem
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.cli import deciding
from vermilion.cli.common import DEFAULT, AsJson, Here, Several, State, here, is_there, read_file, require_writable
from vermilion.messages import text
from vermilion.remote.ca_client import CaClient, by_key, by_serial_or_file, spki_sha256
from vermilion.state import keyring
from vermilion.terminal import emit_json, say, show_pairs, show_table
from vermilion.use_cases import acts

Which = Annotated[str | None, typer.Argument(metavar="SERIAL|FILE", help=text("argument.certificate"))]
Label = Annotated[str | None, typer.Option("--label", metavar="KEY", help=text("option.ca_label"))]
InvalidSince = Annotated[str | None, typer.Option("--invalid-since", metavar="INSTANT", help=text("option.invalid_since"))]


def revoke(
    *,
    reason: Annotated[str, typer.Option("--reason", help=text("option.ca_reason"))],
    which: Which = None,
    label: Label = None,
    invalid_since: InvalidSince = None,
    persons: Several = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    invalid = instant_of(invalid_since)
    _change(here(state), Kind.REVOKE, which=which, label=label, as_json=as_json, persons=persons, reason=reason, invalid=invalid)


def hold(which: Which = None, label: Label = None, state: State = DEFAULT, as_json: AsJson = False) -> None:
    _change(here(state), Kind.HOLD, which=which, label=label, as_json=as_json)


def release(which: Which = None, label: Label = None, persons: Several = None, state: State = DEFAULT, as_json: AsJson = False) -> None:
    _change(here(state), Kind.RELEASE, which=which, label=label, as_json=as_json, persons=persons)


def crl(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=text("argument.authority"))] = None,
    publish: Annotated[bool, typer.Option("--publish", help=text("option.crl_publish"))] = False,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.crl_out"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    if (publish or out) and name is None:
        raise VermilionError(Code.INVALID_ARGUMENT, "--publish and --out are about one CA; name it")
    if out is not None:
        require_writable(out.parent)
    with CaClient(office.layout, office.office) as authority:
        if publish and name is not None:
            authority.publish(name)
        found = [one for one in authority.crls() if name in (None, one.issuer)]
    if name is not None and not found:
        raise VermilionError(Code.NOT_FOUND, f"there is no CRL of a CA {name}")
    if out is not None:
        made = x509.load_der_x509_crl(found[0].crl)
        _require_older(out, made)
        durable.write(out, made.public_bytes(Encoding.PEM if out.suffix == ".pem" else Encoding.DER))
    if as_json:
        emit_json([_crl_json(one) for one in found])
    elif name is None:
        rows = [[one.issuer, one.number, one.this_update, one.next_update, str(one.entries)] for one in found]
        show_table(["authority", "number", "made", "lapses", "entries"], rows, empty="ca.no_crls")
    else:
        _show(found[0])
        if out is not None:
            say("ca.crl_written", file=out)


def _require_older(out: Path, made: x509.CertificateRevocationList) -> None:
    """CONFLICT unless the file is not there, or is a CRL of the same CA that is no newer: those are published again and again."""
    try:
        older = not is_there(out) or (
            (crl := pem.crl(read_file(out))).issuer == made.issuer and crl.last_update_utc <= made.last_update_utc
        )
    except pem.EncodingError:
        older = False
    if not older:
        raise VermilionError(Code.CONFLICT, f"{out} is there already and is no older CRL of this CA; choose another --out")


def instant_of(invalid_since: str | None) -> datetime | None:
    """What --invalid-since says: a day's beginning, or an instant; INVALID_ARGUMENT."""
    if not invalid_since:
        return None
    return instant(invalid_since if "T" in invalid_since else f"{invalid_since}T00:00:00Z")


def add_to(app: typer.Typer) -> None:
    """Gives the group these commands."""
    for name, command in (("revoke", revoke), ("hold", hold), ("release", release), ("crl", crl)):
        app.command(name, help=text(f"help.ca_{name}"))(command)


def _change(
    office: Here,
    kind: Kind,
    *,
    which: str | None,
    label: str | None,
    as_json: bool,
    persons: list[str] | None = None,
    reason: str = "",
    invalid: datetime | None = None,
) -> None:
    with CaClient(office.layout, office.office) as authority:
        record = _find(office, authority, which, label)
        change = Change(kind, record.issuer, int.from_bytes(record.serial, "big"), reason, invalid)
        if kind is Kind.HOLD or role_of(record.issuer) == "infrastructure":
            number = authority.change(change)
            _told(change, as_json, crl_number=number)
            return
    form, performed = _ask(office, record, change, persons, as_json=as_json)
    _told(change, as_json, form=form["number"], quorum=form["context"]["policy"]["quorum"], performed=performed)


def _find(office: Here, authority: CaClient, which: str | None, label: str | None) -> ca_pb2.CertificateRecord:
    if (which is None) == (label is None):
        raise VermilionError(Code.INVALID_ARGUMENT, "name one certificate: by serial number, by file, or by --label of its key")
    if label is not None:
        return authority.find(by_key(keyring.spki(office.layout, label)), f"the key {label}")
    assert which is not None  # the check above
    return authority.find(by_serial_or_file(which), which)


def _ask(office: Here, record: ca_pb2.CertificateRecord, change: Change, persons: list[str] | None, *, as_json: bool) -> tuple[Any, bool]:
    """A form for what one person alone does not do, and whether it was carried out; the people who are named approve it."""
    with office.signer() as signer:
        key = spki_sha256(record)
        seal = next((one.id for one in signer.seals() if one.spki_sha256 == key), "")
    with office.workflow() as workflow:
        title = text(f"ca.{change.kind}_title", subject=record.subject)
        form = acts.apply(workflow, "revoke", seal=seal, title=title, parameters=change.as_json())
        return form, deciding.carry_out(office, workflow, form, persons, quiet=as_json) is not None


def _told(change: Change, as_json: bool, **outcome: Any) -> None:
    if as_json:
        emit_json({**change.as_json(), **outcome})
    elif "crl_number" in outcome:
        say(f"ca.{change.kind}_done", serial=f"{change.serial:x}", number=outcome["crl_number"])
    elif outcome["performed"]:
        say(f"ca.{change.kind}_by_form", serial=f"{change.serial:x}", form=outcome["form"])


def _show(record: ca_pb2.CrlRecord) -> None:
    show_pairs(
        [
            (text("column.authority"), record.issuer),
            (text("column.number"), record.number),
            (text("column.made"), record.this_update),
            (text("column.lapses"), record.next_update),
            (text("column.url"), record.url),
        ]
    )
    rows = [[one["serial"], one["since"], one["reason"], one["invalid_since"] or "–"] for one in _entries(record)]
    show_table(["serial", "since", "reason", "invalid_since"], rows, empty="ca.crl_empty")


def _crl_json(record: ca_pb2.CrlRecord) -> Any:
    return {
        "issuer": record.issuer,
        "number": int(record.number),
        "this_update": record.this_update,
        "next_update": record.next_update,
        "url": record.url,
        "entries": _entries(record),
    }


def _entries(record: ca_pb2.CrlRecord) -> list[dict[str, str]]:
    return [_entry(one) for one in x509.load_der_x509_crl(record.crl)]


def _entry(entry: x509.RevokedCertificate) -> dict[str, str]:
    reason, invalid = "unspecified", ""
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason.value
        if isinstance(extension.value, x509.InvalidityDate):
            invalid = to_text(extension.value.invalidity_date_utc)
    return {"serial": f"{entry.serial_number:x}", "since": to_text(entry.revocation_date_utc), "reason": reason, "invalid_since": invalid}
