"""The journal of a form in a folder: which documents are safely there, and the manifest with its salts to go on from.

It may be begun when the form is applied for, so that who comes back before people have decided finds the same form again. When all is
done it stays, under another name, as the record by which the same run is known again.

One JSON object a line: first the form, then a line for each file. A torn last line is no harm: that document is asked for again and
the signer gives the same bytes. Whoever writes holds a lock on the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.client.forms import Form, documents_to_json, from_json
from vermilion.client.outcomes import Outcome
from vermilion.client.sink import OWN_PREFIX

VERSION: Final = 2
_UNFINISHED, _SETTLED = ".resume", ".sealed"


@dataclass(frozen=True)
class Entry:
    """A file that is done: the name of its document and its own in the folder; ``index`` counts the uses of the token."""

    index: int
    name: str
    file: str
    document_sha256: bytes
    sealed_sha256: bytes
    ledger_index: int
    warnings: tuple[str, ...]

    def outcome(self, name: str, path: Path) -> Outcome:
        """The outcome as it was."""
        return Outcome(self.index, name, "sealed", warnings=self.warnings, ledger_index=self.ledger_index, path=path, repeated=True)


@dataclass(frozen=True)
class Record:
    """What a journal says: the form, and what of it is done."""

    form: Form
    entries: tuple[Entry, ...]


class Journal:
    """The journal of one form in one folder; opened for a run, settled when everything is acknowledged."""

    def __init__(self, folder: Path, form: Form) -> None:
        self.path = path_of(folder, form.number)
        self._settled = self.path.with_suffix(_SETTLED)
        self._form = form
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()  # writers of files note them at the same time
        self.done: Mapping[int, Entry] = {}

    @property
    def is_settled(self) -> bool:
        """Whether an earlier run came to its end here."""
        return self._settled.exists()

    def open(self) -> None:
        """Reads what an earlier run left, and begins or goes on writing; CONFLICT while another run of this form is at work here.

        STORAGE_FULL, FILE_UNUSABLE.
        """
        try:
            self._open()
        except OSError as fault:
            raise durable.unusable(fault, self.path) from fault

    def _open(self) -> None:
        if self.is_settled and not self.path.exists():
            with contextlib.suppress(FileNotFoundError):  # another run was quicker
                self._settled.rename(self.path)
        self._file = _locked(self.path, self._form.number)
        found, size_bytes = _parsed(self._file.read())
        if found is not None and found.form.context.jti == self._form.context.jti:
            self.done = {entry.index: entry for entry in found.entries}
            self._file.truncate(size_bytes)  # drops a torn line
            self._file.seek(size_bytes)
            return
        self._file.seek(0)
        self._file.truncate()
        form = self._form
        about: dict[str, Any] = {
            "number": form.number,
            "state": form.state,
            "reason": form.reason,
            "context": form.context.as_json(),
        }
        about["documents"] = documents_to_json(form.entries, form.salts)
        self._write({"version": VERSION, "jti": form.context.jti, "form": about})
        # The form and its salts have to survive: without them nobody can go on with what people
        # approved.
        os.fsync(self._file.fileno())

    def add(self, entry: Entry) -> None:
        """Notes a file that is durable."""
        self._write(
            {
                "index": entry.index,
                "name": entry.name,
                "file": entry.file,
                "document_sha256": entry.document_sha256.hex(),
                "sealed_sha256": entry.sealed_sha256.hex(),
                "ledger_index": entry.ledger_index,
                "warnings": list(entry.warnings),
            }
        )

    def close(self, *, finished: bool) -> None:
        """Ends the run; of a finished one the journal stays as its record."""
        if self._file is not None:
            if finished:
                self.path.rename(self._settled)
            with contextlib.suppress(OSError):  # of a line that could not be written, and was said to be; its document is asked for again
                self._file.close()

    def _write(self, value: Any) -> None:
        assert self._file is not None
        # No fsync for each line: a line lost with the power costs one more question, to which the
        # signer gives the same bytes.
        line = json.dumps(value).encode("ascii") + b"\n"  # names may be no Unicode
        try:
            with self._lock:
                self._file.write(line)
                self._file.flush()
        except OSError as fault:
            raise durable.unusable(fault, self.path) from fault


def _locked(path: Path, number: str) -> BinaryIO:
    """The journal's file, which nobody else holds. The lock is on the file, whose name changes when it is settled: hence the loop."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.sameopenfile(file.fileno(), (again := os.open(path, os.O_RDONLY))):
                os.close(again)
                return file
        except BlockingIOError:
            file.close()
            raise VermilionError(Code.CONFLICT, f"another run of form {number} is at work in {path.parent}; wait for its end") from None
        file.close()


def path_of(folder: Path, number: str) -> Path:
    """Where the journal of an unfinished form lies."""
    return folder / f"{OWN_PREFIX}{number}{_UNFINISHED}"


def journal_of(folder: Path, number: str) -> Path:
    """The journal of a form in a folder, of a finished run or of one that is not."""
    path = path_of(folder, number)
    settled = path.with_suffix(_SETTLED)
    return settled if settled.is_file() and not path.is_file() else path


def records(folder: Path) -> Iterator[Record]:
    """What all journals in ``folder`` say, of finished runs and of others, the newest form first."""
    paths = [path for kind in (_UNFINISHED, _SETTLED) for path in folder.glob(f"{OWN_PREFIX}*{kind}")]
    for path in sorted(paths, key=lambda path: path.stem, reverse=True):
        found, _size_bytes = _parsed(path.read_bytes())
        if found is not None:  # else it is torn in its first line: nothing was begun
            yield found


def form_of(folder: Path, number: str) -> Form:
    """The form that an unfinished run in ``folder`` was about; NOT_FOUND."""
    path = path_of(folder, number)
    found, _size_bytes = _parsed(path.read_bytes() if path.is_file() else b"")
    if found is None:
        raise VermilionError(Code.NOT_FOUND, f"there is no unfinished run of form {number} in this folder")
    return found.form


def retire(folder: Path, number: str) -> None:
    """Ends the journal of a form that will not be gone on with; what it has sealed stays on record."""
    path = path_of(folder, number)
    if path.is_file():
        found, _size_bytes = _parsed(path.read_bytes())
        if found is not None and found.entries:
            path.rename(path.with_suffix(_SETTLED))
        else:
            path.unlink()


def _parsed(data: bytes) -> tuple[Record | None, int]:
    """The record, None where the first line is no form's, and how many bytes of whole lines there are. A line that is damaged counts for
    nothing: its document is asked for again."""
    form: Form | None = None
    entries: list[Entry] = []
    size_bytes = 0
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        size_bytes += len(line)
        try:
            value = json.loads(line)
            if form is None:
                form = from_json(value["form"])
            else:
                entries.append(_entry(value))
        except (VermilionError, ValueError, TypeError, LookupError, AttributeError):
            if form is None:
                return None, 0
    return (Record(form, tuple(entries)) if form is not None else None), size_bytes


def _entry(line: Mapping[str, Any]) -> Entry:
    return Entry(
        line["index"],
        line["name"],
        line["file"],
        bytes.fromhex(line["document_sha256"]),
        bytes.fromhex(line["sealed_sha256"]),
        line["ledger_index"],
        tuple(line["warnings"]),
    )
