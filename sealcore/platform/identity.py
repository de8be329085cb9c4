"""The files of an mTLS identity: read as a pair that belongs together, and switched as one.

A folder holds ``key.pem``, ``cert.pem`` and ``trust.pem``. Once it has been renewed, the first two are links into a generation:

    key.pem -> .current/key.pem      cert.pem -> .current/cert.pem      .current -> .generation-SERIAL

A generation is written whole before one rename of ``.current`` brings it in: no crash leaves a key beside another key's certificate.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.log import get as get_log

LOOK_S: Final = 1.0  # how often the files are looked at, at most
_TRIES: Final = 20
_PAUSE_S: Final = 0.01
_CURRENT: Final = ".current"
_GENERATION: Final = ".generation-"
_FOLDER_MODE: Final = 0o700

_Stamp = tuple[tuple[int, int, int], ...]


class Files(Protocol):
    """Where the files of an identity are: ``TlsSettings``, or anything else that names these three.

    Without ``trust_file`` it trusts nobody.
    """

    @property
    def key_file(self) -> Path: ...

    @property
    def certificate_file(self) -> Path: ...

    @property
    def trust_file(self) -> Path | None: ...


@dataclass(frozen=True)
class Identity:
    """A key, the certificate for it with its chain, and the CAs whose certificates it takes, all PEM.

    key_file, certificate_file  where exactly this pair is; it stays there until after the next renewal
    """

    key: bytes
    chain: bytes
    trust: bytes
    certificate: x509.Certificate
    key_file: Path
    certificate_file: Path

    @property
    def ends_s(self) -> float:
        """The certificate's notAfter, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()


def read(files: Files) -> Identity:
    """The identity as it is now; CONFIGURATION_INVALID when a file is missing, or key and certificate are not for each other."""
    fault: Exception | None = None
    for _ in range(_TRIES):
        try:
            return _read(files)
        except (OSError, ValueError, RuntimeError) as found:  # the files may have been replaced while we read them
            fault = found
        time.sleep(_PAUSE_S)
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    raise VermilionError(Code.CONFIGURATION_INVALID, f"the mTLS files beside {files.key_file} cannot be used: {reason}") from None


def _read(files: Files) -> Identity:
    # Resolved first, so that both are read from one generation, even if ``.current`` is
    # switched in between.
    key_file, certificate_file = files.key_file.resolve(strict=True), files.certificate_file.resolve(strict=True)
    key, chain = key_file.read_bytes(), certificate_file.read_bytes()
    trust = files.trust_file.read_bytes() if files.trust_file is not None else b""
    certificate = x509.load_pem_x509_certificate(chain)
    if _spki(load_pem_private_key(key, None).public_key()) != _spki(certificate.public_key()):
        raise ValueError("the certificate is for another key")
    return Identity(key, chain, trust, certificate, key_file, certificate_file)


def require_current(identity: Identity) -> None:
    """Raises CERTIFICATE_EXPIRED when it was not renewed in time: a machine slept, or the CA was away for long."""
    if identity.ends_s < time.time():
        raise VermilionError(Code.CERTIFICATE_EXPIRED, f"the certificate in {identity.certificate_file} has expired")


def _spki(key: object) -> bytes:
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return der


class IdentityWatch:
    """The identity in the files, read again when they have changed. Safe to use from several threads."""

    def __init__(self, files: Files) -> None:
        """Raises CONFIGURATION_INVALID as ``read``."""
        self._files = files
        self._stamp = _stamp(files)
        self._identity = read(files)
        self._looked_s = time.monotonic()
        self._log = get_log("identity")

    @property
    def current(self) -> Identity:
        """The newest identity that could be read; the one before while the files cannot be."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return self._identity
        self._looked_s = now_s
        return self.look()

    def look(self) -> Identity:
        """As ``current``, looking at the files now."""
        stamp = _stamp(self._files)
        if stamp == self._stamp:
            return self._identity
        self._stamp = stamp  # what cannot be used is not read again until it changes
        try:
            self._identity = read(self._files)
        except VermilionError as fault:
            self._log.warning("changed mTLS files cannot be used; the ones before stay in use", reason=fault.reason)
        else:
            self._log.info("mTLS files read anew", serial=f"{self._identity.certificate.serial_number:x}")
        return self._identity


def _stamp(files: Files) -> _Stamp:
    """Distinguishes two states of the files, with links followed; zeros for files that are missing."""
    found = []
    for path in (files.key_file, files.certificate_file, files.trust_file):
        try:
            seen = path.stat() if path is not None else None
        except OSError:
            seen = None
        found.append((seen.st_ino, seen.st_mtime_ns, seen.st_size) if seen is not None else (0, 0, 0))
    return tuple(found)


def replace(files: Files, key: bytes, chain: bytes) -> None:
    """Switches to a new key and its certificate, durably, both or neither.

    Readers see the old pair or the new one. Raises CONFIGURATION_INVALID when the two files are not in one folder,
    STORAGE_FULL or FILE_UNUSABLE when they cannot be written.
    """
    folder = files.key_file.parent
    if files.certificate_file.parent != folder:
        raise VermilionError(Code.CONFIGURATION_INVALID, "an mTLS key and its certificate are renewed in one folder only")
    try:
        # The order matters: links first (nothing changes), then the one rename that switches both
        # files, and only then old ones are removed.
        _link_in(files, folder)
        _switch(folder, _generation(files, folder, key, chain))
        _forget(folder)
    except OSError as fault:
        raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the mTLS files in {folder.name} cannot be replaced ({fault.strerror})") from None


def _generation(files: Files, folder: Path, key: bytes, chain: bytes) -> str:
    """Writes a pair into a folder of its own; the folder's name."""
    name = f"{_GENERATION}{x509.load_pem_x509_certificate(chain).serial_number:x}"
    (folder / name).mkdir(mode=_FOLDER_MODE, exist_ok=True)
    durable.write(folder / name / files.key_file.name, key, mode=durable.PRIVATE)
    durable.write(folder / name / files.certificate_file.name, chain, mode=durable.PRIVATE)
    durable.sync_folder(folder)
    return name


def _link_in(files: Files, folder: Path) -> None:
    """Makes plain files links into a generation of the same content; nothing changes for who reads them."""
    pair = (files.key_file, files.certificate_file)
    if all(path.is_symlink() for path in pair):
        return
    present = read(files)
    _switch(folder, _generation(files, folder, present.key, present.chain))
    for path in pair:
        _rename_link(f"{_CURRENT}/{path.name}", path)
    durable.sync_folder(folder)


def _switch(folder: Path, generation: str) -> None:
    _rename_link(generation, folder / _CURRENT)
    durable.sync_folder(folder)


def _rename_link(target: str, link: Path) -> None:
    draft = link.with_name(f".draft.{link.name}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    # A rename over the old link: there is no moment without one.
    draft.rename(link)


def _forget(folder: Path) -> None:
    """Removes generations but for the newest two: somebody may just be reading the one before."""
    current = (folder / _CURRENT).resolve().name
    others = sorted((path for path in folder.glob(f"{_GENERATION}*") if path.name != current), key=lambda path: path.stat().st_mtime_ns)
    for path in others[:-1]:
        shutil.rmtree(path, ignore_errors=True)
