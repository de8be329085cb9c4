"""Merkle arithmetic: the known vectors, and for any size: real proofs hold, altered ones never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from sealcore.protocol import merkle
from sealcore.protocol.merkle import EMPTY_ROOT, Frontier
from tests.vectors.load import vectors

KNOWN = vectors("merkle")
LEAVES = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in KNOWN["leaves"]]
MOST_LEAVES = 300  # over one tile's width, so that every shape of right edge occurs
MANY = [merkle.leaf_hash(bytes([number & 255, number >> 8])) for number in range(MOST_LEAVES)]
SIZES = st.integers(1, MOST_LEAVES)


@st.composite
def altered(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """The proof with one bit flipped, one hash dropped, repeated or swapped, or one added."""
    kinds = ["add"] + (["flip", "drop", "repeat", "shorten"] if proof else []) + (["swap"] if len(proof) > 1 else [])
    kind, at = draw(st.sampled_from(kinds)), draw(st.integers(0, max(0, len(proof) - 1)))
    match kind:
        case "add":
            return [*proof[:at], bytes(32), *proof[at:]]
        case "drop":
            return proof[:at] + proof[at + 1 :]
        case "repeat":
            return [*proof[: at + 1], *proof[at:]]
        case "shorten":
            return [*proof[:at], proof[at][:-1], *proof[at + 1 :]]
        case "swap":
            other = (at + 1) % len(proof)
            spoilt = list(proof)
            spoilt[at], spoilt[other] = spoilt[other], spoilt[at]
            return spoilt
        case _:
            bit = draw(st.integers(0, 255))
            spoilt_hash = bytearray(proof[at])
            spoilt_hash[bit // 8] ^= 1 << bit % 8
            return [*proof[:at], bytes(spoilt_hash), *proof[at + 1 :]]


def test_roots_are_those_of_certificate_transparency() -> None:
    assert merkle.root([]).hex() == KNOWN["empty_root"]
    assert [merkle.root(LEAVES[:size]).hex() for size in range(1, 9)] == KNOWN["roots"]
    assert [Frontier().extend(LEAVES[:size]).root().hex() for size in range(1, 9)] == KNOWN["roots"]


@pytest.mark.parametrize("known", KNOWN["inclusion"], ids=lambda one: f"{one['index']}-of-{one['size']}")
def test_known_inclusion_proofs(known: dict[str, object]) -> None:
    index, size = int(str(known["index"])), int(str(known["size"]))
    proof = merkle.inclusion_proof(LEAVES[:size], index)
    assert [step.hex() for step in proof] == known["proof"]
    assert merkle.root_from_inclusion(LEAVES[index], index, size, proof).hex() == KNOWN["roots"][size - 1]


@pytest.mark.parametrize("known", KNOWN["consistency"], ids=lambda one: f"{one['old']}-to-{one['new']}")
def test_known_consistency_proofs(known: dict[str, object]) -> None:
    old, new = int(str(known["old"])), int(str(known["new"]))
    proof = merkle.consistency_proof(LEAVES[:new], old)
    assert [step.hex() for step in proof] == known["proof"]
    merkle.verify_consistency(old, merkle.root(LEAVES[:old]), new, merkle.root(LEAVES[:new]), proof)


@given(SIZES, st.data())
def test_real_inclusion_proofs_hold_and_altered_ones_do_not(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, proof = merkle.root(MANY[:size]), merkle.inclusion_proof(MANY[:size], index)
    merkle.verify_inclusion(MANY[index], index, size, proof, root)
    spoilt = data.draw(altered(proof))
    if spoilt != proof:
        with pytest.raises(VermilionError) as refusal:
            merkle.verify_inclusion(MANY[index], index, size, spoilt, root)
        assert refusal.value.code is Code.PROOF_INVALID


@given(SIZES, st.data())
def test_an_inclusion_proof_counts_for_one_leaf_at_one_place(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, proof = merkle.root(MANY[:size]), merkle.inclusion_proof(MANY[:size], index)
    elsewhere = data.draw(st.integers(-1, size + 1).filter(lambda other: other != index))
    with pytest.raises(VermilionError):
        merkle.verify_inclusion(MANY[index], elsewhere, size, proof, root)
    with pytest.raises(VermilionError):
        merkle.verify_inclusion(bytes(32), index, size, proof, root)


@given(SIZES, st.data())
def test_real_consistency_proofs_hold_and_altered_ones_do_not(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, new))
    old_root, new_root, proof = merkle.root(MANY[:old]), merkle.root(MANY[:new]), merkle.consistency_proof(MANY[:new], old)
    merkle.verify_consistency(old, old_root, new, new_root, proof)
    spoilt = data.draw(altered(proof))
    if spoilt != proof:
        with pytest.raises(VermilionError) as refusal:
            merkle.verify_consistency(old, old_root, new, new_root, spoilt)
        assert refusal.value.code is Code.PROOF_INVALID


@given(SIZES, st.data())
def test_no_proof_joins_a_tree_to_a_rewritten_one(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [*MANY[:changed], bytes(32), *MANY[changed + 1 : new]]
    with pytest.raises(VermilionError):
        merkle.verify_consistency(old, merkle.root(MANY[:old]), new, merkle.root(rewritten), merkle.consistency_proof(rewritten, old))


def test_an_empty_old_tree_has_the_empty_root() -> None:
    merkle.verify_consistency(0, EMPTY_ROOT, 3, merkle.root(MANY[:3]), [])
    with pytest.raises(VermilionError):
        merkle.verify_consistency(0, bytes(32), 3, merkle.root(MANY[:3]), [])
    with pytest.raises(VermilionError):
        merkle.verify_consistency(3, merkle.root(MANY[:3]), 2, merkle.root(MANY[:2]), [])


@given(st.integers(0, MOST_LEAVES), st.data())
def test_a_frontier_grows_as_the_tree_does_and_survives_storage(size: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, size))
    frontier = Frontier.decode(Frontier().extend(MANY[:cut]).encode()).extend(MANY[cut:size])
    assert (frontier.size, frontier.root()) == (size, merkle.root(MANY[:size]))


@given(st.binary(max_size=200))
def test_a_damaged_frontier_is_never_taken(data: bytes) -> None:
    size = int.from_bytes(data[:8], "big")
    if len(data) >= 8 and len(data) == 8 + 32 * size.bit_count():
        assert Frontier.decode(data).encode() == data
    else:
        with pytest.raises(VermilionError) as refusal:
            Frontier.decode(data)
        assert refusal.value.code is Code.LEDGER_INCONSISTENT
