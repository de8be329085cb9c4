"""What earlier runs into a folder have made of a set of documents, from their journals and the files that are really there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sealcore.protocol.leaf import Placement
from sealcore.protocol.manifest import DocumentEntry
from vermilion.client.documents import Document
from vermilion.client.forms import Form, describe
from vermilion.client.journal import Entry, Record, records
from vermilion.client.outcomes import Outcome
from vermilion.client.sink import Folder, holds

_Key = tuple[str, bytes]  # name and SHA-256


@dataclass(frozen=True)
class Earlier:
    """Which of the documents are done, and what is to be done with the others.

    entries position → how the document was applied for, of those that a form is about
    done    position → outcome of each document whose sealed file is there, byte for byte as it was written
    forms   the numbers of the forms that they were sealed under
    form    of a run that is not finished, over exactly the others; None where there is none
    others  positions of the documents that are not done, or that ``form`` is about, in its order
    """

    done: dict[int, Outcome]
    forms: tuple[str, ...]
    form: Form | None
    others: tuple[int, ...]
    entries: Mapping[int, DocumentEntry] = field(default_factory=dict)

    @property
    def beside_form(self) -> dict[int, Outcome]:
        """What is done of the documents that ``form`` is not about."""
        return {position: one for position, one in self.done.items() if position not in self.others}

    def without_form(self) -> Earlier:
        """The same where nothing will come of ``form``: what it has sealed is done, the rest is not."""
        if self.form is None:
            return self
        total = len({*self.done, *self.others})
        return replace(self, form=None, others=tuple(each for each in range(total) if each not in self.done))

    def folder(self, path: Path) -> Folder:
        """The folder for the others: they get none of the names of those that are done."""
        return Folder(path, [one.path.name for one in self.beside_form.values() if one.path])


def find(folder: Path, documents: Sequence[Document], *, seal: str) -> Earlier:
    """Looks through the journals of runs with this seal in ``folder``; reads each document once, and each sealed file that matters."""
    found = [one for one in records(folder) if one.form.context.seal == seal]
    if not found:
        return Earlier({}, (), None, tuple(range(len(documents))))
    keys = [(entry.name, entry.sha256) for entry in describe(documents, Placement())]
    positions: defaultdict[_Key, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    done, numbers, entries = _done(folder, found, keys)
    left = tuple(position for position in range(len(keys)) if position not in done)
    if left:
        for record in found:
            about = _positions(((entry.name, entry.sha256) for entry in record.form.entries), positions)
            if about and set(left) <= set(about):
                return Earlier(done, numbers, record.form, about, entries | dict(zip(about, record.form.entries, strict=True)))
    return Earlier(done, numbers, None, left, entries)


def _done(
    folder: Path, found: Iterable[Record], keys: Sequence[_Key]
) -> tuple[dict[int, Outcome], tuple[str, ...], dict[int, DocumentEntry]]:
    """Each document with a file of its own: two equal documents take two files."""
    sealed: defaultdict[_Key, list[tuple[Form, Entry]]] = defaultdict(list)
    seen: set[str] = set()
    for record in found:
        for entry in {entry.index: entry for entry in record.entries}.values():
            if entry.file not in seen:
                seen.add(entry.file)
                sealed[entry.name, entry.document_sha256].append((record.form, entry))
    done: dict[int, Outcome] = {}
    numbers: dict[str, None] = {}
    entries: dict[int, DocumentEntry] = {}
    for position, key in enumerate(keys):
        while candidates := sealed[key]:
            form, entry = candidates.pop(0)
            path = folder / entry.file
            if holds(path, entry.sealed_sha256):
                done[position] = entry.outcome(entry.name, path)
                numbers[form.number] = None
                if form.entries:
                    entries[position] = form.entries[entry.index]
                break
    return done, tuple(numbers), entries


def _positions(wanted: Iterable[_Key], positions: dict[_Key, list[int]]) -> tuple[int, ...]:
    """Where these documents stand among the given; empty when one is not among them."""
    free = {key: list(there) for key, there in positions.items()}
    found = []
    for key in wanted:
        if not free.get(key):
            return ()
        found.append(free[key].pop(0))
    return tuple(found)
