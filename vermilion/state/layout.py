"""Where everything of an office lies: the one place that knows the state folder's names.

vermilion.toml            the office: names, ports, people, seals (no secrets)
config/NAME.toml          what each service is started with, made from vermilion.toml at every start
config/NAME.local.toml    what the operator sets otherwise; never written by us
config/prometheus-targets.json  where monitoring reads
hsm/TOKEN/                one SoftHSM folder and PIN for each process that holds keys
pki/                      certificates, CRLs, public keys; nothing secret
tls/NAME/                 key.pem (0600), cert.pem, trust.pem of each service, operator and client
NAME/                     a service's own database and state
ceremony/                 a marker for each finished step
log/NAME.log
run/NAME.pid              a symbolic link whose text says which process it is; NAME.ready: it serves
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER_MODE = 0o700
DEFAULT_STATE = Path("var")


@dataclass(frozen=True)
class Layout:
    """The paths of one office; ``state`` is absolute."""

    state: Path

    @classmethod
    def at(cls, state: Path) -> Layout:
        """The layout of the office in ``state``, whether it is there yet or not."""
        return cls(state.expanduser().absolute())

    @property
    def office_file(self) -> Path:
        return self.state / "vermilion.toml"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def root_certificate(self) -> Path:
        return self.pki / "root.pem"

    @property
    def ceremony(self) -> Path:
        return self.state / "ceremony"

    @property
    def ready(self) -> bool:
        """Whether the key ceremony has ended."""
        return (self.ceremony / "finished").exists()

    @property
    def monitoring_targets(self) -> Path:
        """Where Prometheus finds the services (deploy/monitoring)."""
        return self.state / "config" / "prometheus-targets.json"

    def config(self, service: str) -> Path:
        return self.state / "config" / f"{service}.toml"

    def token(self, name: str) -> Path:
        return self.state / "hsm" / name

    def token_settings(self, name: str) -> Path:
        """The TOML file that says how to open this token."""
        return self.token(name) / "token.toml"

    def tls(self, name: str) -> Path:
        return self.state / "tls" / name

    def service(self, name: str) -> Path:
        return self.state / name

    def log(self, service: str) -> Path:
        return self.state / "log" / f"{service}.log"

    def run(self, name: str) -> Path:
        return self.state / "run" / name

    def make_folders(self) -> None:
        """Makes the state folder and its fixed parts, open to their owner only."""
        for folder in (self.state, *(self.state / part for part in ("config", "hsm", "pki", "tls", "ceremony", "log", "run"))):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
