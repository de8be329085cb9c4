"""The resume journal: which documents of a form are safely in the folder, and the manifest with its salts to go on from.

It may be begun when the form is applied for, so that who comes back before people have decided finds the same form again.

One JSON object a line: first the form, then a line for each file. A torn last line is no harm: that document is asked for again and
the signer gives the same bytes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sealcore.approvals.json_forms import context_to_json
from sealcore.errors import Code, VermilionError
from vermilion.client.forms import Form, documents_to_json, from_json
from vermilion.client.outcomes import Outcome
from vermilion.client.sink import OWN_PREFIX

VERSION = 1


@dataclass(frozen=True)
class Entry:
    """A file that is done; ``position`` counts the documents of the run, ``index`` the uses of the token."""

    position: int
    index: int
    document_sha256: bytes
    sealed_sha256: bytes
    ledger_index: int
    warnings: tuple[str, ...]

    def outcome(self, name: str, path: Path) -> Outcome:
        """The outcome as it was."""
        return Outcome(self.index, name, "sealed", warnings=self.warnings, ledger_index=self.ledger_index, path=path, repeated=True)


class Journal:
    """The journal of one form in one folder; opened for a run, removed when everything is acknowledged."""

    def __init__(self, folder: Path, form: Form) -> None:
        self.path = path_of(folder, form.number)
        self._form = form
        self._file: TextIO | None = None
        self._lock = threading.Lock()  # writers of files note them at the same time
        self.done: Mapping[int, Entry] = {}

    def open(self) -> None:
        """Reads what an earlier run left, and begins or goes on writing."""
        lines = _lines(self.path)
        if lines and lines[0].get("jti") == self._form.context.jti:
            self.done = {entry.position: entry for entry in map(_entry, lines[1:])}
        header = {
            "version": VERSION,
            "jti": self._form.context.jti,
            "form": {
                "number": self._form.number,
                "state": self._form.state,
                "reason": self._form.reason,
                "context": context_to_json(self._form.context),
                "documents": documents_to_json(self._form.entries, self._form.salts),
            },
        }
        self.path.touch(0o600)
        self._file = self.path.open("w", encoding="utf-8")  # rewritten whole: drops a torn line
        self._write(header)
        for entry in self.done.values():
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Notes a file that is durable."""
        self._write(
            {
                "position": entry.position,
                "index": entry.index,
                "document_sha256": entry.document_sha256.hex(),
                "sealed_sha256": entry.sealed_sha256.hex(),
                "ledger_index": entry.ledger_index,
                "warnings": list(entry.warnings),
            }
        )

    def close(self, *, finished: bool) -> None:
        """Ends the run; a finished form needs no journal any more."""
        if self._file is not None:
            self._file.close()
        if finished:
            self.path.unlink(missing_ok=True)

    def _write(self, value: Any) -> None:
        assert self._file is not None
        text = json.dumps(value, ensure_ascii=False) + "\n"
        try:
            with self._lock:
                self._file.write(text)
                self._file.flush()
        except OSError as fault:
            raise VermilionError(Code.STORAGE_FULL, f"the resume journal cannot be written ({type(fault).__name__})") from fault


def path_of(folder: Path, number: str) -> Path:
    """Where the journal of a form lies."""
    return folder / f"{OWN_PREFIX}{number}.resume"


def forms_in(folder: Path) -> list[Form]:
    """The forms of all unfinished runs in ``folder``, the newest first."""
    numbers = sorted(path.name.removeprefix(OWN_PREFIX).removesuffix(".resume") for path in folder.glob(f"{OWN_PREFIX}*.resume"))
    found = []
    for number in reversed(numbers):
        try:
            found.append(form_of(folder, number))
        except (VermilionError, KeyError, TypeError, ValueError):
            continue  # torn in its first line: nothing was begun
    return found


def form_of(folder: Path, number: str) -> Form:
    """The form that an unfinished run in ``folder`` was about; NOT_FOUND."""
    lines = _lines(path_of(folder, number))
    if not lines:
        raise VermilionError(Code.NOT_FOUND, f"there is no unfinished run of form {number} in this folder")
    return from_json(lines[0]["form"])


def _entry(line: Mapping[str, Any]) -> Entry:
    return Entry(
        line["position"],
        line["index"],
        bytes.fromhex(line["document_sha256"]),
        bytes.fromhex(line["sealed_sha256"]),
        line["ledger_index"],
        tuple(line["warnings"]),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines; the first that is torn ends them."""
    lines: list[dict[str, Any]] = []
    if path.is_file():
        for text in path.read_text("utf-8", errors="replace").splitlines():
            try:
                value = json.loads(text)
            except ValueError:
                break
            if not isinstance(value, dict):
                break
            lines.append(value)
    return lines
