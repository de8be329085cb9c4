"""What a program must not load to start: it would cost every service CPU, and buy nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache

import pytest

SERVICES = ["ca.app", "ca.ocsp.app", "timestamp.app", "timestamp.worker", "ledger.app", "ledger.witness", "signer.app", "verify.app"]
WITHOUT_DATABASE = ["timestamp.app", "timestamp.worker", "ledger.app", "ledger.witness", "verify.app"]
WITHOUT_RPC = ["timestamp.app", "timestamp.worker", "ledger.witness", "signer.worker.process"]
SPARED = [
    *((service, "fastapi") for service in SERVICES),
    *((program, library) for program in (*SERVICES, "workflow.app", "signer.worker.process") for library in ("rich", "pygments")),
    *((program, "sqlalchemy") for program in WITHOUT_DATABASE),
    *((program, "grpc") for program in WITHOUT_RPC),
    *(("verify.app", library) for library in ("pyhanko", "pypdfium2", "fontTools", "aiohttp")),
    ("signer.worker.process", "psycopg"),
    *((program, "pkilint") for program in ("ca.app", "ca.ocsp.app")),
    ("ca.issuance.findings", "iso639"),
    *(("vermilion.cli.program", library) for library in ("sqlalchemy", "pkilint", "pikepdf", "fontTools")),
]


@pytest.fixture(scope="module")
def loaded() -> Callable[[str], frozenset[str]]:
    """The modules that a new process has after importing one."""

    @cache
    def of(program: str) -> frozenset[str]:
        code = f"import sys, {program}; print(*sys.modules)"
        return frozenset(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())

    return of


@pytest.mark.parametrize(("program", "spared"), SPARED)
def test_a_program_loads_only_what_it_needs(loaded: Callable[[str], frozenset[str]], program: str, spared: str) -> None:
    assert program in loaded(program) and spared not in loaded(program)
