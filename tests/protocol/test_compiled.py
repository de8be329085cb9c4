"""The compiled core hashes leaves and entries and grows trees as the protocol says: the published vectors, and Python's own."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealcore.compiled import core
from sealcore.errors import VermilionError
from sealcore.protocol import ledger_entry, merkle
from sealcore.protocol.leaf import MOST_DOCUMENTS, Certification, Leaf, Mark, Placement, Rectangle, SignatureTexts, leaf_hash
from sealcore.protocol.ledger_entry import Entry, EntryKind, UseEntries
from tests.protocol.build import leaf_of
from tests.vectors.load import vectors

TREE, ENTRIES = vectors("merkle"), vectors("entry")
HASHES = st.binary(min_size=32, max_size=32)
COUNTS = st.one_of(st.integers(0, 300), st.sampled_from([23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1]))
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)


def as_job(leaf: Leaf) -> tuple[bytes, int, int, bytes, int, tuple[bytes, bytes]]:
    return leaf.salt, leaf.index, leaf.size, leaf.document_sha256, leaf.document_size_bytes, leaf.placement.encoded


def proven(leaf: Leaf, proof: list[bytes], root: bytes, size: int | None = None) -> bytes | None:
    one = leaf.salt, leaf.index, leaf.document_sha256, leaf.document_size_bytes, leaf.placement.encoded, proof
    return core.prove_all(leaf.size if size is None else size, root, [one])[0]


def test_published_proofs_lead_to_published_roots() -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(data)) for data in TREE["leaves"]]
    for size, root in enumerate(TREE["roots"], 1):
        assert core.inclusion_proofs(leaves[:size])[0].hex() == root
    for one in TREE["inclusion"]:
        _, proofs = core.inclusion_proofs(leaves[: one["size"]])
        assert [each.hex() for each in proofs[one["index"]]] == one["proof"]


def test_published_leaves_have_published_hashes() -> None:
    for manifest in vectors("leaf")["manifests"]:
        root = bytes.fromhex(manifest["root"])
        for one in manifest["leaves"]:
            leaf, proof = leaf_of(one["leaf"]), [bytes.fromhex(step) for step in one["proof"]]
            assert core.leaf_hash(as_job(leaf)).hex() == one["hash"]
            assert proven(leaf, proof, root) == leaf_hash(leaf)


@given(st.integers(1, 40), st.data())
def test_proofs_are_those_of_python(size: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha256(bytes((number,))).digest() for number in range(size)]
    root, proofs = core.inclusion_proofs(leaves)
    tree = merkle.Tree(leaves)
    assert root == tree.root()
    index = data.draw(st.integers(0, size - 1))
    assert proofs[index] == tree.inclusion_proof(index)


def test_no_leaves_have_the_root_of_nothing() -> None:
    assert core.inclusion_proofs([]) == (merkle.EMPTY_ROOT, [])


LEAVES = st.builds(
    Leaf,
    salt=st.binary(min_size=16, max_size=16),
    index=st.integers(0, 20),
    size=st.integers(21, MOST_DOCUMENTS),
    document_sha256=HASHES,
    document_size_bytes=COUNTS,
    placement=st.builds(
        Placement,
        marks=st.lists(
            st.builds(
                Mark,
                pages=st.sets(st.integers(0, 2**31 - 1), min_size=1, max_size=5).map(lambda pages: tuple(sorted(pages))),
                rectangle=st.just(Rectangle(-5, 0, 100, 200)),
                picture_sha256=HASHES,
            ),
            max_size=3,
        ).map(tuple),
        texts=st.builds(SignatureTexts, name=WORDS, reason=WORDS),
        certification=st.sampled_from(Certification),
    ),
)


@given(LEAVES)
def test_leaves_have_the_hash_of_python(leaf: Leaf) -> None:
    assert core.leaf_hash(as_job(leaf)) == leaf_hash(leaf)


@settings(max_examples=200)
@given(LEAVES, st.integers(0, 24), st.integers(1, 25), st.lists(HASHES, max_size=6), st.data())
def test_a_proof_is_taken_exactly_where_python_takes_it(
    leaf: Leaf, index: int, size: int, random: list[bytes], data: st.DataObject
) -> None:
    """Good proofs; and with another index, another size, hashes left out, added, swapped or changed."""
    place = index % size
    held = Leaf(leaf.salt, place, size, leaf.document_sha256, leaf.document_size_bytes, leaf.placement)
    others = [hashlib.sha256(bytes((number,))).digest() for number in range(size)]
    others[place] = leaf_hash(held)
    tree = merkle.Tree(others)
    good = tree.inclusion_proof(place)
    proof = data.draw(st.sampled_from([good, good, good[1:], good[:-1], [*good, *random], good[::-1], random, [*random[:1], *good[1:]]]))
    claimed = data.draw(st.sampled_from([place, (place + 1) % size]))
    asked = Leaf(leaf.salt, claimed, size, leaf.document_sha256, leaf.document_size_bytes, leaf.placement)
    try:
        merkle.verify_inclusion(leaf_hash(asked), claimed, size, proof, tree.root())
        expected: bytes | None = leaf_hash(asked)
    except VermilionError:
        expected = None
    assert proven(asked, proof, tree.root()) == expected


def test_what_cannot_be_a_proof_is_none() -> None:
    leaf = Leaf(bytes(16), 0, 2, bytes(32), 1, Placement())
    root = merkle.node_hash(leaf_hash(leaf), bytes(32))
    assert proven(leaf, [bytes(32)], root) == leaf_hash(leaf)
    for proof in ([bytes(31)], [bytes(33)], [b""], []):
        assert proven(leaf, proof, root) is None
    assert proven(leaf, [bytes(32)], root, size=0) is None
    with pytest.raises(ValueError, match="32 bytes"):
        core.prove_all(1, bytes(31), [])


def encoder(kind: EntryKind, time_us: int, values: dict[str, str]) -> tuple[core.UseEntries, UseEntries]:
    jti, spki = hashlib.sha256(b"jti").digest(), hashlib.sha256(b"spki").digest()
    triple = values.get("form"), values.get("people"), values.get("policy")
    return (
        core.UseEntries(kind is EntryKind.SEAL, time_us, jti, spki, triple),
        UseEntries(kind, time_us, jti_hash=jti, spki_sha256=spki, values=values),
    )


@settings(max_examples=150)
@given(
    st.sampled_from([EntryKind.SEAL, EntryKind.VOID]),
    st.tuples(COUNTS, COUNTS, COUNTS),
    st.dictionaries(st.sampled_from(ledger_entry.COMMITMENT_NAMES), WORDS),
    st.lists(WORDS, max_size=30).map(tuple),
    st.binary(min_size=96, max_size=96),
)
def test_entries_are_those_of_python(
    kind: EntryKind, counts: tuple[int, int, int], values: dict[str, str], warnings: tuple[str, ...], random: bytes
) -> None:
    compiled, own = encoder(kind, counts[0], values)
    leaf, signature, stamp = (hashlib.sha256(random[:at]).digest() for at in (1, 2, 3))
    job = compiled, leaf, counts[1], counts[2], signature, stamp, warnings
    (first, salts), (second, _) = core.encode_entries([job, job], random + bytes(each ^ 1 for each in random))
    made = own.encode(
        leaf_hash=leaf,
        index=counts[1],
        attempts=counts[2],
        signature_hash=signature,
        timestamp_hash=stamp,
        salts=random[: own.salts_bytes],
        warnings=warnings,
    )
    assert first == made
    assert Entry.decode(first).encode() == first
    assert salts[1:] == random[: own.salts_bytes]
    assert (first == second) == (not values)


def test_an_entry_has_salts_and_an_end() -> None:
    compiled, _ = encoder(EntryKind.SEAL, 1, {"form": "F"})
    job: Any = (compiled, bytes(32), 0, 1, bytes(32), bytes(32), ())
    with pytest.raises(ValueError, match="salts"):
        core.encode_entries([job, job], bytes(96))
    with pytest.raises(ValueError, match="65535"):
        core.encode_entries([(*job[:6], ["x" * 60_000, "y" * 6_000])], bytes(96))
    with pytest.raises(ValueError, match="32 bytes"):
        core.encode_entries([(compiled, bytes(31), *job[2:])], bytes(96))


def test_published_entries_have_published_hashes_and_root() -> None:
    data = [bytes.fromhex(one["encoded"]) for one in ENTRIES["entries"]]
    frontier, hashes = core.extend_frontier(merkle.Frontier().encode(), data)
    assert [each.hex() for each in hashes] == [one["leaf_hash"] for one in ENTRIES["entries"]]
    assert merkle.Frontier.decode(frontier).root().hex() == ENTRIES["root"]


@given(st.integers(0, 70), st.lists(st.binary(max_size=40), max_size=40))
def test_a_frontier_grows_as_in_python(before: int, entries: list[bytes]) -> None:
    own = merkle.Frontier().extend([merkle.leaf_hash(bytes((number,))) for number in range(before)])
    frontier, hashes = core.extend_frontier(own.encode(), entries)
    assert hashes == [merkle.leaf_hash(data) for data in entries]
    assert frontier == own.extend(hashes).encode()


@pytest.mark.parametrize("damaged", [b"", bytes(7), bytes(9), bytes(40), (1).to_bytes(8, "big"), (3).to_bytes(8, "big") + bytes(32)])
def test_a_damaged_frontier_does_not_grow(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        core.extend_frontier(damaged, [])
