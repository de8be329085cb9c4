"""The workflow cannot reach the signer's keys or database; each process opens its own token alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings, load
from tests.accounts import as_account
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


@pytest.mark.parametrize("service", [*OWN_TOKEN, "verify", "sandbox"])
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


@dataclass(frozen=True)
class Separated:
    """A copy of the office after `deploy/accounts.sh`, and the number of each account."""

    state: Path
    original: Path
    accounts: dict[str, int]


@pytest.fixture(scope="module")
def separated(demo: Demo, repository: Path) -> Iterator[Separated]:
    assert os.geteuid() == 0, "these tests change accounts and need root"
    with tempfile.TemporaryDirectory(prefix="vermilion-accounts-") as name:  # pytest's own folders let nobody pass through
        Path(name).chmod(0o711)
        state = Path(name) / "var"
        shutil.copytree(demo.state, state, ignore=shutil.ignore_patterns("callers"), symlinks=True)
        said = subprocess.run(
            [repository / "deploy" / "accounts.sh", state, "--numbers", "64000"], capture_output=True, text=True, check=True
        ).stdout
        yield Separated(state, demo.state, {name: int(number) for name, number in (line.split() for line in said.splitlines())})


def test_with_accounts_of_their_own_the_file_system_shuts_them_out_too(separated: Separated) -> None:
    """Each account reads its own token, database and key, and nobody else's."""
    state, accounts = separated.state, separated.accounts
    for settings in ("vermilion.toml", "config/timestamp.toml", "config/signer.toml"):
        assert 'clock = "require-synchronised"' in (state / settings).read_text("utf-8"), "an office in earnest stamps no unproven time"
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


PUBLIC = ("pki/", "ledger/public/", "config/prometheus-targets.json")


def test_an_account_reaches_nothing_but_its_own_and_what_is_public(separated: Separated) -> None:
    """Over every file and folder of the office, so that nothing is forgotten: people's keys, the operator's, others' bundles, logs."""
    found = [(path, path.stat().st_uid, path.is_dir()) for path in separated.state.rglob("*") if not path.is_symlink()]
    for name, number in separated.accounts.items():
        others = [(path, is_folder) for path, owner, is_folder in found if owner != number]

        def reached(others: list[tuple[Path, bool]] = others) -> tuple[list[str], list[str]]:
            read = [path for path, is_folder in others if not is_folder and os.access(path, os.R_OK)]
            written = [path for path, _ in others if os.access(path, os.W_OK)]
            return [str(path.relative_to(separated.state)) for path in read], [str(path) for path in written]

        read, written = as_account(number, reached)
        assert written == [], name
        shared = ("ca/ca.db",) if name == "ocsp" else ()
        assert [one for one in read if not one.startswith((*PUBLIC, *shared))] == [], name


def test_an_account_reads_everything_that_its_configuration_names(separated: Separated) -> None:
    """Or its service would not start: the signer looks at the last checkpoint, which the log process writes."""
    for name, number in separated.accounts.items():
        named = _paths(tomllib.loads((separated.state / "config" / f"{name}.toml").read_text("utf-8")))
        here = [separated.state / path.relative_to(separated.original) for path in named if path.is_relative_to(separated.original)]
        there = [path for path in here if path.exists()]
        assert len(there) >= 2, name
        # The sandbox asks who owns its callers' folders, and sees no further.
        needed = os.F_OK if name == "sandbox" else os.R_OK
        unread = as_account(number, lambda there=there, needed=needed: [str(path) for path in there if not os.access(path, needed)])  # type: ignore[misc]
        assert unread == [], name
        assert name != "signer" or separated.state / "ledger/public/checkpoint" in there


def test_a_unit_of_systemd_may_write_what_its_account_owns(separated: Separated, repository: Path) -> None:
    """Its own folder, its token, and its mTLS key, which it renews."""
    units = repository / "deploy" / "systemd"
    for name in separated.accounts:
        (unit,) = units.glob(f"vermilion[-@]{name}.service")
        (line,) = re.findall(r"^ReadWritePaths=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
        writable = {path.lstrip("-") for path in line.split()}
        owned = [one for one in (name, f"tls/{name}", f"hsm/{name}") if (separated.state / one).exists()]
        assert {f"/var/lib/vermilion/{one}" for one in owned} <= writable, name


def _paths(value: Any) -> list[Path]:
    """Every absolute path in a configuration, those in addresses of databases included."""
    if isinstance(value, dict):
        return [path for one in value.values() for path in _paths(one)]
    if isinstance(value, list):
        return [path for one in value for path in _paths(one)]
    text = value.removeprefix("sqlite:///") if isinstance(value, str) else ""
    return [Path(text)] if text.startswith("/") else []


def _readable(file: Path, account: int) -> bool:
    return _may(account, "cat", file)


def _writable(file: Path, account: int) -> bool:
    """Whether the file can be changed, or another be put beside it."""
    return _may(account, "test", "-w", file) or _may(account, "test", "-w", file.parent)


def _may(account: int, *command: str | Path) -> bool:
    change = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups"]
    return subprocess.run([*change, *command], capture_output=True, check=False).returncode == 0
