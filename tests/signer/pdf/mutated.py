"""Documents of every structure with pieces changed at random, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.signer.pdf import documents

_TOKENS = [b"null", b"0", b"-1", b"99999999999", b"<<", b">>", b"[", b"]", b"(", b")", b"endobj", b"stream", b"/Kids", b"/Type", b"1 0 R"]
_TOKENS += [b"0 0 R", b"99 0 R", b"\x00", b"/Annots", b"/AcroForm", b"xref", b"trailer", b"%", b"/Prev 0", b"/Encrypt", b"obj", b"\xff"]
_TOKENS += [
    b"#41",
    b"/JS",
    b"/S/Launch",
    b"/F(x)",
    b"/Perms",
    b"/XFA",
    b"2 0 R",
    b"3 0 R",
    b"/Parent",
    b"/Count",
    b"/Length 1",
    b"\r",
    b" ",
]
_SOURCES = [make() for make in documents.STRUCTURES.values()]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One of our documents after one to four changes."""
    data = bytearray(draw(st.sampled_from(_SOURCES)))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 5)):
            case 0:
                data[position] = draw(st.integers(0, 255))
            case 1:
                del data[position : position + draw(st.integers(1, 30))]
            case 2:
                data[position:position] = draw(st.sampled_from(_TOKENS))
            case 3 | 4:  # as long as what was there, so that offsets stay right
                token = draw(st.sampled_from(_TOKENS))
                data[position : position + len(token)] = token[: len(data) - position]
            case _:
                del data[max(len(data) // 2, position) :]
        if not data:
            break
    return bytes(data)
