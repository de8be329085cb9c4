"""Timestamp units for tests: keys in a real SoftHSM token, certificates by a small CA of software keys."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from sealcore.clock import Clock, SystemClock
from sealcore.hsm import softhsm
from sealcore.hsm.token import Token
from tests.support.once import copied, once
from tests.timestamp.chrony import chrony
from tests.timestamp.kit import SmallCa, UnitKeys
from timestamp.clock_watch import ClockWatch
from timestamp.settings import DEFAULT_POLICY_OID
from timestamp.unit import TimestampUnit

__all__ = ["chrony"]

ALGORITHMS = ("rsa-2048", "rsa-3072", "p-256", "p-384")

_GENERATE = """
import json, sys
from sealcore.platform.config import TokenSettings
from sealcore.hsm.token import Algorithm, Token
order = json.load(sys.stdin)
with Token.open(TokenSettings.model_validate(order["token"])) as token:
    keys = {name: token.generate(name, Algorithm(name)) for name in order["keys"]}
    json.dump({name: key.spki_der.hex() for name, key in keys.items()}, sys.stdout)
"""


@pytest.fixture(scope="session")
def unit_keys(tmp_path_factory: pytest.TempPathFactory) -> UnitKeys:
    """Made in a process of its own: this one may have another token open."""

    def make(folder: Path) -> None:
        order = {"token": softhsm.create(folder / "hsm", "tsa").model_dump(mode="json"), "keys": ALGORITHMS}
        done = subprocess.run([sys.executable, "-c", _GENERATE], input=json.dumps(order), capture_output=True, text=True, check=True)
        (folder / "keys.json").write_text(done.stdout)

    folder = copied(once(tmp_path_factory, "tsa", make), tmp_path_factory.mktemp("tsa"))
    made = json.loads((folder / "keys.json").read_text())
    public = {name: load_der_public_key(bytes.fromhex(spki)) for name, spki in made.items()}
    return UnitKeys(softhsm.settings_of(folder / "hsm", "tsa"), public)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def small_ca() -> SmallCa:
    return SmallCa()


@pytest.fixture
def token(unit_keys: UnitKeys) -> Iterator[Token]:
    """The token, open for one test."""
    with Token.open(unit_keys.settings) as opened:
        yield opened


MakeUnit = Callable[..., TimestampUnit]


@pytest.fixture
def make_unit(token: Token, small_ca: SmallCa) -> MakeUnit:
    """Makes units; everything but the algorithm has a sensible default."""

    def make(
        algorithm: str = "p-256",
        *,
        certificate: x509.Certificate | None = None,
        policy_oid: str = DEFAULT_POLICY_OID,
        accuracy_ms: int = 1000,
        clock: Clock | None = None,
        **others: Any,
    ) -> TimestampUnit:
        key = token.key(algorithm)
        return TimestampUnit(
            key,
            certificate or small_ca.unit(key.public_key),
            [small_ca.certificate],
            policy_oid=policy_oid,
            watch=ClockWatch("trust-machine", accuracy_ms=accuracy_ms, clock=clock or SystemClock()),
            **others,
        )

    return make


@pytest.fixture
def trust_file(small_ca: SmallCa, tmp_path: Path) -> Path:
    """The test CA, PEM."""
    path = tmp_path / "trust.pem"
    path.write_bytes(small_ca.certificate.public_bytes(Encoding.PEM))
    return path


def run(*command: str | Path) -> str:
    """Runs an independent program and returns what it printed; a failure fails the test."""
    done = subprocess.run(command, capture_output=True, check=False)
    printed = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {done.returncode}: {printed}")
    return printed


@pytest.fixture(name="run")
def _run() -> Callable[..., str]:
    return run
