"""Makes a SoftHSM token in a folder of its own: tokens/, softhsm2.conf, pin, token.toml.

The security officer's PIN, which sets a new PIN without the old one, is random and not kept: nothing of ours needs it, and it
would be a second way in.

The folder is built beside its place and renamed into it whole, so a crash leaves no half-made token behind under its name.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.config import SOFTHSM_MODULE, TokenSettings
from sealcore.platform.log import get as get_log

_PIN_BYTES: Final = 16  # random bytes, written as 32 hexadecimal digits: SoftHSM does not lock, so the PIN must resist guessing
_LABEL_BYTES: Final = 32  # CK_TOKEN_INFO.label
_INITIALISE_S: Final = 60.0
_UNWRITABLE: Final = frozenset("=#\r\n")  # softhsm2.conf has no way to quote them


def settings_of(folder: Path, label: str, *, module: Path = SOFTHSM_MODULE) -> TokenSettings:
    """The settings of the token that ``create`` makes, or made, in this folder."""
    folder = folder.absolute()
    return TokenSettings(label=label, pin_file=folder / "pin", module=module, softhsm_conf=folder / "softhsm2.conf")


def require_path(folder: Path) -> None:
    """INVALID_ARGUMENT for a folder in which no token can be made, as softhsm2.conf could not carry its path."""
    if _UNWRITABLE.intersection(str(folder)):
        raise VermilionError(Code.INVALID_ARGUMENT, "the path of a SoftHSM folder has no '=', no '#' and no line break")


def create(folder: Path, label: str, *, module: Path = SOFTHSM_MODULE) -> TokenSettings:
    """A new token with a random PIN in a new or empty folder (0700, files 0600).

    CONFLICT when the folder holds something, INVALID_ARGUMENT for a label over 32 bytes or a path that softhsm2.conf cannot
    carry, HSM_UNAVAILABLE when SoftHSM fails. The work runs in a process of its own, so the caller may have another token open.
    """
    settings = settings_of(folder, label, module=module)
    folder = folder.absolute()
    if not 0 < len(label.encode()) <= _LABEL_BYTES or not label.isprintable():
        raise VermilionError(Code.INVALID_ARGUMENT, "a token label has 1 to 32 printable bytes")
    require_path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise VermilionError(Code.CONFLICT, f"the folder {folder.name} holds something already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))  # mkdtemp: 0700
    try:
        _furnish(draft, settings)
        draft.rename(folder)  # replaces an empty folder, refuses any other
    except OSError as fault:
        raise VermilionError(Code.HSM_UNAVAILABLE, f"the token's folder cannot be made: {fault.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _sync(folder.parent)
    return settings


def mend(settings: TokenSettings) -> None:
    """Keeps a copy of the token's own record, and puts it back where the record is cut off. Nobody may be logging in meanwhile.

    SoftHSM writes that record anew, in place, at every login; a process that is killed in this instant leaves it empty, and the token
    would be lost with all its keys.
    """
    if settings.softhsm_conf is None:
        return
    folder = settings.softhsm_conf.parent
    for record in (folder / "tokens").glob("*/token.object"):
        copy = folder / f".{record.parent.name}.token.object"
        data, kept = durable.read(record) or b"", durable.read(copy)
        if kept is None and data:
            with suppress(VermilionError):  # without the copy this token is only as safe as SoftHSM makes it
                durable.write(copy, data, mode=durable.PRIVATE)
        # Shorter only: a longer or different record is SoftHSM's own newer one.
        elif kept is not None and len(data) < len(kept):
            get_log("hsm").error("the token's record was cut off, by a process killed at its login; put back", token=settings.label)
            durable.write(record, kept, mode=durable.PRIVATE)


def _furnish(draft: Path, settings: TokenSettings) -> None:
    pin, so_pin = secrets.token_hex(_PIN_BYTES), secrets.token_hex(_PIN_BYTES)
    (draft / "tokens").mkdir(mode=0o700)
    _write(draft / "draft.conf", _configuration(draft))
    _run_initialise(draft / "draft.conf", {"module": str(settings.module), "label": settings.label, "pin": pin, "so_pin": so_pin})
    (draft / "draft.conf").unlink()
    assert settings.softhsm_conf is not None
    _write(draft / "softhsm2.conf", _configuration(settings.softhsm_conf.parent))
    _write(draft / "pin", pin + "\n")
    _write(draft / "token.toml", _as_toml(settings))
    # Names are durable only with their folder: after a power cut a file that was synced may
    # have none.
    for folder in (*(path for path in draft.rglob("*") if path.is_dir()), draft):
        _sync(folder)


def _configuration(folder: Path) -> str:
    return f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"


def _as_toml(settings: TokenSettings) -> str:
    """The same settings for programs that take them as a file; a JSON string is a TOML string."""
    rows = settings.model_dump(mode="json", exclude_defaults=True)
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in rows.items())


def _run_initialise(configuration: Path, order: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sealcore.hsm.initialise"],
            input=json.dumps(order).encode(),
            env={**os.environ, "SOFTHSM2_CONF": str(configuration)},
            capture_output=True,
            timeout=_INITIALISE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VermilionError(Code.HSM_TIMEOUT, "SoftHSM does not finish initialising a token") from None
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise VermilionError(Code.HSM_UNAVAILABLE, f"SoftHSM cannot initialise a token: {told[-1] if told else 'it was killed'}")


def _write(path: Path, text: str) -> None:
    """A file that only its owner reads, on disk before we go on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
