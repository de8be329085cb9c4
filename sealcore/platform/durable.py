"""Files that are whole and on disk when a call returns: written beside, synced, renamed into place, folders synced."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import NO_SPACE, exhausted

PUBLIC, PRIVATE = 0o644, 0o600
_WORDS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EEXIST: "something else has that name",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.EISDIR: "it is a folder, where a file is meant",
    errno.EACCES: "you have no right to it",
    errno.EPERM: "you have no right to it",
    errno.ELOOP: "its links lead in a circle",
}
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def write(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Replaces ``path`` durably. A crash leaves the old file or the new one, never a part.

    With ``mode`` PRIVATE nobody else can read it, from its first moment. Raises STORAGE_FULL or FILE_UNUSABLE.
    """
    _write(path, data, mode, lambda draft: draft.rename(path))


def create(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """The same for a file that is not there yet: CONFLICT when one is, unless it holds these very bytes."""

    def give_name(draft: Path) -> None:
        try:
            link(draft, path)
        except FileExistsError:
            if read(path) != data:
                raise VermilionError(Code.CONFLICT, f"{path} is there already and holds something else; nothing is replaced") from None

    _write(path, data, mode, give_name)


def link(draft: Path, path: Path) -> None:
    """Gives ``draft`` its final name without replacing anything: FileExistsError when the name is taken.

    Afterwards ``draft`` may be gone, or is left for the caller to remove.
    """
    try:
        os.link(draft, path)
    except OSError as fault:
        if fault.errno not in _NO_LINKS:
            raise
        path.touch(exist_ok=False)  # without links an empty file holds the place
        draft.rename(path)


def _write(path: Path, data: bytes, mode: int, give_name: Callable[[Path], object]) -> None:
    try:
        make_folder(path.parent)
        descriptor, name = tempfile.mkstemp(prefix=".draft.", dir=path.parent)  # 0600
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                # Before the file has its name: nobody sees it with other rights than it is to have.
                os.fchmod(file.fileno(), mode)
                # Before the name: a rename may reach the disk before the data, and a crash would
                # leave an empty file under the final name.
                os.fsync(file.fileno())
            give_name(draft)
        finally:
            draft.unlink(missing_ok=True)
        # And the name itself, which belongs to the folder.
        sync_folder(path.parent)
    except OSError as fault:
        raise unusable(fault, path) from None


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
    """The bytes of a file, None when there is none; raises FILE_UNUSABLE when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise unusable(fault, path) from None


def unusable(fault: OSError, path: Path | str, *, document: str | None = None) -> VermilionError:
    """The typed error of a file or folder that cannot be read or written: FILE_UNUSABLE, or STORAGE_FULL."""
    short = exhausted(fault)
    if fault.errno in NO_SPACE:
        return VermilionError(Code.STORAGE_FULL, f"the disk is full; {Path(path).name} was not written", document=document)
    if short is not None:
        return VermilionError(short.code, f"{path} cannot be used: {short.reason}", document=document)
    why = _WORDS.get(fault.errno or 0) or fault.strerror or type(fault).__name__
    return VermilionError(Code.FILE_UNUSABLE, f"{path} cannot be used: {why}", document=document)
