"""Proving many leaves of one manifest is proving each by itself, whatever was proven before."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from sealcore.protocol import merkle
from sealcore.protocol.covers import ManifestCovers
from sealcore.protocol.leaf import Leaf, Placement, leaf_hash
from sealcore.protocol.manifest import DocumentEntry, Manifest, Prover

PLACEMENT = Placement()
MANIFESTS = {
    size: Manifest.build([DocumentEntry("", hashlib.sha256(bytes((number,))).digest(), 1, PLACEMENT) for number in range(size)])
    for size in (1, 2, 3, 5, 8, 13, 21, 64, 77)
}


def holds(leaf: Leaf, proof: tuple[bytes, ...], covers: ManifestCovers) -> bool:
    """By the algorithm of RFC 9162, without a memory."""
    try:
        merkle.verify_inclusion(leaf_hash(leaf), leaf.index, covers.size, proof, covers.root)
    except VermilionError as refused:
        assert refused.code is Code.PROOF_INVALID
        return False
    return True


@given(st.sampled_from(sorted(MANIFESTS)), st.data())
def test_a_prover_with_a_memory_judges_as_one_without(size: int, data: st.DataObject) -> None:
    manifest = MANIFESTS[size]
    prover = Prover(manifest.covers)
    for _ in range(data.draw(st.integers(1, 12))):
        leaf, proof = (manifest.leaves[data.draw(st.integers(0, size - 1))], list(manifest.proofs[data.draw(st.integers(0, size - 1))]))
        if data.draw(st.booleans()):
            proof = list(manifest.proofs[leaf.index])
        spoil = data.draw(st.sampled_from(["nothing", "node", "shorter", "longer", "leaf"]))
        if spoil == "node" and proof:
            proof[data.draw(st.integers(0, len(proof) - 1))] = data.draw(st.sampled_from([bytes(32), b"", *proof, manifest.covers.root]))
        elif spoil == "shorter":
            proof = proof[1:]
        elif spoil == "longer":
            proof.append(bytes(32))
        elif spoil == "leaf":
            leaf = Leaf(leaf.salt, leaf.index, leaf.size, bytes(32), 1, PLACEMENT)
        expected = holds(leaf, tuple(proof), manifest.covers)
        try:
            assert prover.prove(leaf, proof) == leaf_hash(leaf)
            found = True
        except VermilionError as refused:
            assert refused.code is Code.PROOF_INVALID
            found = False
        assert found is expected


def test_documents_in_order_cost_about_one_hash_each_above_their_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: what one proof has led through is there for the next."""
    manifest = Manifest.build([DocumentEntry(f"{at}.pdf", at.to_bytes(32, "big"), 1, Placement()) for at in range(3000)])
    hashed = 0
    node_hash = merkle.node_hash

    def counted(left: bytes, right: bytes) -> bytes:
        nonlocal hashed
        hashed += 1
        return node_hash(left, right)

    monkeypatch.setattr(merkle, "node_hash", counted)
    prover = Prover(manifest.covers)
    for leaf, proof in zip(manifest.leaves, manifest.proofs, strict=True):
        prover.prove(leaf, proof)
    assert hashed < 1.1 * 3000
    for at in range(2999, -1, -7):  # and from behind, over what has been forgotten meanwhile
        leaf, proof = manifest.leaves[at], manifest.proofs[at]
        with pytest.raises(VermilionError):
            prover.prove(leaf, (*proof[:-1], bytes(32)))
        with pytest.raises(VermilionError):
            prover.prove(leaf, (*proof, proof[-1]))
        prover.prove(leaf, proof)
