"""Checkpoints, cosignatures, keys, tile names: the published text, and nothing but it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from sealcore.protocol import signed_note as note
from sealcore.protocol.ledger_tiles import TileName, decode_bundle, decode_tile, encode_bundle, tiles_of
from sealcore.protocol.signed_note import Checkpoint, NoteSignature, SignedCheckpoint, VerifierKey
from tests.vectors.load import vectors

KNOWN = vectors("checkpoint")
LOG, WITNESS = VerifierKey.parse(KNOWN["log_key"]), VerifierKey.parse(KNOWN["witness_key"])
SIGNED, COSIGNED = (SignedCheckpoint.parse(KNOWN[name].encode()) for name in ("signed", "cosigned"))
ENTRIES = [bytes.fromhex(one["encoded"]) for one in vectors("entry")["entries"]]


def test_keys_are_the_published_ones() -> None:
    assert str(note.log_key(KNOWN["origin"], bytes.fromhex(KNOWN["log_spki"]))) == str(LOG) == KNOWN["log_key"]
    assert str(note.witness_key(WITNESS.name, bytes.fromhex(KNOWN["witness_spki"]))) == str(WITNESS) == KNOWN["witness_key"]


def test_the_published_checkpoint_is_signed_and_cosigned() -> None:
    note.verify_log(COSIGNED, LOG)
    assert note.verify_witness(COSIGNED, WITNESS) == KNOWN["cosigned_at"]
    published = note.SignedCheckpoint.parse(KNOWN["published"].encode())
    note.verify_log(published, LOG)
    assert note.verify_witness(published, WITNESS) == KNOWN["cosigned_at"]
    assert (note.head_read_at(published, LOG), note.head_read_at(COSIGNED, LOG)) == (KNOWN["head_read_at"], None)
    assert COSIGNED.encode().decode() == KNOWN["cosigned"]
    assert COSIGNED.checkpoint == Checkpoint(KNOWN["origin"], KNOWN["size"], bytes.fromhex(KNOWN["root"]))
    with pytest.raises(VermilionError) as refusal:
        note.verify_witness(SIGNED, WITNESS)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


def test_a_cosignature_is_no_signature_of_the_log_and_the_other_way_round() -> None:
    log_signature, cosignature = COSIGNED.signatures
    as_log = NoteSignature(LOG.name, LOG.key_id, cosignature.value[8:])
    as_witness = NoteSignature(WITNESS.name, WITNESS.key_id, bytes(8) + log_signature.value)
    with pytest.raises(VermilionError):
        note.verify_log(SignedCheckpoint(COSIGNED.checkpoint, (as_log,)), replace(LOG, public_key=WITNESS.public_key))
    with pytest.raises(VermilionError):
        note.verify_witness(SignedCheckpoint(COSIGNED.checkpoint, (as_witness,)), WITNESS)


@given(st.data())
def test_one_byte_changed_anywhere_in_a_cosigned_checkpoint_is_noticed(data: st.DataObject) -> None:
    whole = COSIGNED.encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VermilionError) as refusal:
        signed = SignedCheckpoint.parse(bytes(changed))
        note.verify_log(signed, LOG)
        note.verify_witness(signed, WITNESS)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


@given(st.binary(max_size=300))
def test_any_bytes_get_a_typed_answer(data: bytes) -> None:
    with pytest.raises(VermilionError) as refusal:
        SignedCheckpoint.parse(data)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


def test_signatures_by_unknown_keys_are_ignored() -> None:
    stranger = NoteSignature("stranger.example/w", b"\1\2\3\4", bytes(72))
    same_name = NoteSignature(LOG.name, b"\1\2\3\4", bytes(64))
    crowded = SignedCheckpoint(COSIGNED.checkpoint, (stranger, same_name, *COSIGNED.signatures))
    note.verify_log(SignedCheckpoint.parse(crowded.encode()), LOG)
    assert note.verify_witness(crowded, WITNESS) == KNOWN["cosigned_at"]


def test_extension_lines_are_kept_under_the_signature() -> None:
    key = Ed25519PrivateKey.generate()
    name = VerifierKey("example.com/log", LOG.type, key.public_key().public_bytes_raw())
    signed = note.sign_checkpoint(Checkpoint("example.com/log", 0, bytes(32), ("an extension",)), name, key.sign)
    again = SignedCheckpoint.parse(signed.encode())
    assert again.checkpoint.extensions == ("an extension",)
    note.verify_log(again, name)
    with pytest.raises(VermilionError):
        note.verify_log(replace(again, checkpoint=replace(again.checkpoint, extensions=())), name)


@pytest.mark.parametrize(
    "change", ["", "x", KNOWN["log_key"][:-2], KNOWN["log_key"].replace("vermilion", "vermillion"), "a b+00000000+AA=="]
)
def test_a_key_that_contradicts_itself_is_refused(change: str) -> None:
    with pytest.raises(VermilionError) as refusal:
        VerifierKey.parse(change)
    assert refusal.value.code is Code.CONFIGURATION_INVALID


def test_tiles_and_bundles_are_the_published_bytes() -> None:
    for path, published in KNOWN["tiles"].items():
        name, data = TileName.parse(path), bytes.fromhex(published)
        assert name is not None and name.path == path
        if name.level is None:
            assert decode_bundle(data, name) == ENTRIES
            assert encode_bundle(ENTRIES) == data
        else:
            assert [value.hex() for value in decode_tile(data, name)] == [one["leaf_hash"] for one in vectors("entry")["entries"]]


@pytest.mark.parametrize("one", KNOWN["paths"], ids=lambda one: one["path"])
def test_tile_paths_are_those_of_the_specification(one: dict[str, object]) -> None:
    name = TileName.parse(str(one["path"]))
    assert name is not None
    assert (name.level, name.index, name.width, name.path) == (one["level"], one["index"], one["width"], one["path"])


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 2**40), st.integers(1, 256))
def test_every_tile_name_has_one_path(level: int | None, index: int, width: int) -> None:
    assert TileName.parse(TileName(level, index, width).path) == TileName(level, index, width)


@pytest.mark.parametrize(
    "path",
    ["tile/0/0", "tile/00/000", "tile/64/000", "tile/0/x000/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/-1/000",
     "tile/0/x01/000", "tile/0/1000", "tile/data/000", "/tile/0/000", "tile/0/000/", "tile/0/../000", "tile/0/٠٠٠"],
)  # fmt: skip
def test_other_paths_name_nothing(path: str) -> None:
    assert TileName.parse(path) is None


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    tiles = tiles_of(70_000)
    assert sum(1 for tile in tiles if tile.level == 0 and tile.width == 256) == 273
    assert [tile.path for tile in tiles if tile.width < 256] == ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert [tile.path for tile in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert tiles_of(0) == []
