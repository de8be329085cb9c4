"""The manifest: the Merkle tree over the documents of one form. Its root is what people approve."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError
from sealcore.protocol import merkle
from sealcore.protocol.canonical import require
from sealcore.protocol.covers import ManifestCovers
from sealcore.protocol.leaf import SALT_BYTES, Leaf, Placement, leaf_hash

MOST_REMEMBERED = 1024  # nodes of one manifest: a few hundred kilobytes. Documents mostly come in order, for which a few would do


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
    Prover(covers).prove(leaf, proof)


_Node = tuple[int, int, bytes, bytes, int]
"""A node on the way of a proof: level, position in it, hash, the sibling's hash, and which step of the proof that is."""


class Prover:
    """Proves one leaf after another of the same manifest, with the outcome of ``merkle.verify_inclusion`` for each.

    Nodes that a proof has led through to the root are remembered. A later proof need only be hashed up to one of them; what it
    has above must be what is remembered there. So documents that come in order cost about one hash each above their leaf.
    """

    def __init__(self, covers: ManifestCovers) -> None:
        self._covers = covers
        # (level, position in the level) → its hash and the rest of every proof that leads through it; proven
        self._known: dict[tuple[int, int], tuple[bytes, tuple[bytes, ...]]] = {}

    @property
    def size(self) -> int:
        """How many leaves the manifest has."""
        return self._covers.size

    def prove(self, leaf: Leaf, proof: Sequence[bytes]) -> bytes:
        """The leaf hash; raises PROOF_INVALID unless the leaf is in the manifest at its own index and size."""
        covers = self._covers
        # The size is part of the leaf, so that a proof cannot be read as one of a larger or smaller
        # batch.
        if leaf.size != covers.size:
            raise VermilionError(Code.PROOF_INVALID, "the leaf names another batch size than the approval")
        hashed, proof = leaf_hash(leaf), tuple(proof)
        path, is_proven = self._climbed(hashed, leaf.index, proof)
        if not is_proven:
            merkle.verify_inclusion(hashed, leaf.index, covers.size, proof, covers.root)
        if path:
            self._remember(path, proof)
        return hashed

    def _climbed(self, hashed: bytes, index: int, proof: tuple[bytes, ...]) -> tuple[list[_Node], bool]:
        """The nodes from the leaf up to one that is remembered, without it, and whether the proof leads to one."""
        known, level, position, last = self._known, 0, index, self._covers.size - 1
        path: list[_Node] = []
        for step, sibling in enumerate(proof):
            while position == last and position and not position & 1:  # no sibling at the border: it stands for itself one level up
                level, position, last = level + 1, position >> 1, last >> 1
            there = known.get((level, position))
            if there is not None:
                # Everything above must be the remembered proof, too: an exact proof is asked for,
                # not just a true leaf.
                return path, there == (hashed, proof[step:])
            path.append((level, position, hashed, sibling, step))
            hashed = merkle.node_hash(sibling, hashed) if position & 1 else merkle.node_hash(hashed, sibling)
            level, position, last = level + 1, position >> 1, last >> 1
        return path, False

    def _remember(self, path: Iterable[_Node], proof: tuple[bytes, ...]) -> None:
        """Nodes of a proof that holds."""
        known = self._known
        if len(known) > MOST_REMEMBERED:
            known.clear()
        for level, position, hashed, sibling, step in path:
            above = proof[step + 1 :]
            known[level, position] = (hashed, (sibling, *above))
            # The sibling is proven as well, since its hash went into the root: the neighbour's
            # proof is one look-up.
            known[level, position ^ 1] = (sibling, (hashed, *above))
