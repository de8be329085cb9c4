"""The workflow cannot reach the signer's keys or database; each process opens its own token alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from sealcore.config import TokenSettings
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from tests.system.conftest import Demo, Up

OWN_TOKEN = {"signer": "signer", "ca": "ca", "timestamp": "timestamp", "workflow": "workflow", "ledger": "ledger", "witness": "witness"}
NOBODY = 64_999  # an account number that owns nothing


def _touched(pid: int) -> set[str]:
    """Every path that a process has open, mapped or in its environment."""
    opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return opened | set(Path(f"/proc/{pid}/maps").read_text("utf-8").split()) | set(environment)


@pytest.mark.parametrize("service", [*OWN_TOKEN, "verify"])
def test_a_process_touches_no_other_processes_token_or_database(up: Up, service: str) -> None:
    state = str(up.demo.state)
    folders = {match[1] for one in _touched(up.pids[service]) if (match := re.search(re.escape(state) + r"/hsm/(\w+)", one))}
    assert folders <= {OWN_TOKEN.get(service)}
    databases = {match[1] for one in _touched(up.pids[service]) if (match := re.search(re.escape(state) + r"/(\w+)/\w+\.db", one))}
    assert databases <= {service}


def test_the_workflows_configuration_names_nothing_of_the_signers(demo: Demo) -> None:
    text = (demo.state / "config" / "workflow.toml").read_text("utf-8")
    assert "hsm/signer" not in text
    assert "signer.db" not in text


def test_the_workflows_pin_does_not_open_the_signers_token(demo: Demo) -> None:
    signers = demo.state / "hsm" / "signer"
    settings = TokenSettings(
        label="signer", pin_file=demo.state / "hsm" / "workflow" / "pin", softhsm_conf=signers / "softhsm2.conf", sessions=1
    )
    with pytest.raises(VermilionError) as refusal:
        Token.open(settings)
    assert refusal.value.code is Code.HSM_PIN_REFUSED


def test_another_account_reads_neither_token_nor_database(demo: Demo) -> None:
    """With an account of its own, as `deploy/` sets up, the workflow is shut out by the file system too."""
    if os.geteuid() != 0:
        pytest.fail("this test changes accounts and needs root")
    for name in ("hsm/signer/pin", "hsm/signer/softhsm2.conf", "signer/signer.db"):
        file = demo.state / name
        assert file.exists()
        seen = subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat", file], capture_output=True, check=False
        )
        assert seen.returncode != 0
        assert b"Permission denied" in seen.stderr
