"""Ledger entries: the published bytes, one spelling each, nobody's name in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.store import Draft
from sealcore.protocol import ledger_entry as entries
from sealcore.protocol import merkle
from sealcore.protocol.canonical import canonical_cbor
from sealcore.protocol.labels import ENTRY_V1
from sealcore.protocol.ledger_entry import MOST_ENTRY_BYTES, Entry, EntryKind, UseEntries, use_facts
from tests.vectors.load import vectors

PUBLISHED = vectors("entry")
PLAIN = Entry("act", 1)


@pytest.mark.parametrize("published", PUBLISHED["entries"], ids=lambda one: one["entry"]["kind"])
def test_entries_are_the_published_bytes(published: dict[str, Any]) -> None:
    data = bytes.fromhex(published["encoded"])
    entry, facts = Entry.decode(data), published["entry"]
    assert entry.encode() == data
    assert entries.entry_hash(data).hex() == published["leaf_hash"]
    assert (entry.kind, entry.time_us, entry.index, entry.attempts) == (
        facts["kind"], facts["time"], facts.get("index"), facts.get("attempts"))  # fmt: skip
    for key, value in (
        ("jti", entry.jti_hash),
        ("spki", entry.spki_sha256),
        ("leaf", entry.leaf_hash),
        ("signature", entry.signature_hash),
        ("timestamp", entry.timestamp_hash),
        ("subject", entry.subject_sha256),
    ):
        assert (value.hex() if value is not None else None) == facts.get(key)
    assert {name: value.hex() for name, value in entry.commitments.items()} == facts.get("commitments", {})
    assert list(entry.warnings) == facts.get("warnings", [])


def test_the_published_entries_have_the_published_root() -> None:
    assert merkle.root([bytes.fromhex(one["leaf_hash"]) for one in PUBLISHED["entries"]]).hex() == PUBLISHED["root"]


def test_labelled_hashes_are_the_published_ones() -> None:
    assert entries.jti_hash(PUBLISHED["jti_hash"]["jti"]).hex() == PUBLISHED["jti_hash"]["hash"]
    signature, stamp = PUBLISHED["signature_hash"], PUBLISHED["timestamp_hash"]
    assert entries.signature_hash(bytes.fromhex(signature["signature_value"])).hex() == signature["hash"]
    assert entries.timestamp_hash(bytes.fromhex(stamp["token"])).hex() == stamp["hash"]
    for one in PUBLISHED["commitments"].values():
        assert entries.commitment(bytes.fromhex(one["salt"]), one["value"]).hex() == one["commitment"]


def test_an_entry_shows_neither_form_nor_people() -> None:
    draft = Draft.committing(PLAIN, {"form": "DEMO-2026-000001", "people": "alice", "policy": ""})
    assert draft.entry.commitments.keys() == draft.salts.keys() == {"form", "people"}
    assert b"DEMO" not in draft.entry.encode() and b"alice" not in draft.entry.encode()
    assert entries.commitment(draft.salts["people"], "alice") == draft.entry.commitments["people"]
    again = Draft.committing(PLAIN, {"people": "alice"})
    assert again.entry.commitments["people"] != draft.entry.commitments["people"]


def test_an_entry_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    room = Entry("act", 1, warnings=("x" * 200,) * 64)
    assert len(room.encode()) <= MOST_ENTRY_BYTES
    whole = room.encode()
    grown = ENTRY_V1 + canonical_cbor({"version": 1, "kind": "act", "time": 1, "warnings": ["x" * MOST_ENTRY_BYTES]})
    assert len(grown) > MOST_ENTRY_BYTES
    assert Entry.decode(whole) == room
    with pytest.raises(VermilionError) as refusal:
        Entry.decode(grown)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT
    with pytest.raises(VermilionError) as too_long:
        replace(PLAIN, warnings=("語" * 200,) * 64 + ("x",))
    assert too_long.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "Seal"}, {"kind": ""}, {"time_us": -1}, {"time_us": 1.5}, {"jti_hash": b"short"}, {"index": -1}, {"attempts": True},
     {"commitments": {"name": bytes(32)}}, {"commitments": {"form": b""}}, {"warnings": ("",)}],
)  # fmt: skip
def test_what_no_entry_can_say_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(VermilionError) as refusal:
        replace(PLAIN, **wrong)
    assert refusal.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ENTRY_V1,
        b"vermilion-entry-v2" + PLAIN.encode()[len(ENTRY_V1) :],
        PLAIN.encode() + b"\x00",
        ENTRY_V1 + canonical_cbor({"version": 2, "kind": "act", "time": 1}),
        ENTRY_V1 + canonical_cbor({"version": 1, "kind": "act", "time": 1, "note": "x"}),
        ENTRY_V1 + canonical_cbor({"version": 1, "kind": "act"}),
        ENTRY_V1 + canonical_cbor([1, 2]),
        ENTRY_V1 + b"\xa3dkindcactdtime\x19\x00\x01gversion\x01",  # time in more bytes than it needs
        ENTRY_V1 + b"\xbfdkindcactdtime\x01gversion\x01\xff",  # a map of indefinite length
        ENTRY_V1 + b"\xc1\x01",
    ],
)
def test_bytes_that_are_no_entry_of_one_spelling_are_refused(data: bytes) -> None:
    with pytest.raises(VermilionError) as refusal:
        Entry.decode(data)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


DIGEST = st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        Entry,
        kind=st.sampled_from(["seal", "void", "a-later-kind"]),
        time_us=st.integers(0, 2**53 - 1),
        jti_hash=st.none() | DIGEST,
        index=st.none() | st.integers(0, 2**31),
        attempts=st.none() | st.integers(0, 1000),
        spki_sha256=st.none() | DIGEST,
        leaf_hash=st.none() | DIGEST,
        signature_hash=st.none() | DIGEST,
        timestamp_hash=st.none() | DIGEST,
        subject_sha256=st.none() | DIGEST,
        commitments=st.dictionaries(st.sampled_from(["policy", "people", "form"]), DIGEST),
        warnings=st.lists(st.sampled_from(["javascript", "quorum-0"])).map(tuple),
    )
)
def test_every_entry_is_deterministic_cbor_and_comes_back(entry: Entry) -> None:
    data = entry.encode()
    assert data == ENTRY_V1 + canonical_cbor(cbor2.loads(data[len(ENTRY_V1) :]))
    assert Entry.decode(data) == entry


COMMITTED = st.dictionaries(st.sampled_from(entries.COMMITMENT_NAMES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
WARNINGS = st.lists(st.sampled_from(["javascript", "quorum-0", "鉴"]), max_size=3).map(tuple)
COUNT = st.integers(0, 30) | st.integers(200, 300) | st.integers(65_000, 66_000) | st.integers(0, 2**53 - 1)


@st.composite
def use_entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    """An entry as Commit has it made, and the same by way of ``Entry``."""
    kind, values, salts = (
        draw(st.sampled_from([EntryKind.SEAL, EntryKind.VOID])),
        draw(COMMITTED),
        draw(st.binary(min_size=96, max_size=96)),
    )
    jti, spki, leaf, signature, stamp = (draw(DIGEST) for _ in range(5))
    time_us, index, attempts, warnings = draw(COUNT), draw(COUNT), draw(COUNT), draw(WARNINGS)
    names = [name for name in entries.COMMITMENT_NAMES if name in values]
    made = UseEntries(kind, time_us, jti_hash=jti, spki_sha256=spki, values=values)
    assert made.salts_bytes == 32 * len(names)
    data = made.encode(
        leaf_hash=leaf, index=index, attempts=attempts, signature_hash=signature, timestamp_hash=stamp, salts=salts, warnings=warnings
    )
    is_seal = kind is EntryKind.SEAL
    entry = Entry(
        kind, time_us, jti_hash=jti, index=index, attempts=attempts, spki_sha256=spki, leaf_hash=leaf,
        signature_hash=signature if is_seal else None, timestamp_hash=stamp if is_seal else None, warnings=warnings,
        commitments={name: entries.commitment(salts[32 * at : 32 * at + 32], values[name]) for at, name in enumerate(names)},
    )  # fmt: skip
    return entry, data


@given(use_entries())
def test_the_short_way_to_a_uses_entry_gives_the_same_bytes(made: tuple[Entry, bytes]) -> None:
    entry, data = made
    assert data == entry.encode()
    assert Entry.decode(data) == entry
    assert use_facts(data) == (entry.kind, entry.jti_hash, entry.index, entry.attempts, entry.leaf_hash)


@given(use_entries(), st.data())
def test_what_the_short_reader_takes_is_what_the_long_one_takes(made: tuple[Entry, bytes], data: st.DataObject) -> None:
    changed = bytearray(made[1])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    facts = use_facts(bytes(changed))
    if facts is not None:
        entry = Entry.decode(bytes(changed))
        assert facts == (entry.kind, entry.jti_hash, entry.index, entry.attempts, entry.leaf_hash)


@given(st.binary(max_size=300))
def test_any_bytes_get_a_typed_answer(data: bytes) -> None:
    with pytest.raises(VermilionError) as refusal:
        Entry.decode(ENTRY_V1 + data)
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


@given(st.data())
def test_one_bit_changed_is_another_leaf(data: st.DataObject) -> None:
    whole = bytes.fromhex(PUBLISHED["entries"][0]["encoded"])
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    assert entries.entry_hash(bytes(changed)).hex() != PUBLISHED["entries"][0]["leaf_hash"]
