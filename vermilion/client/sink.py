"""Where sealed documents go: files that are whole and durable, or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.log import get as get_log
from vermilion.client.documents import READ_BYTES, Document

OWN_PREFIX = ".vermilion-"  # our journals and unfinished files; no document may take such a name
_MOST_NAME_BYTES = 255


class Folder:
    """A folder of sealed documents, each under its document's own name.

    A name is reduced to its last component, so none leads out of the folder; of two equal names the later gets its index. Names are equal
    where some file system takes them for one: whatever their case and Unicode form. No file that is there is ever replaced.

    taken  names that belong to other documents of the same set
    """

    def __init__(self, path: Path, taken: Iterable[str] = ()) -> None:
        self.path = path
        self._taken = frozenset(map(_folded, taken))
        self._names: list[str] = []

    def prepare(self, documents: Sequence[Document]) -> None:
        """Settles each document's file; INVALID_ARGUMENT when a sealed file would have the place of one of the sources."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise durable.unusable(fault, self.path) from fault
        self._names = list(_file_names(documents, set(self._taken)))
        sources: set[tuple[int, int]] | None = None
        for document, name in zip(documents, self._names, strict=True):
            if (there := _identity(self.path / name)) is None:
                continue
            if sources is None:
                sources = {one for each in documents if each.path is not None and (one := _identity(each.path)) is not None}
            if there in sources:
                raise VermilionError(
                    Code.INVALID_ARGUMENT, "the sealed file would replace its source; choose another folder", document=document.name
                )

    def in_the_way(self) -> list[str]:
        """The names of settled files that are there already."""
        return [name for name in self._names if os.path.lexists(self.path / name)]

    def file(self, position: int) -> Path:
        """Where the document at ``position`` goes."""
        return self.path / self._names[position]

    def write(self, position: int, document: Document, suffix: bytes, sealed_sha256: bytes, *, ours: bool = False) -> Path:
        """Writes document ‖ suffix under a temporary name, makes it durable, then gives it its name.

        DOCUMENT_MISMATCH when the bytes are not those that were sealed (the file changed meanwhile); STORAGE_FULL; CONFLICT when another
        file has the name. One that was ``ours`` before somebody changed it is set aside. The folder's own entry is durable after ``flush``.
        """
        target = self.file(position)
        temporary = self.path / f"{OWN_PREFIX}{secrets.token_hex(8)}.part"  # short: a name may be as long as the file system allows
        digest = hashlib.sha256()
        try:
            with temporary.open("xb") as file:
                for block in (*document.blocks(), suffix) if isinstance(document.source, bytes) else _followed(document, suffix):
                    digest.update(block)
                    file.write(block)
                # Before the file gets its name: what bears it is what the signer sealed, byte for
                # byte.
                if digest.digest() != sealed_sha256:
                    raise VermilionError(Code.DOCUMENT_MISMATCH, "the file changed while it was being sealed", document=document.name)
                file.flush()
                os.fsync(file.fileno())
            # Never a plain rename: that would replace a file that somebody put there in the
            # meantime.
            while not _given_name(temporary, target) and not self.holds(position, sealed_sha256):
                if not ours:
                    reason = f"{target.name} is in {self.path} already and is not this document under this seal; nothing is replaced"
                    raise VermilionError(Code.CONFLICT, reason, document=document.name)
                _set_aside(target)
        except OSError as fault:
            raise durable.unusable(fault, target, document=document.name) from fault
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def holds(self, position: int, sealed_sha256: bytes) -> bool:
        """Whether the document's file is there with exactly these bytes."""
        return holds(self.file(position), sealed_sha256)

    def flush(self) -> None:
        """Makes the names of all files written so far durable. FILE_UNUSABLE, STORAGE_FULL."""
        try:
            durable.sync_folder(self.path)
        except OSError as fault:
            raise durable.unusable(fault, self.path) from fault


def holds(path: Path, sealed_sha256: bytes) -> bool:
    """Whether there is a file with exactly these bytes."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
    except OSError:
        return False
    return digest.digest() == sealed_sha256


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Makes the folder, and lets one after another decide what is to be done with it: processes that seal into it wait here."""
    Folder(path).prepare(())
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _followed(document: Document, suffix: bytes) -> Iterator[bytes]:
    yield from document.blocks()
    yield suffix


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _given_name(temporary: Path, target: Path) -> bool:
    """Gives the file its name; False when one of that name is there."""
    try:
        durable.link(temporary, target)
    except FileExistsError:
        return False
    return True


def _set_aside(target: Path) -> None:
    kept = target.with_name(f"{OWN_PREFIX}{secrets.token_hex(4)}.changed")  # short, as the name itself may be as long as allowed
    target.rename(kept)
    get_log("client").warning("a sealed file was changed by somebody; it is set aside and fetched again", file=target.name, kept=kept.name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _file_names(documents: Iterable[Document], taken: set[str]) -> Iterator[str]:
    for index, document in enumerate(documents):
        name = re.sub(r"\x00", "_", document.file_name.rsplit("/", 1)[-1])
        if name in ("", ".", ".."):
            name = f"document-{index}.pdf"
        if name.startswith(OWN_PREFIX):
            name = "_" + name
        name, addition = _shortened(name, ""), f"~{index}"
        while _folded(name) in taken:
            name, addition = _shortened(name, addition), addition + "~"
        taken.add(_folded(name))
        yield name


def _shortened(name: str, addition: str) -> str:
    """``name`` with ``addition`` before its suffix, cut to what a file system takes."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    while len(os.fsencode(result := f"{stem}{addition}{dot}{suffix}")) > _MOST_NAME_BYTES:
        stem, suffix = (stem[:-1], suffix) if stem else (stem, suffix[:-1])
    return result
