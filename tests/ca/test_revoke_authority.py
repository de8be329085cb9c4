"""The root revokes a CA: one step in the root's token, and every program that asks the root's CRL refuses the chain."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from ca.issuance.findings import crl_findings
from ca.names import role_of
from ca.pki import load_authorities
from ca.revocation.crl import newest
from ca.tables import outbox
from sealcore.platform.db import connect, read
from tests.ca.office import Office, generate_keys, new_office, software_request

CLIENT = "https://vermilion.internal/client/left-behind"


@dataclass(frozen=True)
class Before:
    """An office with two generations of the seals CA and of the root, and a leaf of each issuing CA by the first.

    ``told`` is what openssl said while nothing was revoked, ``refused`` how impossible revocations ended: of a CA as of a day before its
    certificate, and of the one root that there was.
    """

    office: Office
    seal: Path
    client: Path
    told: list[str]
    refused: tuple[str, str]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    office = new_office(tmp_path_factory.mktemp("revoked"), root="p-384", seals="p-256")
    generate_keys(office.ca_token, {"ca.seals.2": "p-256"}, office.folder)
    generate_keys(office.root_token, {"ca.root.2": "p-384"}, office.folder)
    for step in ("requests", "root", "issuing"):
        office.ceremony(step)
    seal, client = office.folder / "seal.pem", office.folder / "client.pem"
    request = office.folder / "client.csr"
    request.write_bytes(software_request((NameOID.COMMON_NAME, "client")))
    office.ceremony("issue", "--profile", "seal", "--request", str(office.folder / "seal.test.csr"), "--out", str(seal))
    office.ceremony("issue", "--profile", "client", "--request", str(request), "--out", str(client), "--uri", CLIENT)
    lone = office.ceremony("revoke", "--authority", "root", "--reason", "superseded", check=False).stderr
    for name, asking in (("seals.2", ("seals.2",)), ("root.2", ("seals", "seals.2", "infrastructure"))):
        office.ceremony("requests", *itertools.chain.from_iterable(("--authority", one) for one in asking))
        office.ceremony("rollover", "--authority", name)
        office.ceremony("issuing")
    told = [verified(office, leaf, root) for leaf, root in itertools.product((seal, client), ("root", "root.2"))]
    early = ("--reason", "cACompromise", "--invalid-since", "2026-01-01T00:00:00Z")
    refused = office.ceremony("revoke", "--authority", "seals", *early, check=False).stderr, lone
    told.append(verified(office, seal, "root"))
    office.ceremony("revoke", "--authority", "seals", "--reason", "cACompromise")
    return Before(office, seal, client, told, refused)


def verified(office: Office, leaf: Path, root: str) -> str:
    """What openssl says of the whole chain with every CRL."""
    names = load_authorities(office.pki)
    crls = office.folder / "crls.pem"
    crls.write_bytes(b"".join(crl(office, name).public_bytes(Encoding.PEM) for name in names))
    untrusted = [path for path in office.pki.glob("*.pem") if "-by-" in path.name or role_of(path.stem) != "root"]
    command: list[str | Path] = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-CRLfile", crls]
    command += ["-CAfile", office.pki / f"{root}.pem"]
    for path in untrusted:
        command += ["-untrusted", path]
    command.append(leaf)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def crl(office: Office, name: str) -> x509.CertificateRevocationList:
    engine = connect(office.database_url)
    published = newest(engine, name)
    engine.dispose()
    assert published is not None, name
    return x509.load_der_x509_crl(published.der)


def test_root_revokes_a_ca_and_no_chain_through_it_holds(before: Before) -> None:
    office = before.office
    assert all(one.strip().endswith("OK") for one in before.told), before.told
    early, lone = before.refused
    assert "INVALID_ARGUMENT" in early and "between the certificate's notBefore" in early
    assert "INVALID_ARGUMENT" in lone and "out of their trust" in lone
    for root in ("root", "root.2"):
        assert "certificate revoked" in verified(office, before.seal, root)
        assert "OK" in verified(office, before.client, root)
    for root, file in (("root", "seals"), ("root.2", "seals-by-root.2")):
        entry = crl(office, root).get_revoked_certificate_by_serial_number(office.authority(file).serial_number)
        assert entry is not None
        assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.ca_compromise
        assert crl_findings(crl(office, root)) == []
        assert (office.pki / f"{root}.crl").read_bytes() == crl(office, root).public_bytes(Encoding.DER)


def test_repeated_revocation_changes_nothing_and_another_reason_is_refused(before: Before) -> None:
    office = before.office
    numbers = [crl(office, root).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for root in ("root", "root.2")]
    notes = noted(office)
    office.ceremony("revoke", "--authority", "seals", "--reason", "cACompromise")
    after = [crl(office, root).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for root in ("root", "root.2")]
    assert (after, noted(office)) == (numbers, notes)
    assert {f"revocation:{office.authority(file).serial_number:x}" for file in ("seals", "seals-by-root.2")} <= notes
    refused = office.ceremony("revoke", "--authority", "seals", "--reason", "superseded", check=False)
    assert refused.returncode == 1 and "CONFLICT" in refused.stderr


def test_revoked_ca_issues_nothing_more_and_its_successor_does(before: Before) -> None:
    office = before.office
    request, orders = office.folder / "tsa.test.csr", office.folder / "orders.toml"
    order = f'[[order]]\nprofile = "tsa"\nrequest = "{request}"\nout = "{office.folder / "tsa.pem"}"\n'
    orders.write_text(f"{order}generation = 1\n")
    refused = office.ceremony("issue", "--orders", str(orders), check=False)
    assert refused.returncode == 1 and "CONFLICT" in refused.stderr and "issues nothing more" in refused.stderr
    orders.write_text(order)
    office.ceremony("issue", "--orders", str(orders))
    assert "OK" in verified(office, office.folder / "tsa.pem", "root")


def test_what_no_root_has_certified_is_not_revoked(before: Before) -> None:
    for name, code in (("seals.7", "NOT_FOUND"), ("tsa", "NOT_FOUND"), ("infrastructure.2", "NOT_FOUND")):
        refused = before.office.ceremony("revoke", "--authority", name, "--reason", "superseded", check=False)
        assert refused.returncode == 1 and code in refused.stderr and "Traceback" not in refused.stderr, refused.stderr


def test_revoked_ca_is_not_certified_by_the_next_root_and_an_old_root_ends_with_its_cross_certificate(before: Before) -> None:
    office = before.office
    office.ceremony("revoke", "--authority", "root", "--reason", "superseded")
    cross = office.authority("root-by-root.2")
    assert crl(office, "root.2").get_revoked_certificate_by_serial_number(cross.serial_number) is not None
    generate_keys(office.root_token, {"ca.root.3": "p-384"}, office.folder)
    office.ceremony("rollover", "--authority", "root.3")
    made = {path.stem for path in office.pki.glob("*-by-root.3.pem")}
    assert made == {"seals.2-by-root.3", "infrastructure-by-root.3", "root.2-by-root.3"}


def noted(office: Office) -> set[str]:
    engine = connect(office.database_url)
    with read(engine) as connection:
        keys = set(connection.execute(select(outbox.c.idempotency_key)).scalars())
    engine.dispose()
    return keys
