"""Configuration blocks that several services share, and the one way to load them: a TOML file into frozen models.

Only composition roots and launchers call ``load``; nothing below them reads files of settings or the environment.
PINs are never values here, only paths of 0600 files.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sealcore.errors import Code, VermilionError

_BYTE_ORDER_MARK = "\ufeff"
_LINE_ENDS = frozenset("\n\r\0")
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
    crl_grace_s  for how long peers still count once the CA no longer confirms its CRLs: long enough for a restart of the CA, and much
               shorter than to the CRLs' own nextUpdate, because a certificate that is revoked meanwhile is not known to be
    ca_target  ``host:port`` of the CA that renews the certificate; without it somebody else has to
    """

    key_file: Path
    certificate_file: Path
    trust_file: Path
    crl_urls: tuple[str, ...] = ()
    crl_cache: Path | None = None
    crl_grace_s: int = Field(default=15 * 60, ge=10, le=24 * 3600)
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


def local_of(path: Path) -> Path:
    """The file of an operator's own beside a settings file: ``signer.local.toml`` beside ``signer.toml``."""
    return path.with_suffix(f".local{path.suffix}")


def load(path: Path, model: type[SettingsT]) -> SettingsT:
    """Reads and checks a TOML file, and over it the one of an operator's own (``local_of``), where there is one: tables are merged, any
    other value takes the place of the one that is there. Raises CONFIGURATION_INVALID naming file and field."""
    values, local = _read(path), local_of(path)
    checked = _checked(path, values, model)  # by itself: what is wrong with it is not told of the other file
    return _checked(local, _merged(values, _read(local)), model) if os.path.lexists(local) else checked


def _checked(path: Path, values: Mapping[str, Any], model: type[SettingsT]) -> SettingsT:
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name}: {where}: {first['msg']}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the configuration file {path.name} does not exist") from None
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the configuration file {path} cannot be read ({fault.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} is not TOML: {fault}") from None


def _merged(values: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merged(values[key], value) for key, value in own.items() if isinstance(value, dict) and isinstance(values.get(key), dict)}
    return {**values, **own, **both}


def read_pin(path: Path) -> str:
    """The PIN in a file that only its owner may read: UTF-8 (PKCS#11 v2.40 §5.1), as ``read_secret``."""
    return read_secret(path, "PIN file")


def read_secret(path: Path, what: str) -> str:
    """The one line of text, UTF-8, of a file that only its owner may read: all but the line's end, blanks too, belongs to the secret.

    CONFIGURATION_INVALID naming ``what`` when it is open to others, empty, of several lines, or begins with a byte order mark: a secret
    that is presumably not meant so is not tried, for an HSM may lock.
    """
    require_private(path, what)
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError:
        raise _unfit(path, what, "cannot be read") from None
    except UnicodeDecodeError:
        raise _unfit(path, what, "is not UTF-8") from None
    # One line end and no more: blanks may belong to the secret, and a wrong PIN counts against
    # the few tries of an HSM.
    secret = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not secret:
        raise _unfit(path, what, "is empty")
    if secret.startswith(_BYTE_ORDER_MARK):
        raise _unfit(path, what, "begins with a byte order mark; write it without")
    if _LINE_ENDS.intersection(secret):
        raise _unfit(path, what, "has more than one line, or a NUL")
    return secret


def require_private(path: Path, what: str) -> None:
    """CONFIGURATION_INVALID naming ``what`` unless the file is there and only its owner may read it."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        raise _unfit(path, what, "cannot be read") from None
    if mode & 0o077:
        raise _unfit(path, what, f"is open to others (mode {mode:o}); make it 0600")


def _unfit(path: Path, what: str, why: str) -> VermilionError:
    return VermilionError(Code.CONFIGURATION_INVALID, f"the {what} {path} {why}")
