"""The manifest: the Merkle tree over the documents of one form. Its root is what people approve."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sealcore import merkle
from sealcore.approvals.canonical import require
from sealcore.approvals.covers import ManifestCovers
from sealcore.approvals.leaf import SALT_BYTES, Leaf, Placement, leaf_hash
from sealcore.errors import Code, VermilionError


@dataclass(frozen=True)
class DocumentEntry:
    """A document as the client names it. ``name`` is for display; it is neither hashed nor trusted."""

    name: str
    sha256: bytes
    size_bytes: int
    placement: Placement


@dataclass(frozen=True)
class Manifest:
    """Root, leaves and inclusion proofs of a batch. A batch of one has its leaf hash as root and an empty proof."""

    root: bytes
    leaves: tuple[Leaf, ...]
    proofs: tuple[tuple[bytes, ...], ...]

    @property
    def size(self) -> int:
        """Number of documents."""
        return len(self.leaves)

    @property
    def covers(self) -> ManifestCovers:
        """What a token over this manifest covers."""
        return ManifestCovers(self.root, self.size)

    @classmethod
    def build(cls, entries: Sequence[DocumentEntry], *, salts: Sequence[bytes] | None = None) -> Manifest:
        """The manifest of ``entries`` in their order.

        salts   16 bytes each, to rebuild a manifest that exists; drawn anew when absent
        """
        require(len(entries) > 0, "a manifest has at least one document")
        if salts is None:
            salts = [secrets.token_bytes(SALT_BYTES) for _ in entries]
        require(len(salts) == len(entries), "a manifest has one salt for each document")
        leaves = tuple(
            Leaf(salt, index, len(entries), entry.sha256, entry.size_bytes, entry.placement)
            for index, (entry, salt) in enumerate(zip(entries, salts, strict=True))
        )
        tree = merkle.Tree([leaf_hash(leaf) for leaf in leaves])
        proofs = tuple(tuple(tree.inclusion_proof(index)) for index in range(tree.size))
        return cls(tree.root(), leaves, proofs)


def prove(leaf: Leaf, proof: Sequence[bytes], covers: ManifestCovers) -> None:
    """Raises PROOF_INVALID unless ``leaf`` is in the approved manifest at its own index and size."""
    if leaf.size != covers.size:
        raise VermilionError(Code.PROOF_INVALID, "the leaf names another batch size than the approval")
    merkle.verify_inclusion(leaf_hash(leaf), leaf.index, covers.size, proof, covers.root)
