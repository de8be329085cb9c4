"""Documents as the client has them: named, read when needed, never held all at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.text import shown

READ_BYTES = 1024 * 1024
MOST_NAME_CHARACTERS = 4096


@dataclass(frozen=True)
class Document:
    """A document and the name that its sealed form will have.

    file_name   one path component, as the file system gives it (any bytes that it allows)
    source      where it is, or its content
    """

    file_name: str
    source: Path | bytes

    @property
    def name(self) -> str:
        """The name for people: signs that nobody sees, and bytes that are no text, stand as their code points."""
        return shown(self.file_name)[:MOST_NAME_CHARACTERS] or "document"

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return self.source if isinstance(self.source, Path) else None

    def measure(self) -> tuple[bytes, int]:
        """SHA-256 and size in bytes, in one pass over the content."""
        digest, size_bytes = hashlib.sha256(), 0
        for block in self.blocks():
            digest.update(block)
            size_bytes += len(block)
        return digest.digest(), size_bytes

    def blocks(self, block_bytes: int = READ_BYTES) -> Iterator[bytes]:
        """The content from its beginning; FILE_UNUSABLE when the file cannot be read."""
        if isinstance(self.source, bytes):
            for offset in range(0, len(self.source), block_bytes):
                yield self.source[offset : offset + block_bytes]
            return
        try:
            with self.source.open("rb") as file:
                while block := file.read(block_bytes):
                    yield block
        except OSError as fault:
            raise unreadable(self.name, fault) from None

    def read(self, most_bytes: int) -> bytes:
        """The content up to so many bytes; for documents known to be small."""
        content = b""
        for block in self.blocks(most_bytes):
            content += block
            if len(content) >= most_bytes:
                break
        return content[:most_bytes]


def unreadable(name: str, fault: OSError) -> VermilionError:
    """The typed error of a file that does not open."""
    return durable.unusable(fault, name, document=name)


def below(folder: Path) -> list[Path]:
    """Every file below a folder, by path; OSError where a part of it cannot be read, so that nothing is left out unseen."""

    def stop(fault: OSError) -> None:
        raise fault

    return sorted(path for root, _, names in os.walk(folder, onerror=stop) for name in names if (path := Path(root, name)).is_file())


def of(given: Iterable[Document | Path | str]) -> list[Document]:
    """Documents from documents and paths, in order."""
    return [one if isinstance(one, Document) else Document(Path(one).name, Path(one)) for one in given]


def in_folder(folder: Path) -> list[Document]:
    """The PDF files of a folder, by name; INVALID_ARGUMENT when there is none, FILE_UNUSABLE."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".pdf" and path.is_file())
    except OSError as fault:
        raise durable.unusable(fault, folder) from None
    if not found:
        raise VermilionError(Code.INVALID_ARGUMENT, f"there are no PDF files in {folder}")
    return of(found)
