"""`vermilion ca profiles`, `issue`, `list`, `show`: what certificates there are, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuance.enrolment import enrolment
from ca.issuance.profiles import BY_ACT
from ca.issuance.request import read
from ca.pki import is_issued_by, load_authorities, root_of
from protos.vermilion.v1 import ca_pb2
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.unreadable import UNREADABLE
from vermilion.ceremony.alone import alone
from vermilion.ceremony.authorities import timestamp_unit
from vermilion.ceremony.context import Ceremony
from vermilion.cli import enrolling
from vermilion.cli.common import DEFAULT, AsJson, Here, Several, State, here, read_file, require_free
from vermilion.cli.enrolling import Issued, Waiting
from vermilion.messages import text
from vermilion.remote.ca_client import CaClient, by_serial_or_file
from vermilion.state import keyring
from vermilion.terminal import emit_json, say, show_pairs, show_table

ProfileOption = Annotated[str, typer.Option("--profile", help=text("option.profile"))]
Request = Annotated[Path | None, typer.Argument(metavar="REQUEST", help=text("argument.request"))]
_PEM = b"-----BEGIN"


def profiles(state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    with CaClient(office.layout, office.office) as authority:
        found = authority.profiles()
    if as_json:
        emit_json([_profile_json(one) for one in found])
        return
    rows = [
        [one.name, ", ".join(one.issuers), _days(one.days), ", ".join(one.key_usage), ", ".join(one.qc_statements) or "–", _callers(one)]
        for one in found
    ]
    show_table(["profile", "authority", "days", "key_usage", "qc", "callers"], rows, empty="ca.no_profiles")


def issue(
    request: Request = None,
    *,
    profile: ProfileOption = "",
    label: Annotated[str | None, typer.Option("--label", metavar="KEY", help=text("option.issue_label"))] = None,
    name: Annotated[str | None, typer.Option("--name", help=text("option.common_name"))] = None,
    uri: Annotated[str, typer.Option("--uri", help=text("option.san_uri"))] = "",
    persons: Several = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.certificate_out"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    require_free(out)
    if label is not None and request is None:
        if not name or profile or uri or persons:
            raise VermilionError(Code.INVALID_ARGUMENT, "with --label goes --name alone: the kind of key settles all else")
        chain = [x509.load_der_x509_certificate(one) for one in _for_key(office, label, name)]
    elif request is not None and label is None:
        if not profile or name:
            raise VermilionError(
                Code.INVALID_ARGUMENT, "with a request goes --profile (see `vermilion ca profiles`); its subject is the request's"
            )
        outcome = _by_form(office, read_request(request), profile, uri, persons or [], as_json=as_json)
        if isinstance(outcome, Waiting):
            _told_waiting(outcome, as_json)
            return
        chain = [outcome.certificate, *outcome.chain]
    else:
        raise VermilionError(Code.INVALID_ARGUMENT, "give a PKCS#10 request, or --label of a key in a token")
    pem = "".join(map(_pem, chain))
    serial = f"{chain[0].serial_number:x}"
    if out is not None:
        durable.create(out, pem.encode("ascii"))
    if as_json:
        emit_json({"serial": serial, "chain_pem": pem})
        return
    say("ca.issued", serial=serial, subject=chain[0].subject.rfc4514_string())
    if out is not None:
        say("ca.certificate_written", file=out)
    else:
        typer.echo(pem, nl=False)


def list_certificates(
    profile: Annotated[str, typer.Option("--profile", help=text("option.profile"))] = "", state: State = DEFAULT, as_json: AsJson = False
) -> None:
    office = here(state)
    with CaClient(office.layout, office.office) as authority:
        found = authority.certificates(profile)
    if as_json:
        emit_json([_record_json(one) for one in found])
        return
    rows = [[_serial(one), one.profile, one.issuer, one.state, one.not_after, one.subject] for one in found]
    show_table(["serial", "profile", "authority", "state", "until", "subject"], rows, empty="ca.no_certificates")


def show(
    serial: Annotated[str, typer.Argument(metavar="SERIAL|FILE", help=text("argument.certificate"))],
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    with CaClient(office.layout, office.office) as authority:
        record = authority.find(by_serial_or_file(serial), f"{serial}")
    certificate = x509.load_der_x509_certificate(record.certificate)
    if as_json:
        emit_json({**_record_json(record), "sha256": certificate.fingerprint(SHA256()).hex(), "pem": _pem(certificate)})
        return
    facts = [
        ("column.serial", _serial(record)),
        ("column.subject", record.subject),
        ("column.profile", record.profile),
        ("column.authority", f"{record.issuer} · {certificate.issuer.rfc4514_string()}"),
        ("column.state", _standing(record)),
        ("column.from", record.not_before),
        ("column.until", record.not_after),
        ("column.sha256", certificate.fingerprint(SHA256()).hex()),
    ]
    show_pairs([(text(key), value) for key, value in facts])
    typer.echo(_pem(certificate), nl=False)


def add_to(app: typer.Typer) -> None:
    """Gives the group these commands."""
    for name, command in (("profiles", profiles), ("issue", issue), ("list", list_certificates), ("show", show)):
        app.command(name, help=text(f"help.ca_{name}"))(command)


_OTHER_WAYS: Final = {
    "root": "A root certifies itself, and a successor is made by `vermilion ca rollover root`.",
    "ca": "The root certifies CAs alone; a successor is made by `vermilion ca rollover`.",
    "ocsp": "The OCSP responder has its keys certified by itself.",
}


def _for_key(office: Here, label: str, name: str) -> list[bytes]:
    """Certificate and chain; the token that has the key settles the way. INVALID_ARGUMENT where there is none."""
    held_by = keyring.token_of(office.layout, label)
    if held_by == "signer":
        with office.signer() as signer:
            certified = signer.certify_key(label, name)
        return [certified.certificate, *certified.chain]
    if held_by == "timestamp":
        with alone(office.layout):
            file = timestamp_unit(Ceremony(office.layout, office.office, SystemClock()), label, name)
        leaf = x509.load_pem_x509_certificate(file.read_bytes())
        present = load_authorities(office.layout.pki)
        issuer = next(one for one in present.values() if is_issued_by(leaf, one))
        return [one.public_bytes(Encoding.DER) for one in (leaf, issuer, present[root_of(issuer, present)])]
    rule = _OTHER_WAYS.get(held_by, "Certificates are for seals, timestamp units, and whoever shows a PKCS#10 request.")
    raise VermilionError(Code.INVALID_ARGUMENT, f"the key {label} of the token {held_by} is not certified in this way", rule=rule)


def _by_form(office: Here, request_der: bytes, profile: str, uri: str, persons: Sequence[str], *, as_json: bool) -> Issued | Waiting:
    """The certificate of an identity, which people approve: the request's subject, and one SAN URI."""
    enrolling.require_by_act(profile)
    asked = read(request_der, uri=uri)
    if asked.names.uri is None:
        raise VermilionError(Code.INVALID_ARGUMENT, "the request names no SAN URI; give --uri")
    wanted = enrolment(profile, asked.names.uri, asked.attributes, request_der)
    title = text("ca.issue_title", profile=profile, uri=wanted.uri)
    return enrolling.enrol(office, wanted, title=title, persons=persons, quiet=as_json)


def _told_waiting(waiting: Waiting, as_json: bool) -> None:
    if as_json:
        emit_json({"form": waiting.number, "quorum": waiting.quorum})
        return
    say("acts.applied", number=waiting.number, quorum=waiting.quorum)
    say("acts.then_again", "quiet")


def read_request(path: Path) -> bytes:
    """A PKCS#10 request from a file, PEM or DER, as DER; INVALID_ARGUMENT, FILE_UNUSABLE."""
    data = read_file(path)
    try:
        return x509.load_pem_x509_csr(data).public_bytes(Encoding.DER) if data.lstrip().startswith(_PEM) else data
    except UNREADABLE:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{path} holds no certificate request that can be read") from None


def _serial(record: ca_pb2.CertificateRecord) -> str:
    return record.serial.hex().lstrip("0")


def _standing(record: ca_pb2.CertificateRecord) -> str:
    since = record.revoked_at or record.held_at
    parts = [record.state, since, record.reason, record.invalidity_date and f"invalid since {record.invalidity_date}"]
    return " · ".join(part for part in parts if part)


def _days(days: int) -> str:
    return str(days) if days else "–"


def _callers(profile: ca_pb2.ProfileRecord) -> str:
    named = [text("ca.approved_act") if one == BY_ACT else one for one in profile.callers]
    return ", ".join(named) or text("ca.ceremony_alone")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _profile_json(profile: ca_pb2.ProfileRecord) -> Any:
    lists = ("issuers", "algorithms", "key_usage", "extended_key_usage", "policies", "qc_statements", "names", "callers")
    return {"name": profile.name, "days": profile.days or None, "etsi": profile.etsi or None} | {
        name: list(getattr(profile, name)) for name in lists
    }


def _record_json(record: ca_pb2.CertificateRecord) -> Any:
    names = ("profile", "issuer", "subject", "not_before", "not_after", "state", "revoked_at", "reason", "invalidity_date", "held_at")
    return {"serial": _serial(record)} | {name: getattr(record, name) or None for name in names}
