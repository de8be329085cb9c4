"""A new identity at the command line: a form for its certificate, people's approval, the certificate that the CA issues on their word.

Nothing is kept between two runs: the key tells which form is its, and which certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuance import profiles
from ca.issuance.certificate import Parent, build
from ca.issuance.enrolment import Enrolment
from ca.issuance.profiles import Profile
from ca.names import newest
from ca.pki import is_issued_by, load_authorities, root_of
from sealcore.errors import Code, VermilionError
from vermilion.cli import deciding
from vermilion.cli.common import Here
from vermilion.remote.ca_client import CaClient, spki_of
from vermilion.remote.workflow_client import PAGE, WorkflowClient
from vermilion.use_cases import acts, ended

ACTION: Final = "create"
_NOWHERE: Final = "http://localhost"  # addresses in the certificate are the CA's to say


@dataclass(frozen=True)
class Waiting:
    """A form that lacks approvals: how many it takes."""

    number: str
    quorum: int


@dataclass(frozen=True)
class Issued:
    """The certificate, its issuer and the root."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]


def enrol(office: Here, wanted: Enrolment, *, title: str, persons: Sequence[str], quiet: bool) -> Issued | Waiting:
    """The certificate for the key of ``wanted``, once people have approved; until then the form that asks them.

    ``persons`` approve it here and now, and are shown what it brings about unless a program reads the answer (``quiet``). Raises what the CA would refuse before anybody is asked (PROFILE_VIOLATION, PERMISSION_DENIED,
    CONFLICT for a URI that has a holder), FORM_REJECTED, and the CA's own refusal of an approved form.
    """
    if (issued := find(office, wanted.request.spki_der)) is not None:
        return issued
    with office.workflow() as workflow:
        form = asked(workflow, wanted.request.spki_der)
        if form is None:
            _rehearse(office, wanted)
            form = acts.apply(workflow, ACTION, title=title, parameters=wanted.as_json())
        deciding.tell_ended(workflow, form)
        needed = None
        if persons and form["state"] == "applied":
            needed = deciding.sign(office, workflow, form, persons, quiet=quiet)
        if workflow.form(form["number"])["state"] == "applied":
            return Waiting(form["number"], needed or form["context"]["policy"]["quorum"])
        acts.await_performed(workflow, form["number"])
    if (issued := find(office, wanted.request.spki_der)) is None:
        raise VermilionError(Code.INTERNAL, f"form {form['number']} was carried out, but the CA lists no certificate for the key")
    return issued


def asked(workflow: WorkflowClient, spki_der: bytes) -> Any | None:
    """The form for the certificate of this key that is open, or approved and not refused by the CA; None when there is none."""
    return _alive(workflow, "spki_sha256", hashlib.sha256(spki_der).hexdigest())


def asked_for(workflow: WorkflowClient, uri: str) -> Any | None:
    """The form for a certificate of this URI, whatever its key, that people or the CA have not come to an end with."""
    form = _alive(workflow, "uri", uri)
    return None if form is None or (workflow.form(form["number"])["performance"] or {}).get("state") == "done" else form


def _alive(workflow: WorkflowClient, name: str, value: str) -> Any | None:
    for state in ("applied", "approved"):
        for one in workflow.get("/v1/forms", state=state, limit=PAGE)["forms"]:
            if one["context"]["covers"].get("act", {}).get(name) == value and not _has_ended(workflow, one):
                return one
    return None


def find(office: Here, spki_der: bytes) -> Issued | None:
    """The certificate in force of a key, with its chain; None when the key has none; CERTIFICATE_REVOKED when it has one no more."""
    with CaClient(office.layout, office.office) as authority:
        record = next((one for one in authority.certificates() if one.certificate and spki_of(one) == spki_der), None)
    if record is None:
        return None
    if record.state != "issued":
        raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate of this key is {record.state}; take a new key")
    present = load_authorities(office.layout.pki)
    certificate = x509.load_der_x509_certificate(record.certificate)
    issuer = next(one for one in present.values() if is_issued_by(certificate, one))
    return Issued(certificate, (issuer, present[root_of(issuer, present)]))


def holder(office: Here, uri: str) -> x509.Certificate | None:
    """The certificate in force of this URI."""
    with CaClient(office.layout, office.office) as authority:
        held = [one for one in authority.certificates() if one.certificate and one.state in ("issued", "held")]
    for certificate in (x509.load_der_x509_certificate(one.certificate) for one in held):
        if certificate.not_valid_after_utc > datetime.now(UTC) and uri.lower() in _uris(certificate):
            return certificate
    return None


def require_by_act(name: str) -> Profile:
    """The profile of this name; INVALID_ARGUMENT when there is none, PERMISSION_DENIED when no act gives such a certificate."""
    known = profiles.load()
    if name not in known:
        raise VermilionError(Code.INVALID_ARGUMENT, f"there is no profile {name}; there are {', '.join(known)}")
    if profiles.BY_ACT not in known[name].callers:
        raise VermilionError(Code.PERMISSION_DENIED, f"no act gives a certificate of the profile {name}")
    return known[name]


def _has_ended(workflow: WorkflowClient, form: Any) -> bool:
    """Whether nothing will come of it any more: the CA refused it, or its term is over."""
    return ended.why(workflow.form(form["number"]), {}) is not None


def _rehearse(office: Here, wanted: Enrolment) -> None:
    """Judges as the CA will, so that nobody is asked to approve what it would refuse."""
    profile = require_by_act(wanted.profile)
    present = load_authorities(office.layout.pki)
    name = newest(profile.issuers[0], present)
    assert name is not None, "load_authorities"
    build(wanted.profile, profile, wanted.request, Parent(name, present[name], _NOWHERE), serial=1, now=datetime.now(UTC))
    if (certificate := holder(office, wanted.uri)) is not None:
        rule = "A URI has one holder: a second one needs the first one's end (`vermilion ca revoke`)."
        raise VermilionError(Code.CONFLICT, f"{wanted.uri} has a holder: {certificate.serial_number:x}", rule=rule)


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [uri.lower() for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]


def pem(issued: Issued) -> str:
    """Certificate and chain."""
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in (issued.certificate, *issued.chain))
