"""What is stored of a suffix gives exactly its bytes back, whatever they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealcore.compiled import core
from sealcore.hsm.algorithm import Algorithm
from signer.model import Packed
from signer.uses import packing
from signer.uses.packing import Packer, decode, encode, names
from tests.signer.pdf.kit import Authority, Seal


def filled(signature: bytes, room: int, *, before: bytes = b"5 0 obj\n<< /Contents ", behind: bytes = b" /M (D:2026) >>") -> bytes:
    """An update with this signature in its room."""
    return before + b"<" + signature.hex().encode() + b"0" * (2 * (room - len(signature))) + b">" + behind


def stored(suffix: bytes, packer: Packer | None = None) -> bytes:
    """The suffix as it is stored, once it was held that all of it comes back."""
    packer = packer or Packer()
    packed = packer.pack(suffix, "a seal")
    data = encode(packed)
    hold_the_core(suffix, packer._known.get("a seal", packing._NOTHING))
    assert decode(data, {part.name: part.content for part in packed.parts}) == packed
    assert names(data) == [part.name for part in packed.parts]
    assert packed.whole() == suffix
    return data


def hold_the_core(suffix: bytes, known: packing._Known) -> None:
    """The compiled core packs it as Python does."""
    assert known.compiled is not None
    own = packing._packed(suffix, known.sought)
    (fields,) = core.pack_all([(suffix, known.compiled)])
    if own is None:
        assert fields is None
        return
    assert fields is not None
    before, stretches, places, zeros, after, data = fields
    assert Packed(before, stretches, tuple(known.parts[place] for place in places), zeros, after) == own
    assert data == encode(own)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The signatures that are read to learn from them, as they come."""
    read: list[bytes] = []
    parts_in = packing._parts_in

    def noting(signature: bytes) -> tuple[packing._Sought, ...]:
        read.append(signature)
        return parts_in(signature)

    monkeypatch.setattr(packing, "_parts_in", noting)
    return read


def der(size_bytes: int) -> bytes:
    """A SEQUENCE of that many bytes in all."""
    return b"\x30\x82" + (size_bytes - 4).to_bytes(2, "big") + bytes(number * 7 % 251 for number in range(size_bytes - 4))


def test_a_signature_takes_half_its_digits_and_none_of_its_zeros() -> None:
    suffix = filled(der(4000), 8192)
    assert len(stored(suffix)) < 4100 < len(suffix) / 4


@pytest.mark.parametrize("algorithm", [Algorithm.RSA_2048, Algorithm.P256])
def test_certificates_that_signatures_have_in_common_are_kept_once(tmp_path: Path, algorithm: Algorithm) -> None:
    seal, packer = Seal(Authority(tmp_path), algorithm), Packer()
    kept = [packer.pack(filled(seal.cms(os.urandom(32)), 8192), "a seal") for _ in range(3)]
    assert {one.parts for one in kept} == {kept[0].parts} and len(kept[0].parts) == 2, "the seal's certificates and the TSA's"
    assert sum(map(len, kept[0].stretches)) < 2000 < sum(len(part.content) for part in kept[0].parts)
    for one in kept:
        assert one.whole() == filled(one.signature(), 8192)


def test_a_batch_is_packed_as_one_by_one(tmp_path: Path) -> None:
    kinds = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        kinds[name] = Seal(Authority(tmp_path / name), Algorithm.P256)
    asked = [(filled(kinds[name].cms(os.urandom(32)), 8192), name) for name in ("one", "one", "two", "one", "two")]
    asked.insert(2, (b"no signature", "one"))
    single, batches = Packer(), Packer()
    for _ in range(2):  # the first time with all that is learnt on the way
        one_by_one = [single.pack(*each) for each in asked]
        at_once = batches.pack_all(asked)
        assert at_once == [(one, encode(one)) for one in one_by_one]
    assert [len(one.parts) for one, _ in at_once] == [2, 2, 0, 2, 2, 2]
    for (suffix, _), (one, _) in zip(asked, at_once, strict=True):
        assert one.whole() == suffix


@given(
    st.lists(st.binary(max_size=80), max_size=4),
    st.lists(st.one_of(st.integers(0, 3), st.binary(max_size=20)), max_size=8),
    st.integers(0, 9),
    st.sampled_from([None, b"A", b"g", b">", b"<3082", b"0"]),
    st.integers(0, 400),
)
def test_the_core_finds_the_parts_that_python_finds(
    contents: list[bytes], pieces: list[int | bytes], spare: int, slip: bytes | None, at: int
) -> None:
    inside = b"".join(
        contents[piece % len(contents)] if isinstance(piece, int) and contents else bytes(3) if isinstance(piece, int) else piece
        for piece in pieces
    )
    signature = b"\x30\x82" + len(inside).to_bytes(2, "big") + inside
    suffix = filled(signature, len(signature) + spare)
    if slip is not None:
        place = at % len(suffix)
        suffix = suffix[:place] + slip + suffix[place + 1 :]
    hold_the_core(suffix, packing._Known.of(tuple(packing._Sought.of(content) for content in contents), 0))


def test_two_authorities_in_turn_do_not_make_every_signature_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    seals = [Seal(Authority(folder), Algorithm.P256) for folder in folders]
    suffixes = [filled(seals[number % 2].cms(os.urandom(32)), 8192) for number in range(40)]
    read = counted(monkeypatch)
    packer = Packer()
    sizes = [len(stored(suffix, packer)) for suffix in suffixes]
    assert len(read) <= 12, "two that taught something, and a few in vain"
    assert max(sizes[2:]) < 2600, "and both are packed"


def test_a_signature_that_teaches_nothing_is_read_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read = counted(monkeypatch)
    packer = Packer()
    for _ in range(40):
        stored(filled(der(300), 400), packer)
    assert len(read) <= 8


def test_what_earlier_versions_stored_is_read() -> None:
    signature = der(300)
    suffix = filled(signature, 400)
    start, end = suffix.index(b"<3082") + 1, suffix.index(b">", suffix.index(b"<3082"))
    before = b"\x01" + start.to_bytes(4, "big") + (300).to_bytes(4, "big") + (200).to_bytes(4, "big")
    assert decode(before + suffix[:start] + signature + suffix[end:], {}).whole() == suffix
    assert decode(b"\x00" + suffix, {}).whole() == suffix


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"no signature",
        filled(der(300), 300),  # no room left
        filled(der(300)[:200], 400),  # shorter than it says
        filled(der(300), 400).upper(),
        filled(der(300), 400).replace(b"a", b"A", 1),
        filled(der(300), 400).replace(b"00>", b"0>"),
        filled(der(300), 400).replace(b"00>", b"01>"),
        filled(der(300), 400).replace(b">", b""),
        filled(der(300), 400) + filled(der(256), 500),
        b"<3082>",
        b"<3082 1_0>",
        b"<30820100",
        b"\x00\x01" + filled(der(300), 400),
    ],
)
def test_odd_bytes_come_back_as_they_were(odd: bytes) -> None:
    stored(odd)


@given(st.binary(max_size=60), st.integers(4, 400), st.integers(0, 300), st.binary(max_size=60), st.data())
def test_all_bytes_come_back(before: bytes, size: int, spare: int, behind: bytes, data: st.DataObject) -> None:
    suffix = bytearray(filled(der(size), size + spare, before=before, behind=behind))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(suffix) - 1))
        suffix[at : at + 1] = data.draw(st.sampled_from([b"", b"0", b"F", b"f", b">", b"<", b"<3082"]))
    stored(bytes(suffix))
