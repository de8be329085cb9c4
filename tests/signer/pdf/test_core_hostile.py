"""Whatever documents and updates say, the compiled core never fails: it understands them, or it does not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sealcore.compiled import core
from signer.pdf.lean_plan import lean_plan
from signer.pdf.readback.expected import expected
from tests.conftest import CORPUS, EXAMPLES
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal

ROUNDS = 12_000
LARGEST_BYTES = 150_000
TOKENS = (
    *(b"0", b"1", b"-1", b"9999999999", b"4294967295", b"18446744073709551616", b"<<", b">>", b"[", b"]", b"(", b")", b"/", b"%", b"R"),
    *(b" obj", b"endobj", b"stream", b"xref", b"trailer", b"startxref", b"/Kids", b"/Prev 0", b"/XRefStm 15", b"#41", b"\x00", b"\\"),
    *(b"/Length 99999999999", b"/W[1 8 8]", b"/Index[0 4000000]", b"/Size 99999999"),
)


def changed(source: bytes, chance: random.Random) -> bytes:
    """With up to eight small changes, half of them near the end, where the cross-references are."""
    data = bytearray(source)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(data)) if chance.random() < 0.5 else len(data) - chance.randrange(1, min(len(data), 3000) + 1)
        what = chance.randrange(5)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at:at] = chance.choice(TOKENS)
        elif what == 2:
            data[at : at + chance.randrange(1, 20)] = chance.choice(TOKENS)
        elif what == 3 and len(data) > 400:
            del data[at : at + chance.randrange(1, 200)]
        else:
            copied = chance.randrange(len(data))
            data[at:at] = data[copied : copied + chance.randrange(1, 300)]
    return bytes(data)


def sources() -> list[bytes]:
    files = [path.read_bytes() for folder in (EXAMPLES, CORPUS) if folder.exists() for path in sorted(Path(folder).rglob("*.pdf"))]
    return [data for data in files if 0 < len(data) < LARGEST_BYTES] + [make() for make in documents.STRUCTURES.values()]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_document_makes_it_fail(seal: Seal, seed: int) -> None:
    chance = random.Random(seed)
    plan = seal.plan()
    told, wanted, looks, files = lean_plan(plan), expected(plan), core.Looks(), sources()
    before, understood = core.failures(), 0
    for _ in range(ROUNDS):
        document = changed(chance.choice(files), chance)
        state = core.Hash("sha256", document)
        core.read_signed(document)
        core.extend(document, state, ([b"a" * 50], [], [b"x" * 20]), bytes(16), 1024, [("AB", ([b"a" * 50], [], []))], "F", "L")
        core.account(document, state, b"\n" + document[-500:], wanted, looks)
        prepared = core.prepare(document, state, told)
        if isinstance(prepared, str):
            continue
        understood += 1
        hostile = changed(prepared[0], chance)
        core.account(document, state, hostile, wanted, looks)
        core.seals(prepared[0], (10, 2000), bytes(32), hostile, core.SealConstants("p-256", bytes(65), b"", b"", b"1", b"", b""))
    assert core.failures() == before
    assert understood > ROUNDS // 100
