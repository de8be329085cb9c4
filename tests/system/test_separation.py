"""The workflow cannot reach the signer's keys or database; each process opens its own token alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings, load
from tests.system.conftest import Demo, Up

pytestmark = pytest.mark.xdist_group("office")

OWN_TOKEN = {
    "signer": "signer",
    "ca": "ca",
    "ocsp": "ocsp",
    "timestamp": "timestamp",
    "workflow": "workflow",
    "ledger": "ledger",
    "witness": "witness",
}


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
    assert databases <= {service, *(["ca"] if service == "ocsp" else [])}  # the responder reads the CA's record


def test_the_workflows_configuration_names_nothing_of_the_signers(demo: Demo) -> None:
    text = (demo.state / "config" / "workflow.toml").read_text("utf-8")
    assert "hsm/signer" not in text
    assert "signer.db" not in text


def test_the_workflows_pin_does_not_open_the_signers_token(demo: Demo) -> None:
    signers = demo.state / "hsm" / "signer"
    settings = load(signers / "token.toml", TokenSettings)
    with Token.open(settings):
        pass  # its own PIN opens it, so a refusal below is about the PIN
    settings = settings.model_copy(update={"pin_file": demo.state / "hsm" / "workflow" / "pin"})
    with pytest.raises(VermilionError) as refusal:
        Token.open(settings)
    assert refusal.value.code is Code.HSM_PIN_REFUSED


def test_with_accounts_of_their_own_the_file_system_shuts_them_out_too(demo: Demo, passable: Path, repository: Path) -> None:
    """`deploy/accounts.sh` on a copy of the office: each account reads its own token, database and key, and nobody else's."""
    assert os.geteuid() == 0, "this test changes accounts and needs root"
    state = passable / "var"
    shutil.copytree(demo.state, state)
    said = subprocess.run(
        [repository / "deploy" / "accounts.sh", state, "--numbers", "64000"], capture_output=True, text=True, check=True
    ).stdout
    accounts = {name: int(number) for name, number in (line.split() for line in said.splitlines())}
    for file in ("vermilion.toml", "config/timestamp.toml", "config/signer.toml"):
        assert 'clock = "require-synchronised"' in (state / file).read_text("utf-8"), "an office in earnest stamps no unproven time"
    private = ("hsm/{0}/pin", "hsm/{0}/softhsm2.conf", "tls/{0}/key.pem", "{0}/{0}.db", "config/{0}.toml")
    for name, number in accounts.items():
        for other in accounts:
            for file in (state / one.format(other) for one in private):
                if file.exists():
                    shared = (name, file.name) == ("ocsp", "ca.db")  # the responder reads the CA's record
                    assert _readable(file, number) == (name == other or shared), f"{name} and {file.relative_to(state)}"
                    assert _writable(file, number) == (name == other), f"{name} and {file.relative_to(state)}"
        assert _readable(state / "pki" / "root.pem", number)
        assert _readable(state / "ledger" / "public" / "checkpoint", number), f"{name} may compare what the log published"
        assert not _writable(state / "ledger" / "public" / "checkpoint", number) or name == "ledger"
        assert not _readable(state / "hsm" / "root" / "pin", number)


def _readable(file: Path, account: int) -> bool:
    return _may(account, "cat", file)


def _writable(file: Path, account: int) -> bool:
    """Whether the file can be changed, or another be put beside it."""
    return _may(account, "test", "-w", file) or _may(account, "test", "-w", file.parent)


def _may(account: int, *command: str | Path) -> bool:
    change = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups"]
    return subprocess.run([*change, *command], capture_output=True, check=False).returncode == 0
