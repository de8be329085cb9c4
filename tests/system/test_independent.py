"""Programs that share no code with ours agree: pdfsig, openssl, pyHanko's validator."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from pkilint.bin import lint_crl, lint_pkix_cert
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from tests.system.conftest import Demo, Up

pytestmark = pytest.mark.xdist_group("office")


@dataclass(frozen=True)
class Signature:
    """What a sealed file carries, cut out by its byte range."""

    name: str
    signed: bytes
    contents: bytes

    @property
    def timestamp(self) -> cms.ContentInfo:
        info = cms.ContentInfo.load(self.contents)["content"]["signer_infos"][0]
        (token,) = [one["values"][0] for one in info["unsigned_attrs"] if one["type"].native == "signature_time_stamp_token"]
        return token

    @property
    def value(self) -> bytes:
        """The signature value, which the timestamp is over."""
        found: bytes = cms.ContentInfo.load(self.contents)["content"]["signer_infos"][0]["signature"].native
        return found


def _last_signature(path: Path) -> Signature:
    data = path.read_bytes()
    *_, found = re.finditer(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]", data)
    start, first, second, length = (int(one) for one in found.groups())
    assert (start, second + length) == (0, len(data))
    hexadecimal = data[first + 1 : second - 1]
    contents = bytes.fromhex(hexadecimal.decode("ascii"))
    return Signature(path.name, data[:first] + data[second:], cms.ContentInfo.load(contents).dump())


@pytest.fixture(scope="module")
def signatures(demo: Demo) -> list[Signature]:
    return [_last_signature(path) for path in demo.sealed]


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, f"{command[:3]}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.usefixtures("up")
def test_pdfsig_trusts_every_sealed_file(demo: Demo, tmp_path: Path) -> None:
    """With the office up: pdfsig asks the certificate's OCSP responder."""
    _run("certutil", "-N", "-d", f"sql:{tmp_path}", "--empty-password")
    _run("certutil", "-A", "-d", f"sql:{tmp_path}", "-n", "root", "-t", "CT,C,C", "-i", demo.out / "demo" / "root.pem")
    for path in demo.sealed:
        blocks = re.split(r"Signature #\d+:", _run("pdfsig", "-nssdir", f"sql:{tmp_path}", path))
        (ours,) = [block for block in blocks if "Signature Field Name: Vermilion-" in block]
        for wanted in ("Signature is Valid", "Certificate is Trusted", "Total document signed", "ETSI.CAdES.detached"):
            assert wanted in ours, f"{path.name}: {ours}"


def test_pyhanko_finds_every_seal_valid_and_its_timestamp_trusted(demo: Demo) -> None:
    root = load_cert_from_pemder(str(demo.out / "demo" / "root.pem"))
    for path in demo.sealed:
        seal = PdfFileReader(BytesIO(path.read_bytes())).embedded_signatures[-1]
        status = validate_pdf_signature(seal, ValidationContext(trust_roots=[root], allow_fetching=False))
        assert status.bottom_line, f"{path.name}: {status.pretty_print_details()}"
        assert status.timestamp_validity is not None
        assert status.timestamp_validity.trusted, path.name


def test_openssl_verifies_every_signature_as_cms(demo: Demo, signatures: list[Signature], tmp_path: Path) -> None:
    content, structure = tmp_path / "content", tmp_path / "cms.der"
    for one in signatures:
        content.write_bytes(one.signed)
        structure.write_bytes(one.contents)
        said = _run(
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", structure, "-content", content),
            *("-CAfile", demo.out / "demo" / "root.pem", "-purpose", "any", "-out", "/dev/null"),
        )
        assert "successful" in said, one.name


def test_openssl_verifies_every_timestamp(demo: Demo, signatures: list[Signature], tmp_path: Path) -> None:
    token, data = tmp_path / "token.der", tmp_path / "signature"
    for one in signatures:
        token.write_bytes(one.timestamp.dump())
        data.write_bytes(one.value)
        said = _run(
            *("openssl", "ts", "-verify", "-token_in", "-in", token, "-data", data),
            *("-CAfile", demo.out / "demo" / "root.pem", "-untrusted", demo.state / "pki" / "seals.pem"),
        )
        assert "Verification: OK" in said, one.name


@pytest.fixture(scope="module")
def crls(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All three CRLs as one PEM file, fetched where the certificates say."""
    folder, pem = tmp_path_factory.mktemp("crls"), b""
    for name in ("root", "seals", "infrastructure"):
        answer = httpx.get(f"http://127.0.0.1:{up.ports['ca_http']}/crl/{name}.crl")
        assert answer.headers["content-type"] == "application/pkix-crl"
        (folder / "crl.der").write_bytes(answer.content)
        pem += subprocess.run(["openssl", "crl", "-inform", "DER", "-in", folder / "crl.der"], capture_output=True, check=True).stdout
    (folder / "all.pem").write_bytes(pem)
    yield folder / "all.pem"


def test_openssl_verifies_every_certificate_against_the_crls(demo: Demo, crls: Path) -> None:
    pki = demo.state / "pki"
    certificates = [*pki.glob("seal.*.pem"), *pki.glob("tsa.*.pem"), *(demo.state / "tls").glob("**/cert.pem")]
    assert len(certificates) >= 10
    for certificate in certificates:
        issuer = "infrastructure" if "tls" in certificate.parts else "seals"
        said = _run(
            *("openssl", "verify", "-crl_check_all", "-CAfile", pki / "root.pem", "-untrusted", pki / f"{issuer}.pem"),
            *("-CRLfile", crls, certificate),
        )
        assert said.rstrip().endswith("OK"), said


def test_pkilint_finds_no_error_in_any_certificate_or_crl(
    demo: Demo, up: Up, crls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its programs' own entry points, in this process: each start takes longer than the look at one certificate."""
    files = [*(demo.state / "pki").glob("*.pem"), *(demo.state / "tls").glob("**/cert.pem")]
    certificates = {one for file in files for one in load_pem_x509_certificates(file.read_bytes())}
    assert len(certificates) >= 15
    for certificate in certificates:
        file = tmp_path / "certificate.der"
        file.write_bytes(certificate.public_bytes(Encoding.DER))
        code, found = lint_pkix_cert.main(["lint", "-s", "ERROR", str(file)]), capsys.readouterr()
        assert (code, found.out.strip()) == (0, ""), f"{certificate.subject}: {found.out}{found.err}"
    for name in ("root", "seals", "infrastructure"):
        file = tmp_path / f"{name}.crl"
        file.write_bytes(httpx.get(f"http://127.0.0.1:{up.ports['ca_http']}/crl/{name}.crl").content)
        code, found = lint_crl.main(["lint", "-t", "CRL", "-p", "PKIX", "-s", "ERROR", str(file)]), capsys.readouterr()
        assert (code, found.out.strip()) == (0, ""), f"{name}: {found.out}{found.err}"
