"""`vermilion ca status`, `hold`, `release`, `revoke`, `crl`, `issue --label`, `revoke-authority`, `seals quorum` on a running office."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sealcore.ids import uuid7
from tests.ca.office import software_request
from tests.cli.running import OFFICIAL_SEAL, ONE_AT_A_TIME, RunningOffice
from vermilion import exits

PEOPLE = ("--as", "Chen Rui", "--as", "Zhao Ming")


def device(office: RunningOffice, folder: Path) -> Path:
    """A certificate of the infrastructure CA that nobody uses."""
    request, out = folder / "device.csr", folder / "device.pem"
    request.write_bytes(software_request((NameOID.COMMON_NAME, "machine"), (NameOID.SERIAL_NUMBER, "SM-1")))
    uri = f"https://vermilion.internal/device/{uuid7()}"
    done = office.run("ca", "issue", request, "--profile", "device", "--uri", uri, "--out", out, *PEOPLE)
    assert done.returncode == 0, done.stderr
    return out


def entry(office: RunningOffice, name: str, serial: str) -> Any:
    """What the CA's newest CRL says of a serial number, as the command line shows it."""
    (crl,) = office.json("ca", "crl", name)
    return next((one for one in crl["entries"] if one["serial"] == serial), None)


def test_status_shows_each_ca_with_its_crl_its_answers_and_its_delegate(office: RunningOffice) -> None:
    found = {one["authority"]: one for one in office.json("ca", "status")}
    assert set(found) == {"root", "seals", "infrastructure"}
    assert all(one["crl_current"] and int(one["crl_number"]) >= 1 for one in found.values())
    for name in ("seals", "infrastructure"):
        assert found[name]["ocsp_lapses"] and found[name]["delegate_until"] and isinstance(found[name]["ocsp_missing"], int)
    assert found["root"]["ocsp_lapses"] is None, "a root has no responder"
    shown = office.run("ca", "status")
    assert shown.returncode == 0 and "infrastructure" in shown.stdout and "delegate until" in shown.stdout


def test_infrastructure_certificate_is_held_released_and_revoked_at_once(office: RunningOffice, tmp_path: Path) -> None:
    file = device(office, tmp_path)
    serial = f"{x509.load_pem_x509_certificates(file.read_bytes())[0].serial_number:x}"
    colons = ":".join(serial.zfill(32)[at : at + 2] for at in range(0, 32, 2))
    held = office.json("ca", "hold", file)
    assert (held["change"], held["serial"]) == ("hold", serial) and entry(office, "infrastructure", serial)["reason"] == "certificateHold"
    assert "CONFLICT" not in office.run("ca", "release", colons).stderr
    assert entry(office, "infrastructure", serial) is None
    day = office.json("ca", "show", serial)["not_before"]
    done = office.run("ca", "revoke", serial, "--reason", "keyCompromise", "--invalid-since", day)
    assert done.returncode == 0 and serial in done.stdout, done.stderr
    listed = entry(office, "infrastructure", serial)
    assert (listed["reason"], listed["invalid_since"]) == ("keyCompromise", day)
    assert office.json("ca", "show", serial)["state"] == "revoked"
    again = office.run("ca", "release", serial)
    assert again.returncode == 1 and "CONFLICT" in again.stderr


def test_under_the_seals_ca_a_hold_is_at_once_and_a_release_takes_the_quorum(office: RunningOffice) -> None:
    """Of a delegate of OCSP: no program asks whether that is revoked."""
    serial = next(one["serial"] for one in office.json("ca", "list", "--profile", "ocsp") if one["issuer"] == "seals")
    office.json("ca", "hold", serial)
    assert entry(office, "seals", serial)["reason"] == "certificateHold"
    asked = office.run("ca", "release", serial)
    assert asked.returncode == 0 and "forms approve" in " ".join(asked.stdout.split())
    assert entry(office, "seals", serial) is not None, "a form alone changes nothing"
    done = office.run("ca", "release", serial, *PEOPLE)
    assert done.returncode == 0, done.stderr
    assert entry(office, "seals", serial) is None


@OFFICIAL_SEAL
def test_seal_in_use_is_not_revoked(office: RunningOffice) -> None:
    done = office.run("ca", "revoke", "--label", "seal.official.1", "--reason", "superseded", *PEOPLE)
    assert done.returncode == 1 and "CONFLICT" in done.stderr and "suspend it first" in " ".join(done.stderr.split())


def test_crl_is_published_and_written(office: RunningOffice, tmp_path: Path) -> None:
    (before,) = office.json("ca", "crl", "infrastructure")
    out = tmp_path / "infrastructure.pem"
    done = office.run("ca", "crl", "infrastructure", "--publish", "--out", out)
    assert done.returncode == 0, done.stderr
    written = x509.load_pem_x509_crl(out.read_bytes())
    number = written.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number > before["number"]
    issuer = x509.load_pem_x509_certificate((office.layout.pki / "infrastructure.pem").read_bytes())
    assert written.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    assert {one["issuer"] for one in office.json("ca", "crl")} == {"root", "seals", "infrastructure"}
    assert "NOT_FOUND" in office.run("ca", "crl", "seals.9").stderr
    assert office.run("ca", "crl", "--publish").returncode == exits.USAGE


def test_unknown_certificate_and_reason_are_refused(office: RunningOffice) -> None:
    assert "NOT_FOUND" in office.run("ca", "hold", "4711").stderr
    assert "INVALID_ARGUMENT" in office.run("ca", "hold", "no-serial").stderr
    assert "INVALID_ARGUMENT" in office.run("ca", "hold").stderr
    serial = office.json("ca", "list", "--profile", "operator")[0]["serial"]
    assert "INVALID_ARGUMENT" in office.run("ca", "revoke", serial, "--reason", "cACompromise").stderr
    assert "INVALID_ARGUMENT" in office.run("ca", "revoke", serial, "--reason", "superseded", "--invalid-since", "yesterday").stderr


@pytest.mark.parametrize("label", ["ca.seals", "ca.root", "ocsp.seals.1", "ledger.checkpoint.1"])
def test_key_that_is_certified_in_another_way_is_refused_with_that_way(office: RunningOffice, label: str) -> None:
    done = office.run("ca", "issue", "--label", label, "--name", "x")
    said = " ".join(done.stderr.split())
    assert done.returncode == exits.USAGE and "INVALID_ARGUMENT" in said and label in said
    assert "rollover" in said or "itself" in said or "PKCS#10" in said


@ONE_AT_A_TIME
def test_key_of_the_timestamp_unit_is_certified_by_the_ceremony(office: RunningOffice) -> None:
    """It has its certificate: the same name gets it again, another name is refused."""
    present = (office.layout.pki / "tsa.public.1.pem").read_bytes()
    name = x509.load_pem_x509_certificate(present).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    issued = office.json("ca", "issue", "--label", "tsa.public.1", "--name", str(name))
    leaf, issuing, root = x509.load_pem_x509_certificates(issued["chain_pem"].encode())
    assert leaf.public_bytes(Encoding.PEM) == present
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    refused = office.run("ca", "issue", "--label", "tsa.public.1", "--name", "Another Unit")
    assert refused.returncode == 1 and "CONFLICT" in refused.stderr
    assert (office.layout.pki / "tsa.public.1.pem").read_bytes() == present


@ONE_AT_A_TIME
def test_cas_that_the_office_cannot_do_without_or_does_not_have_are_not_revoked(office: RunningOffice) -> None:
    for name, reason, code in (
        ("infrastructure", "cACompromise", "CONFLICT"),
        ("root", "superseded", "INVALID_ARGUMENT"),
        ("seals.2", "superseded", "NOT_FOUND"),
        ("seals", "keyCompromise", "INVALID_ARGUMENT"),
    ):
        done = office.run("ca", "revoke-authority", name, "--reason", reason)
        assert done.returncode != 0 and code in done.stderr, (name, done.stderr)
    (crl,) = office.json("ca", "crl", "root")
    assert crl["entries"] == []


@OFFICIAL_SEAL
def test_quorum_of_a_seal_is_set_by_an_act(office: RunningOffice) -> None:
    """An office from before there was revocation gets a number for it so; here one that changes nothing for other tests."""
    before = next(one for one in office.json("seals", "list") if one["kind"] == "official")
    least = str(1 if before["quorum"].get("grant-untemplated") == 2 else 2)  # the seal's own rule is the floor
    done = office.run("seals", "quorum", "official", "--action", "grant-untemplated", "--least", least, *PEOPLE)
    assert done.returncode == 0 and "ledger entry" in " ".join(done.stdout.split()), done.stderr
    after = next(one for one in office.json("seals", "list") if one["kind"] == "official")
    assert after["quorum"] == before["quorum"] | {"grant-untemplated": int(least)}
    again = office.run("seals", "quorum", "official", "--action", "grant-untemplated", "--least", least, *PEOPLE)
    assert again.returncode == 1 and "is so already" in " ".join(again.stderr.split())
