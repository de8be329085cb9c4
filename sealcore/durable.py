"""Files that are whole and on disk when a call returns: written beside, synced, renamed into place, folders synced."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from sealcore.errors import Code, VermilionError

PUBLIC, PRIVATE = 0o644, 0o600
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def write(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Replaces ``path`` durably. A crash leaves the old file or the new one, never a part.

    With ``mode`` PRIVATE nobody else can read it, from its first moment. Raises STORAGE_FULL or SERVICE_UNAVAILABLE.
    """
    try:
        make_folder(path.parent)
        descriptor, draft = tempfile.mkstemp(prefix=".draft.", dir=path.parent)  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(draft).rename(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as fault:
        raise _translated(fault, path) from None


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents; each new name is durable in its own parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes | None:
    """The bytes of a file, None when there is none; raises SERVICE_UNAVAILABLE when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise _translated(fault, path) from None


def _translated(fault: OSError, path: Path) -> VermilionError:
    if fault.errno in _NO_SPACE:
        return VermilionError(Code.STORAGE_FULL, f"the disk is full; {path.name} was not written")
    return VermilionError(Code.SERVICE_UNAVAILABLE, f"{path.name} cannot be read or written ({fault.strerror})")
