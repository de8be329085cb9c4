"""`vermilion ca profiles`, `issue`, `list`, `show`, `request`, `import` on a running office."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sealcore.ids import uuid7
from tests.ca.office import software_request
from tests.cli.running import ONE_AT_A_TIME, RunningOffice
from tests.signer.outside_ca import SEAL, OutsideCa
from vermilion import exits

LABEL = "seal.contract.1"


def request_file(folder: Path, *names: tuple[x509.ObjectIdentifier, str]) -> Path:
    file = folder / "request.csr"
    file.write_bytes(software_request(*names, key=ec.generate_private_key(ec.SECP256R1())))
    return file


def test_profiles_say_what_each_certificate_is_like(office: RunningOffice) -> None:
    profiles = {one["name"]: one for one in office.json("ca", "profiles")}
    seal = profiles["seal"]
    assert (seal["qc_statements"], seal["key_usage"], seal["callers"]) == (["QcType eseal"], ["content_commitment"], ["service:signer"])
    assert "organization: the office's" in seal["names"] and seal["extended_key_usage"] == []
    shown = office.run("ca", "profiles")
    assert shown.returncode == 0 and "QcType eseal" in " ".join(shown.stdout.split())


def test_certificate_is_issued_listed_and_shown(office: RunningOffice, tmp_path: Path) -> None:
    request = request_file(tmp_path, (NameOID.COMMON_NAME, "machine 7"), (NameOID.SERIAL_NUMBER, "SM-0007"))
    uri = f"https://vermilion.internal/device/{uuid7()}"
    out = tmp_path / "device.pem"
    order = ("ca", "issue", request, "--profile", "device", "--uri", uri, "--out", out)
    asked = office.run(*order)
    assert asked.returncode == 0 and "forms approve" in " ".join(asked.stdout.split()), asked.stderr
    assert not out.exists() and office.run(*order).returncode == 0, "asking again is the same form"
    done = office.run(*order, "--as", "Chen Rui", "--as", "Zhao Ming")
    assert done.returncode == 0, done.stderr
    leaf, issuing, root = x509.load_pem_x509_certificates(out.read_bytes())
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    serial = f"{leaf.serial_number:x}"
    assert serial in {one["serial"] for one in office.json("ca", "list", "--profile", "device")}
    shown = office.json("ca", "show", serial)
    assert (shown["state"], shown["issuer"], shown["profile"]) == ("issued", "infrastructure", "device")
    assert shown["pem"].encode() == leaf.public_bytes(Encoding.PEM)


def test_refusal_names_code_rule_and_way_out(office: RunningOffice, tmp_path: Path) -> None:
    request = request_file(tmp_path, (NameOID.COMMON_NAME, "Аcme"))
    uri = f"https://vermilion.internal/client/{uuid7()}"
    done = office.run("ca", "issue", request, "--profile", "client", "--uri", uri)
    said = " ".join(done.stderr.split())
    assert done.returncode == exits.USAGE and "PROFILE_VIOLATION" in said and "names are plain, visible text" in said
    assert "PERMISSION_DENIED" in office.run("ca", "issue", request, "--profile", "seal").stderr
    assert "INVALID_ARGUMENT" in office.run("ca", "issue", "--profile", "seal").stderr


@ONE_AT_A_TIME
def test_key_of_the_signers_token_is_certified_once(office: RunningOffice) -> None:
    done = office.run("ca", "issue", "--label", LABEL, "--name", "another")
    assert done.returncode == 1 and "CONFLICT" in done.stderr and "A key has one certificate" in " ".join(done.stderr.split())
    assert "HSM_KEY_MISSING" in office.run("ca", "issue", "--label", "seal.none.1", "--name", "x").stderr


def test_request_goes_out_and_a_chain_that_may_not_be_watched_does_not_come_in(office: RunningOffice, tmp_path: Path) -> None:
    out, chain = tmp_path / "contract.csr", tmp_path / "chain.pem"
    done = office.run("ca", "request", "--label", LABEL, "--out", out)
    assert done.returncode == 0, done.stderr
    subprocess.run(["openssl", "req", "-in", out, "-verify", "-noout"], check=True, capture_output=True)
    outside = OutsideCa(tmp_path / "outside")
    request = x509.load_pem_x509_csr(out.read_bytes()).public_bytes(Encoding.DER)
    people = ("--as", "Chen Rui", "--as", "Zhao Ming")
    for rules, code in (((SEAL, "extendedKeyUsage=clientAuth"), "SEAL_CERTIFICATE_INVALID"), ((SEAL,), "FETCH_FORBIDDEN")):
        certificates = [outside.certify(request, *rules), *outside.chain()]
        chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
        refused = office.run("ca", "import", chain, "--label", LABEL, *people)
        assert refused.returncode != 0 and code in refused.stderr, refused.stderr
    outside.close()
