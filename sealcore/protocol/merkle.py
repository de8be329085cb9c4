"""Merkle tree arithmetic of RFC 6962 §2.1 and RFC 9162 §2.1: roots, inclusion and consistency proofs. Pure.

Proofs are computed over a *node source*: a function that gives the hash of the complete subtree at (level, index), which
covers the leaves [index << level, (index + 1) << level). A list of leaf hashes is one source, tiles are another.
Everything that checks raises PROOF_INVALID; nothing returns False.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()  # RFC 6962 §2.1: the hash of an empty list

NodeSource = Callable[[int, int], bytes]
"""(level, index) → hash of that complete subtree."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    # Leaves and nodes are hashed under different first bytes: otherwise two hashes of a node
    # could be shown as a document (RFC 9162 §2.1.1).
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The complete subtrees over a list of leaf hashes, each hashed once; ``node`` is a node source."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        level = list(leaf_hashes)
        if any(len(value) != HASH_BYTES for value in level):
            raise VermilionError(Code.PROOF_INVALID, "a leaf hash is not 32 bytes long")
        self.size = len(level)
        self._levels = [level]
        while len(level) > 1:
            level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self._levels.append(level)

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree ``index`` at ``level``."""
        return self._levels[level][index]

    def root(self) -> bytes:
        """Root over all leaves."""
        return root_of(self.node, self.size)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Audit path of leaf ``index``."""
        return inclusion_proof_of(self.node, index, self.size)


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over ``leaf_hashes``; of none, the hash of nothing."""
    return Tree(leaf_hashes).root()


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf ``index`` (RFC 6962 §2.1.1), from the leaf's sibling upward."""
    return Tree(leaf_hashes).inclusion_proof(index)


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the tree over the first ``old_size`` leaves is a beginning of this one (RFC 6962 §2.1.2)."""
    return consistency_proof_of(Tree(leaf_hashes).node, old_size, len(leaf_hashes))


def root_of(node: NodeSource, size: int) -> bytes:
    """Root over the first ``size`` leaves of a node source."""
    return _range_hash(node, 0, size) if size else EMPTY_ROOT


def inclusion_proof_of(node: NodeSource, index: int, size: int) -> list[bytes]:
    """Audit path of leaf ``index`` in the tree over the first ``size`` leaves of a node source."""
    if not 0 <= index < size:
        raise VermilionError(Code.PROOF_INVALID, f"there is no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_range_hash(node, middle, end))
            end = middle
        else:
            proof.append(_range_hash(node, begin, middle))
            begin = middle
    proof.reverse()
    return proof


def consistency_proof_of(node: NodeSource, old_size: int, new_size: int) -> list[bytes]:
    """PROOF(old_size, D[new_size]) of RFC 6962 §2.1.2; empty when old_size is 0 or new_size."""
    if not 0 <= old_size <= new_size:
        raise VermilionError(Code.PROOF_INVALID, f"a tree of {new_size} cannot continue one of {old_size}")
    if old_size in (0, new_size):
        return []
    proof: list[bytes] = []
    begin, end, old_is_whole = 0, new_size, True
    while old_size != end:
        middle = begin + _split(end - begin)
        if old_size <= middle:
            proof.append(_range_hash(node, middle, end))
            end = middle
        else:
            proof.append(_range_hash(node, begin, middle))
            begin, old_is_whole = middle, False
    if not old_is_whole:
        proof.append(_range_hash(node, begin, end))
    proof.reverse()
    return proof


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that ``proof`` leads to (RFC 9162 §2.1.3.2).

    Raises PROOF_INVALID when index, size and proof do not fit each other exactly. The caller compares the result with a
    root that it trusts; ``verify_inclusion`` does both.
    """
    if not 0 <= index < size:
        raise VermilionError(Code.PROOF_INVALID, f"there is no leaf {index} in a tree of {size}")
    _check_hashes((leaf, *proof))
    # Exact, before anything is hashed: with surplus hashes a proof could be led to the same
    # root in another way.
    if len(proof) != inclusion_proof_length(index, size):
        raise VermilionError(Code.PROOF_INVALID, "the inclusion proof has the wrong length for this index and size")
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        position, last = position >> 1, last >> 1
    return result


def inclusion_proof_length(index: int, size: int) -> int:
    """Hashes in the audit path of leaf ``index`` of ``size``: levels below the right border, then the border's left siblings."""
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], trusted_root: bytes) -> None:
    """Raises PROOF_INVALID unless ``leaf`` is at ``index`` of the tree with ``size`` and ``trusted_root``."""
    if root_from_inclusion(leaf, index, size, proof) != trusted_root:
        raise VermilionError(Code.PROOF_INVALID, "the inclusion proof does not lead to the root")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises PROOF_INVALID unless the new tree begins with the old one (RFC 9162 §2.1.4.2)."""
    if not 0 <= old_size <= new_size:
        raise VermilionError(Code.PROOF_INVALID, f"a tree of {new_size} cannot continue one of {old_size}")
    _check_hashes((old_root, new_root, *proof))
    if old_size in (0, new_size):
        same = old_root == (new_root if old_size else EMPTY_ROOT)
        if proof or not same:
            raise VermilionError(Code.PROOF_INVALID, "the consistency proof does not join the two roots")
        return
    steps = list(proof)
    if old_size & (old_size - 1) == 0:  # a complete subtree: its root is the old root, and the proof leaves it out
        steps.insert(0, old_root)
    if not steps or len(steps) != _consistency_steps(old_size, new_size):
        raise VermilionError(Code.PROOF_INVALID, "the consistency proof has the wrong length for these sizes")
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_result = new_result = steps[0]
    for step in steps[1:]:
        if position & 1 or position == last:
            old_result, new_result = node_hash(step, old_result), node_hash(step, new_result)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_result = node_hash(new_result, step)
        position, last = position >> 1, last >> 1
    # Both: the proof must lead to what we had and to what is offered, or it joins something
    # else.
    if old_result != old_root or new_result != new_root:
        raise VermilionError(Code.PROOF_INVALID, "the consistency proof does not join the two roots")


def _consistency_steps(old_size: int, new_size: int) -> int:
    """Hashes in a consistency proof, counted with the old root where the proof leaves it out."""
    trailing = (old_size & -old_size).bit_length() - 1  # the first step is the complete subtree that ends the old tree
    return 1 + inclusion_proof_length((old_size - 1) >> trailing, ((new_size - 1) >> trailing) + 1)


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise VermilionError(Code.PROOF_INVALID, "a hash of the proof is not 32 bytes long")


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (RFC 6962 §2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_hash(node: NodeSource, begin: int, end: int) -> bytes:
    """MTH(D[begin:end]) for a range that occurs in the recursion of RFC 6962: every left part is complete and aligned."""
    size = end - begin
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, begin >> level)
    middle = begin + _split(size)
    return node_hash(_range_hash(node, begin, middle), _range_hash(node, middle, end))


@dataclass(frozen=True)
class Frontier:
    """The complete subtrees at the right edge of a tree, largest first: all that appending and the root need.

    There is one hash for each bit set in ``size``.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count() or any(len(value) != HASH_BYTES for value in self.hashes):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the Merkle frontier does not fit its size")

    def append(self, leaf: bytes) -> Frontier:
        """The frontier with one more leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """The frontier with more leaf hashes, in order: one node hash a leaf on average, whatever the size."""
        size, hashes, sha256 = self.size, list(self.hashes), hashlib.sha256
        for leaf in leaves:
            merged, rest = leaf, size
            while rest & 1:
                merged = sha256(b"\x01" + hashes.pop() + merged).digest()  # ``node_hash``, without the call
                rest >>= 1
            hashes.append(merged)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """Root of the tree; of an empty one, the hash of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        result = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            result = node_hash(left, result)
        return result

    def encode(self) -> bytes:
        """Size as 8 bytes big-endian, then the hashes."""
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    @classmethod
    def decode(cls, data: bytes) -> Frontier:
        """The inverse of ``encode``; raises LEDGER_INCONSISTENT when the bytes do not fit together."""
        size, body = int.from_bytes(data[:8], "big"), data[8:]
        if len(data) < 8 or len(body) != size.bit_count() * HASH_BYTES:
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the stored Merkle frontier is damaged")
        return cls(size, tuple(body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES)))
