"""A seal's certificate from an outside CA, by the command line alone: the request goes out, the chain comes in, the next seal stands on it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader

from tests.cli.papers import applied, papers
from tests.cli.running import RunningOffice, shared_office, vermilion
from tests.signer.outside_ca import SEAL, OutsideCa
from vermilion import exits
from vermilion.planning.examples import DEMO
from vermilion.state.layout import Layout
from vermilion.state.office import Office

LABEL = "seal.contract.1"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[OutsideCa]:
    """A CA that openssl runs, with OCSP and CRLs."""
    ca = OutsideCa(tmp_path / "outside")
    yield ca
    ca.close()


@pytest.fixture
def office(tmp_path: Path, outside: OutsideCa) -> Iterator[RunningOffice]:
    """An office that may ask that CA."""
    layout = Layout.at(tmp_path / "office" / "var")
    made = vermilion("init", "--plan", DEMO, "--state", layout.state)
    assert made.returncode == exits.DONE, made.stderr
    Office.load(layout).model_copy(update={"outside_ca_hosts": (outside.host,)}).save(layout)
    with shared_office(tmp_path / "office") as running:
        yield running


def test_request_goes_out_chain_comes_in_and_the_next_seal_stands_on_it(office: RunningOffice, outside: OutsideCa, tmp_path: Path) -> None:
    out, chain = tmp_path / "contract.csr", tmp_path / "chain.pem"
    assert office.run("ca", "request", "--label", LABEL, "--out", out).returncode == exits.DONE
    request = x509.load_pem_x509_csr(out.read_bytes()).public_bytes(Encoding.DER)
    certificates = [outside.certify(request, SEAL), *outside.chain()]
    chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))

    applying = office.run("ca", "import", chain, "--label", LABEL, "--as", "Chen Rui")
    assert applying.returncode == exits.DONE and "has 1 of 2 approvals" in " ".join(applying.stdout.split()), "one person is no quorum"
    imported = office.json("ca", "import", chain, "--label", LABEL, "--as", "Chen Rui", "--as", "Zhao Ming")
    assert imported["ledger_index"] > 0

    documents, sealed = papers(tmp_path / "papers", 1), tmp_path / "sealed"
    applied(office, documents, sealed)
    assert office.run("seal", documents, "--out", sealed).returncode == exits.DONE
    (document,) = sealed.glob("*.pdf")
    signature = PdfFileReader(BytesIO(document.read_bytes())).embedded_regular_signatures[0]
    assert signature.signer_cert.dump() == certificates[0].public_bytes(Encoding.DER)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(certificates[-1].public_bytes(Encoding.PEM))
    judged = subprocess.run(
        ["openssl", "verify", "-CAfile", roots, "-untrusted", chain, chain], capture_output=True, text=True, check=False
    )
    assert judged.returncode == 0, judged.stderr
    assert any(path.startswith("/ocsp") or path.endswith(".crl") for path in outside.asked), "nobody asked whether it is revoked"
