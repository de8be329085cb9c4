"""A form as the client holds it: what was asked for, and the manifest with its salts, which only the client and the workflow know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url, b64url_decode
from sealcore.protocol.covers import ManifestCovers
from sealcore.protocol.decision import DecisionContext
from sealcore.protocol.json_objects import context_from_json, placement_from_json, placement_to_json
from sealcore.protocol.leaf import Placement
from sealcore.protocol.manifest import DocumentEntry, Manifest
from vermilion.client.documents import Document

Place = Placement | Callable[[Document], Placement]
"""How documents are to be sealed: all alike, or each as a function says."""


@dataclass(frozen=True)
class Form:
    """A numbered form. ``entries`` and ``salts`` are empty for a grant or an act."""

    number: str
    state: str
    context: DecisionContext
    reason: str = ""
    entries: tuple[DocumentEntry, ...] = ()
    salts: tuple[bytes, ...] = ()

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, rebuilt and held against what people approve; PROOF_INVALID when they differ."""
        if not isinstance(self.context.covers, ManifestCovers):
            raise VermilionError(Code.INVALID_ARGUMENT, f"form {self.number} is not about documents")
        manifest = Manifest.build(self.entries, salts=self.salts)
        if manifest.covers != self.context.covers:
            raise VermilionError(Code.PROOF_INVALID, f"form {self.number} covers another manifest than that of its documents")
        return manifest


def describe(documents: Sequence[Document], place: Place) -> tuple[DocumentEntry, ...]:
    """The manifest entries of documents; reads each once."""
    entries = []
    for document in documents:
        digest, size_bytes = document.measure()
        entries.append(DocumentEntry(document.name, digest, size_bytes, place if isinstance(place, Placement) else place(document)))
    return tuple(entries)


def documents_to_json(entries: Sequence[DocumentEntry], salts: Sequence[bytes]) -> list[dict[str, Any]]:
    """The documents of a form as REST and resume journals hold them."""
    return [
        {
            "name": entry.name,
            "sha256": entry.sha256.hex(),
            "size_bytes": entry.size_bytes,
            "salt": b64url(salt),
            "placement": placement_to_json(entry.placement),
        }
        for entry, salt in zip(entries, salts, strict=True)
    ]


def from_json(value: Any, *, documents: Any = None) -> Form:
    """A form from its REST answer. ``documents``: those of the form, when the answer has none."""
    given = value.get("documents", documents) or ()
    entries = tuple(
        DocumentEntry(one["name"], bytes.fromhex(one["sha256"]), one["size_bytes"], placement_from_json(one["placement"])) for one in given
    )
    salts = tuple(b64url_decode(one["salt"], Code.INVALID_ARGUMENT) for one in given)
    context = context_from_json(value["context"])
    if context.form != value["number"]:
        raise VermilionError(Code.PROOF_INVALID, f"the workflow showed the terms of another form under the number {value['number']}")
    return Form(value["number"], value["state"], context, value["reason"], entries, salts)
