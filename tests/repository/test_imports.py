"""What a program must not load to start: it would cost every service CPU, and buy nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVICES = ["ca.app", "ca.ocsp.app", "timestamp.app", "timestamp.worker", "ledger.app", "ledger.witness", "signer.app", "verify.app"]
SPARED = [
    *((service, "fastapi") for service in SERVICES),
    ("signer.worker.process", "psycopg"),
    ("signer.worker.process", "grpc"),
    ("ca.ocsp.app", "pkilint"),
]


@pytest.mark.parametrize(("program", "spared"), SPARED)
def test_a_program_loads_only_what_it_needs(program: str, spared: str) -> None:
    code = f"import sys, {program}; sys.exit('{spared}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
