"""Where sealed documents go: files that are whole and durable, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sealcore.errors import Code, VermilionError
from vermilion.client.documents import READ_BYTES, Document

OWN_PREFIX = ".vermilion-"  # our journals and unfinished files; no document may take such a name
_MOST_NAME_BYTES = 255
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Folder:
    """A folder of sealed documents, each under its document's own name.

    A name is reduced to its last component, so none leads out of the folder; of two equal names the later gets its index.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] = []

    def prepare(self, documents: Sequence[Document]) -> None:
        """Settles each document's file; INVALID_ARGUMENT when a sealed file would replace one of the sources."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise _storage(fault, self.path.name) from fault
        self._names = list(_file_names(documents))
        for document, name in zip(documents, self._names, strict=True):
            target = self.path / name
            if document.path is not None and target.exists() and target.samefile(document.path):
                raise VermilionError(
                    Code.INVALID_ARGUMENT, "the sealed file would replace its source; choose another folder", document=document.name
                )

    def file(self, position: int) -> Path:
        """Where the document at ``position`` goes."""
        return self.path / self._names[position]

    def write(self, position: int, document: Document, suffix: bytes, sealed_sha256: bytes) -> Path:
        """Writes document ‖ suffix under a temporary name, makes it durable, then gives it its name.

        DOCUMENT_MISMATCH when the bytes are not those that were sealed (the file changed meanwhile); STORAGE_FULL. The folder's own
        entry is durable after ``flush``.
        """
        target = self.file(position)
        temporary = self.path / f"{OWN_PREFIX}{secrets.token_hex(8)}.part"  # short: a name may be as long as the file system allows
        digest = hashlib.sha256()
        try:
            with temporary.open("xb") as file:
                for block in (*document.blocks(), suffix) if isinstance(document.source, bytes) else _followed(document, suffix):
                    digest.update(block)
                    file.write(block)
                if digest.digest() != sealed_sha256:
                    raise VermilionError(Code.DOCUMENT_MISMATCH, "the file changed while it was being sealed", document=document.name)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(target)
        except OSError as fault:
            raise _storage(fault, document.name) from fault
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def holds(self, position: int, sealed_sha256: bytes) -> bool:
        """Whether the document's file is there with exactly these bytes."""
        digest = hashlib.sha256()
        try:
            with self.file(position).open("rb") as file:
                while block := file.read(READ_BYTES):
                    digest.update(block)
        except OSError:
            return False
        return digest.digest() == sealed_sha256

    def flush(self) -> None:
        """Makes the names of all files written so far durable."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _followed(document: Document, suffix: bytes) -> Iterator[bytes]:
    yield from document.blocks()
    yield suffix


def _file_names(documents: Iterable[Document]) -> Iterator[str]:
    taken: set[str] = set()
    for index, document in enumerate(documents):
        name = re.sub(r"\x00", "_", document.file_name.rsplit("/", 1)[-1])
        if name in ("", ".", ".."):
            name = f"document-{index}.pdf"
        if name.startswith(OWN_PREFIX):
            name = "_" + name
        name, addition = _shortened(name, ""), f"~{index}"
        while name in taken:
            name, addition = _shortened(name, addition), addition + "~"
        taken.add(name)
        yield name


def _shortened(name: str, addition: str) -> str:
    """``name`` with ``addition`` before its suffix, cut to what a file system takes."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    while len(os.fsencode(result := f"{stem}{addition}{dot}{suffix}")) > _MOST_NAME_BYTES:
        stem, suffix = (stem[:-1], suffix) if stem else (stem, suffix[:-1])
    return result


def _storage(fault: OSError, name: str) -> VermilionError:
    if fault.errno in _FULL:
        return VermilionError(Code.STORAGE_FULL, "the disk that takes the sealed documents is full", document=name)
    return VermilionError(Code.INVALID_ARGUMENT, f"a sealed file cannot be written ({os.strerror(fault.errno or 0)})", document=name)
