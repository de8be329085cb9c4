"""Configuration blocks that several services share, and the one way to load them: a TOML file into frozen models.

Only composition roots and launchers call ``load``; nothing below them reads files of settings or the environment.
PINs are never values here, only paths of 0600 files.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sealcore.errors import Code, VermilionError

SOFTHSM_MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


class Block(BaseModel):
    """A frozen block of settings; an unknown name is an error, not a silent typo."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenSettings(Block):
    """Where a PKCS#11 token is and how to log in.

    ``softhsm_conf`` is given for SoftHSM only; it becomes SOFTHSM2_CONF of the process, so a process opens one token folder.
    """

    label: str
    pin_file: Path
    module: Path = SOFTHSM_MODULE
    softhsm_conf: Path | None = None
    sessions: int = Field(default=2, ge=1, le=64)


class TlsSettings(Block):
    """mTLS identity of a process: its key (0600), its chain, and the infrastructure CAs that it trusts (only those).

    crl_urls   where the CRLs of the CAs in ``trust_file`` are; peers' serials are checked at every call. ``{key}`` in an address
               stands for a CA's key identifier in hex: such an address serves every generation of the CA
    crl_cache  where the newest CRLs are kept over a restart
    ca_target  ``host:port`` of the CA that renews the certificate; without it somebody else has to
    """

    key_file: Path
    certificate_file: Path
    trust_file: Path
    crl_urls: tuple[str, ...] = ()
    crl_cache: Path | None = None
    ca_target: str | None = None


class DatabaseSettings(Block):
    """An SQLAlchemy URL: ``sqlite:///…`` or ``postgresql+psycopg://…``."""

    url: str


class Listen(Block):
    """An address to listen on; loopback unless an operator decides otherwise."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)

    @property
    def target(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


SettingsT = TypeVar("SettingsT", bound=Block)


def load(path: Path, model: type[SettingsT]) -> SettingsT:
    """Reads and checks a TOML file; raises CONFIGURATION_INVALID naming the field."""
    try:
        return model.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the configuration file {path.name} does not exist") from None
    except tomllib.TOMLDecodeError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} is not TOML: {fault}") from None
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name}: {where}: {first['msg']}") from None


def read_pin(path: Path) -> str:
    """The PIN in a file that only its owner may read; a file open to others is refused."""
    return read_secret(path, "PIN file")


def read_secret(path: Path, what: str) -> str:
    """The one line of a file that only its owner may read; CONFIGURATION_INVALID naming ``what`` when it is open to others."""
    try:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise VermilionError(Code.CONFIGURATION_INVALID, f"the {what} {path.name} is open to others (mode {mode:o}); make it 0600")
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the {what} {path.name} cannot be read") from None
