"""What is stored of a suffix gives exactly its bytes back, whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.uses.packing import pack, unpack


def filled(signature: bytes, room: int, *, before: bytes = b"5 0 obj\n<< /Contents ", behind: bytes = b" /M (D:2026) >>") -> bytes:
    """An update with this signature in its room."""
    return before + b"<" + signature.hex().encode() + b"0" * (2 * (room - len(signature))) + b">" + behind


def der(size_bytes: int) -> bytes:
    """A SEQUENCE of that many bytes in all."""
    return b"\x30\x82" + (size_bytes - 4).to_bytes(2, "big") + bytes(number * 7 % 251 for number in range(size_bytes - 4))


def test_a_signature_takes_half_its_digits_and_none_of_its_zeros() -> None:
    suffix = filled(der(4000), 8192)
    stored = pack(suffix)
    assert unpack(stored) == suffix
    assert len(stored) < 4100 < len(suffix) / 4


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
    assert unpack(pack(odd)) == odd


@given(st.binary(max_size=60), st.integers(4, 400), st.integers(0, 300), st.binary(max_size=60), st.data())
def test_all_bytes_come_back(before: bytes, size: int, spare: int, behind: bytes, data: st.DataObject) -> None:
    suffix = bytearray(filled(der(size), size + spare, before=before, behind=behind))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(suffix) - 1))
        suffix[at : at + 1] = data.draw(st.sampled_from([b"", b"0", b"F", b"f", b">", b"<", b"<3082"]))
    assert unpack(pack(bytes(suffix))) == bytes(suffix)
