"""What must never be seen is never seen: PINs, private keys and tokens in logs, process lists, readable files."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from tests.system.conftest import Demo, Up

pytestmark = pytest.mark.xdist_group("office")

JWS = re.compile(r"eyJ[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}")


def _pins(state: Path) -> set[str]:
    pins = {file.read_text("ascii").strip() for file in state.rglob("*pin") if file.is_file()}
    assert len(pins) >= 8
    return pins


def _private_keys(state: Path) -> set[str]:
    """A line of each private key's body."""
    return {file.read_text("ascii").splitlines()[1] for file in state.glob("tls/**/key.pem")}


def test_logs_and_output_hold_no_secret(demo: Demo, up: Up) -> None:
    logs = {file.name: file.read_text("utf-8", "replace") for file in (demo.state / "log").iterdir()}
    assert logs["signer.log"], "the signer logs something"
    for secret in _pins(demo.state) | _private_keys(demo.state):
        for name, text in {**logs, "demo's output": demo.printed}.items():
            assert secret not in text, name
    for name, text in logs.items():
        assert not JWS.search(text), f"{name} shows an approval token"


def test_the_process_list_never_showed_a_secret(demo: Demo) -> None:
    assert any("-m signer" in line for line in demo.command_lines)
    assert any("hsm_config.keygen" in line for line in demo.command_lines)
    for secret in _pins(demo.state) | _private_keys(demo.state):
        assert not [line for line in demo.command_lines if secret in line]


def test_secret_files_are_closed_to_others(demo: Demo) -> None:
    secret = [*demo.state.rglob("*pin"), *demo.state.glob("tls/**/key.pem")]
    assert secret
    for file in secret:
        assert stat.S_IMODE(file.stat().st_mode) & 0o177 == 0, file.name
    for folder in (demo.state, *(demo.state / "hsm").iterdir()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder.name


def test_no_private_key_of_the_office_is_a_file(demo: Demo) -> None:
    """Only the short-lived mTLS keys are files; every other key is in a token."""
    found = [file for file in demo.state.rglob("*") if file.is_file() and "tls" not in file.parts and b"PRIVATE KEY" in file.read_bytes()]
    assert not found
