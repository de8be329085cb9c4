"""What one document of a run needs on the wire, under a manifest or under a grant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.placement_messages import placement_to_message
from sealcore.protocol.covers import GrantCovers
from sealcore.protocol.leaf import Placement
from sealcore.protocol.manifest import DocumentEntry
from vermilion.client.documents import Document
from vermilion.client.forms import Form, Place, describe
from vermilion.client.journal import Entry


@dataclass(frozen=True)
class Job:
    """Document ``position`` of a run, to be sealed as use ``index`` of the token. Salt and proof are empty under a grant."""

    position: int
    index: int
    document: Document
    sha256: bytes
    size_bytes: int
    placement: Placement
    salt: bytes = b""
    proof: tuple[bytes, ...] = ()

    def message(self) -> signer_pb2.Item:
        """The item, without the document."""
        return signer_pb2.Item(
            index=self.index,
            salt=self.salt,
            proof=self.proof,
            placement=placement_to_message(self.placement),
            size_bytes=self.size_bytes,
            document_sha256=self.sha256,
            name=self.document.name,
        )


def of_entries(documents: Sequence[Document], entries: Sequence[DocumentEntry]) -> list[Job]:
    """Documents that nobody has approved yet."""
    return [
        Job(position, position, document, entry.sha256, entry.size_bytes, entry.placement)
        for position, (document, entry) in enumerate(zip(documents, entries, strict=True))
    ]


def of_manifest(form: Form, documents: Sequence[Document]) -> list[Job]:
    """The documents of an approved manifest, in its order."""
    manifest = form.manifest
    if len(documents) != manifest.size:
        raise VermilionError(Code.INVALID_ARGUMENT, f"form {form.number} covers {manifest.size} documents, {len(documents)} were given")
    return [
        Job(leaf.index, leaf.index, document, entry.sha256, entry.size_bytes, entry.placement, leaf.salt, proof)
        for document, entry, leaf, proof in zip(documents, form.entries, manifest.leaves, manifest.proofs, strict=True)
    ]


def of_grant(
    covers: GrantCovers, documents: Sequence[Document], place: Place, *, used: Iterable[int], done: Mapping[int, Entry]
) -> list[Job]:
    """Documents under a standing approval, each given a use: the one it had in an earlier run, else the next that nobody has used."""
    entries = describe(documents, place)
    known = {entry.document_sha256: entry.index for entry in done.values()}
    taken = {*used, *known.values()}
    free = (index for index in range(covers.most_uses) if index not in taken)
    jobs = []
    for position, (document, entry) in enumerate(zip(documents, entries, strict=True)):
        index = known.pop(entry.sha256, None)
        if index is None:
            index = next(free, None)
        if index is None:
            raise VermilionError(Code.GRANT_EXCEEDED, f"the grant has no use left for document {position + 1} of {len(documents)}")
        jobs.append(Job(position, index, document, entry.sha256, entry.size_bytes, entry.placement))
    return jobs
