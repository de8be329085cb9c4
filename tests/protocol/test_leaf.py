"""Leaf and manifest: the published bytes, exact proofs, and what no leaf can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.vermilion.v1 import common_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.placement_messages import placement_from_message, placement_to_message
from sealcore.protocol.canonical import canonical_cbor
from sealcore.protocol.labels import LEAF_V1
from sealcore.protocol.leaf import Leaf, Mark, MarkKind, Placement, Rectangle, SignatureTexts, leaf_hash, leaf_input
from sealcore.protocol.manifest import DocumentEntry, Manifest, prove
from tests.protocol.build import leaf_of, placement_of
from tests.vectors.load import vectors

MANIFESTS = vectors("leaf")["manifests"]
BOX = Rectangle(0, 0, 1000, 1000)
PICTURE = bytes(32)


@pytest.mark.parametrize("published", MANIFESTS, ids=lambda one: f"{len(one['leaves'])}-documents")
def test_leaf_and_manifest_are_the_published_bytes(published: dict[str, Any]) -> None:
    for one in published["leaves"]:
        leaf = leaf_of(one["leaf"])
        assert leaf_input(leaf).hex() == one["input"]
        assert leaf_hash(leaf).hex() == one["hash"]
    entries = [
        DocumentEntry("any name", bytes.fromhex(one["leaf"]["sha256"]), one["leaf"]["length"], placement_of(one["leaf"]))
        for one in published["leaves"]
    ]
    manifest = Manifest.build(entries, salts=[bytes.fromhex(one["leaf"]["salt"]) for one in published["leaves"]])
    assert manifest.root.hex() == published["root"]
    assert [[step.hex() for step in proof] for proof in manifest.proofs] == [one["proof"] for one in published["leaves"]]


@given(st.data())
def test_every_leaf_is_deterministic_cbor(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([leaf_of(one["leaf"]) for one in MANIFESTS[2]["leaves"]]))
    texts = SignatureTexts(*(data.draw(st.sampled_from(["", "一", "a"])) for _ in range(4)))
    leaf = replace(whole, placement=replace(whole.placement, texts=texts), document_size_bytes=data.draw(st.integers(0, 2**53 - 1)))
    encoded = leaf_input(leaf)[len(LEAF_V1) :]
    assert encoded == canonical_cbor(cbor2.loads(encoded))


def test_a_batch_of_one_has_its_leaf_hash_as_root_and_an_empty_proof() -> None:
    manifest = Manifest.build([DocumentEntry("a", bytes(32), 1, Placement())])
    assert manifest.root == leaf_hash(manifest.leaves[0])
    assert manifest.proofs == ((),)


def test_fresh_manifests_of_the_same_documents_differ_by_their_salts() -> None:
    entries = [DocumentEntry("a", bytes(32), 1, Placement())]
    assert Manifest.build(entries).root != Manifest.build(entries).root


def _five() -> Manifest:
    placement = Placement((Mark((0,), BOX, PICTURE),), SignatureTexts(reason="r"))
    return Manifest.build([DocumentEntry(str(number), bytes([number]) * 32, 10, placement) for number in range(5)])


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: replace(leaf, salt=bytes(16)),
        lambda leaf: replace(leaf, index=leaf.index + 1),
        lambda leaf: replace(leaf, size=leaf.size + 1),
        lambda leaf: replace(leaf, document_sha256=bytes(32)),
        lambda leaf: replace(leaf, document_size_bytes=11),
        lambda leaf: replace(leaf, placement=Placement((), leaf.placement.texts)),
        lambda leaf: replace(leaf, placement=replace(leaf.placement, marks=(Mark((1,), BOX, PICTURE),))),
        lambda leaf: replace(leaf, placement=replace(leaf.placement, marks=(Mark((0,), Rectangle(0, 0, 1000, 1001), PICTURE),))),
        lambda leaf: replace(leaf, placement=replace(leaf.placement, marks=(Mark((0,), BOX, b"\1" * 32),))),
        lambda leaf: replace(leaf, placement=replace(leaf.placement, marks=(Mark((0,), BOX, PICTURE, MarkKind.RIDING),))),
        lambda leaf: replace(leaf, placement=replace(leaf.placement, texts=SignatureTexts(name="r"))),
        lambda leaf: replace(leaf, placement=replace(leaf.placement, certification=type(leaf.placement.certification)(1))),
    ],
)
def test_a_leaf_changed_in_any_part_is_not_in_the_manifest(change: Callable[[Leaf], Leaf]) -> None:
    manifest = _five()
    prove(manifest.leaves[3], manifest.proofs[3], manifest.covers)
    with pytest.raises(VermilionError) as refusal:
        prove(change(manifest.leaves[3]), manifest.proofs[3], manifest.covers)
    assert refusal.value.code is Code.PROOF_INVALID


def test_a_proof_of_another_leaf_or_length_is_refused() -> None:
    manifest = _five()
    leaf, proof = manifest.leaves[2], manifest.proofs[2]
    for wrong in (manifest.proofs[1], proof[:-1], (*proof, bytes(32)), (), (proof[0][:31], *proof[1:])):
        with pytest.raises(VermilionError) as refusal:
            prove(leaf, wrong, manifest.covers)
        assert refusal.value.code is Code.PROOF_INVALID


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rectangle(10, 0, 10, 5),
        lambda: Rectangle(0, 5, 10, 5),
        lambda: Rectangle(0, 0, 2**31, 5),
        lambda: Rectangle(0, 0, 1.5, 5),  # type: ignore[arg-type]
        lambda: Mark((), BOX, PICTURE),
        lambda: Mark((1, 0), BOX, PICTURE),
        lambda: Mark((1, 1), BOX, PICTURE),
        lambda: Mark((-1,), BOX, PICTURE),
        lambda: Mark((0,), BOX, b"short"),
        lambda: SignatureTexts(reason="line\nbreak"),
        lambda: SignatureTexts(name="\ud800"),
        lambda: SignatureTexts(name="x" * 2001),
        lambda: Placement(tuple(Mark((0,), BOX, PICTURE) for _ in range(1001))),
        lambda: Leaf(bytes(15), 0, 1, bytes(32), 1, Placement()),
        lambda: Leaf(bytes(16), 1, 1, bytes(32), 1, Placement()),
        lambda: Leaf(bytes(16), 0, 0, bytes(32), 1, Placement()),
        lambda: Leaf(bytes(16), 0, 2**20 + 1, bytes(32), 1, Placement()),
        lambda: Leaf(bytes(16), True, 2, bytes(32), 1, Placement()),
        lambda: Leaf(bytes(16), 0, 1, bytes(32), -1, Placement()),
        lambda: Manifest.build([]),
        lambda: Manifest.build([DocumentEntry("a", bytes(32), 1, Placement())], salts=[]),
    ],
)
def test_what_no_leaf_can_say_is_refused_at_construction(make: Callable[[], object]) -> None:
    with pytest.raises(VermilionError) as refusal:
        make()
    assert refusal.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("published", MANIFESTS[2]["leaves"][:3], ids=["bare", "final", "riding"])
def test_a_placement_survives_the_wire(published: dict[str, Any]) -> None:
    placement = placement_of(published["leaf"])
    message = common_pb2.Placement.FromString(placement_to_message(placement).SerializeToString())
    assert placement_from_message(message) == placement


@pytest.mark.parametrize(
    "message",
    [
        common_pb2.Placement(),  # no level
        common_pb2.Placement(level=7),  # type: ignore[arg-type]
        common_pb2.Placement(level=common_pb2.PADES_LEVEL_B_T, certification=3),  # type: ignore[arg-type]
        common_pb2.Placement(level=common_pb2.PADES_LEVEL_B_T, marks=[common_pb2.Mark(pages=[0], picture_sha256=PICTURE)]),
        common_pb2.Placement(
            level=common_pb2.PADES_LEVEL_B_T, marks=[common_pb2.Mark(pages=[0], picture_sha256=PICTURE, kind=common_pb2.MARK_KIND_PLAIN)]
        ),
    ],
)
def test_a_message_that_is_no_placement_is_refused(message: common_pb2.Placement) -> None:
    with pytest.raises(VermilionError) as refusal:
        placement_from_message(message)
    assert refusal.value.code is Code.INVALID_ARGUMENT
