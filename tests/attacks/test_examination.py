"""An examination takes no token, so it is rationed: a client that floods it holds up neither sealing nor anybody else's examination."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, operator_uri, uuid7
from signer.api.examination import Rate
from tests.attacks.examining import Chunk, Items, Request, examine, examined, item, items
from tests.crash.fixtures import house, scenes
from tests.crash.scene import Scene
from tests.signer.batches import batch, everything_sealed_once
from tests.signer.office import document
from tests.signer.pdf.documents import STRUCTURES, simple

__all__ = ["house", "scenes"]
Scenes = Callable[..., Scene]
SEED: Final = 5
MUTATED: Final = 12
TOKENS: Final = (
    b"0 0 R",
    b"99 0 R",
    b"\0",
    b"/Annots",
    b"/AcroForm",
    b"xref",
    b"trailer",
    b"%",
    b"obj",
    b"\xff",
    b"<<",
    b"]",
    b"/Type/ObjStm",
)


def refusal(work: Callable[[], object]) -> Code:
    """The code that the call ends with."""
    with pytest.raises(VermilionError) as refused:
        work()
    return refused.value.code


def test_a_client_has_so_many_documents_a_minute_examined_and_others_theirs(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0}, examine={"documents_a_minute": 100})
    one, ended = document("Again and again"), None
    for _ in range(20):
        try:
            assert set(examine(scene, items(*[one] * 20)).values()) == {""}
        except VermilionError as refused:
            ended = refused.code
            break
    assert ended is Code.OVERLOADED
    assert examine(scene, items(one), uri=client_uri(uuid7())) == {0: ""}
    others = batch(scene.office)
    everything_sealed_once(scene.station, others, scene.station.stream(others.token, others.items))
    assert 0 < scene.metric("examined", code="ok") < 400


def test_what_is_no_examination_ends_its_own_call_with_a_typed_error(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    opening = Request(open=Request.Open(seal=scene.office.seals["contract"].id))
    announced = Request(items=Items(items=[item(0, 6)]))
    for messages in (
        [opening],
        [Request()],
        [items(*[b"%PDF"] * 5000)],
        [announced, Request(chunk=Chunk(index=0, offset=3, data=b"abc"))],
        [announced, Request(chunk=Chunk(index=0, offset=0, data=b"much more"))],
        [announced, Request(chunk=Chunk(index=1, offset=0, data=b"abcdef"))],
        [announced],
        [announced, announced],
    ):
        assert refusal(lambda messages=messages: examine(scene, *messages)) is Code.INVALID_ARGUMENT  # type: ignore[misc]
    assert refusal(lambda: examine(scene, items(b"%PDF"), uri=operator_uri("test"))) is Code.PERMISSION_DENIED
    huge = Request(items=Items(items=[item(0, 2**40, name="huge.pdf")]))
    assert examine(scene, huge, Request(chunk=Chunk(index=0, offset=0, data=b"abc"))) == {0: "DOCUMENT_TOO_LARGE"}
    assert examine(scene, items(b"%PDF-1.7 and nothing more", document("Whole"), b"")) == {
        0: "DOCUMENT_DAMAGED",
        1: "",
        2: "DOCUMENT_EMPTY",
    }
    assert scene.unready() == set()


def broken() -> Iterator[bytes]:
    """Our structures as they are, and damaged in a few places each: what readers mend, and what they do not."""
    yield from (make() for make in STRUCTURES.values())
    table = simple(more={10: b"[]"})
    yield table.replace(b"0000000000 00000 f \n0000000000 00000 f ", b"0000000000 00000 f \n0000000000 00000]f ", 1)
    yield table[: table.index(b"xref")] + b"xref\n0 5\n0000000000 65535 f \n0000"
    yield table[: table.index(b"4 0 obj") + 20] + b"00000 n \ntrailer\n-1-"
    random_, made = random.Random(SEED), [make() for make in STRUCTURES.values()]
    for _ in range(MUTATED):
        document = bytearray(random_.choice(made))
        for _ in range(random_.choice((1, 2, 8))):
            at = random_.randrange(len(document))
            match random_.randrange(4):
                case 0:
                    document[at] = random_.randrange(256)
                case 1:
                    del document[at : at + random_.randrange(1, 100)]
                case 2:
                    document[at:at] = random_.choice(TOKENS)
                case _:
                    del document[at if random_.random() < 0.1 else len(document) :]
        yield bytes(document)


def test_what_is_said_of_a_broken_document_is_what_sealing_does_with_it(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    documents = list(broken())
    approved = scene.office.approve(documents, placement=scene.office.visible())
    parts = [approved.items[start : start + 20] for start in range(0, len(documents), 20)]
    told = {one.index: one for one in examined(scene, *(Request(items=Items(items=part)) for part in parts))}
    results = scene.station.stream(approved.token, approved.items)
    for index in range(len(documents)):
        said, refused = told[index], results.refused.get(index)
        did = (str(refused.code), refused.reason, []) if refused else ("", "", sorted(results.sealed[index].warnings))
        assert (said.error.code, said.error.reason, sorted(said.warnings)) == did, (index, documents[index])
    assert len(results.sealed) > len(STRUCTURES) / 2 and len(results.refused) > MUTATED / 4


def test_an_allowance_fills_up_over_a_minute() -> None:
    rate = Rate(60)
    rate.take("a", 60, now_s=0.0)
    assert refusal(lambda: rate.take("a", 1, now_s=0.0)) is Code.OVERLOADED
    rate.take("b", 1, now_s=0.0)
    rate.take("a", 5, now_s=2.0)
    assert refusal(lambda: rate.take("a", 1, now_s=4.0)) is Code.OVERLOADED
    rate.take("a", 60, now_s=1000.0)
    assert refusal(lambda: rate.take("a", 1, now_s=1000.0)) is Code.OVERLOADED
