"""Streams of a client that spells its messages as no serialiser does: each may end its own call, and nothing else.

The frames are made from items that the test's own office approved; every spelling is one that protobuf's parsers read, or nearly.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.client import channel
from signer.front import framing
from signer.front.framing import Kind, framed, items_of
from tests.crash.fixtures import house, scenes
from tests.crash.scene import Scene
from tests.signer.batches import batch, everything_sealed_once, refused_codes
from tests.signer.office import Approved, document, item_message
from tests.signer.station import TIMEOUT_S, Results, typed
from tests.support.waiting import until

__all__ = ["house", "scenes"]
Scenes = Callable[..., Scene]
Request = signer_pb2.SealStreamRequest
COUNT: Final = 6
DELIMITED: Final = 2


# --- spellings -------------------------------------------------------------------------------------------------------------------


def varint(value: int, *, padding: int = 0) -> bytes:
    """A varint, longer than it need be by so many bytes."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value | (0x80 if padding else 0))
    return bytes(digits) + b"\x80" * (padding - 1) + b"\x00" * (padding > 0)


def field(number: int, data: bytes, *, padding: int = 0) -> bytes:
    """A field with a length."""
    return varint(number << 3 | DELIMITED) + varint(len(data), padding=padding) + data


def padded_index(item: bytes) -> bytes:
    """One byte longer than its canonical form: the index, again, in two bytes."""
    index = signer_pb2.Item.FromString(item).index
    return item + b"\x08" + varint(index, padding=1)


def unpacked_pages(item: signer_pb2.Item) -> bytes:
    """Shorter than its canonical form: the pages of marks one by one, not packed."""
    spelled = signer_pb2.Item.FromString(item.SerializeToString())
    spelled.ClearField("placement")
    placement = type(item.placement).FromString(item.placement.SerializeToString())
    placement.ClearField("marks")
    body = placement.SerializeToString()
    for mark in item.placement.marks:
        bare = type(mark).FromString(mark.SerializeToString())
        bare.ClearField("pages")
        number = placement.DESCRIPTOR.fields_by_name["marks"].number
        pages = mark.DESCRIPTOR.fields_by_name["pages"].number
        body += field(number, b"".join(varint(pages << 3) + varint(page) for page in mark.pages) + bare.SerializeToString())
    return spelled.SerializeToString() + field(item.DESCRIPTOR.fields_by_name["placement"].number, body)


def spelled(items: Sequence[bytes], *, padding: int = 0) -> bytes:
    """A message of the stream, of items that are serialised already."""
    return field(2, b"".join(field(1, item, padding=padding) for item in items))


def borders_off(items: Sequence[signer_pb2.Item]) -> bytes:
    """Canonical in length as a whole, while no border is where the canonical form has it."""
    shorter = [unpacked_pages(item) for item in items[:2]]
    short_by = sum(item.ByteSize() for item in items[:2]) - sum(map(len, shorter))
    longer = [item.SerializeToString() for item in items[2:]]
    index = items[2].index
    longer[0] += b"\x08" + varint(index, padding=short_by - 1 - len(varint(index)))
    message = spelled([*shorter, *longer])
    assert len(message) == len(Request(items=Request.Items(items=items)).SerializeToString())
    return message


def merged(items: Sequence[signer_pb2.Item]) -> bytes:
    """Two messages of items, which merge into one; each placement in two parts, the second of them empty."""
    halves = [item.SerializeToString() + field(4, b"") for item in items]
    return spelled(halves[:2]) + spelled(halves[2:])


UNKNOWN: Final = varint(99 << 3) + varint(7) + varint(98 << 3 | 5) + b"abcd" + varint(97 << 3 | 3) + varint(97 << 3 | 4) + field(96, b"xyz")

SAME_MEANING: Final[dict[str, Callable[[Sequence[signer_pb2.Item]], bytes]]] = {
    "borders off": borders_off,
    "lengths of two bytes more": lambda items: spelled([item.SerializeToString() for item in items], padding=2),
    "an index twice": lambda items: spelled([padded_index(item.SerializeToString()) for item in items]),
    "merged from parts": merged,
    "unknown fields in items": lambda items: spelled([item.SerializeToString() + UNKNOWN for item in items]),
    "unknown fields between items": lambda items: field(2, UNKNOWN.join(field(1, item.SerializeToString()) for item in items) + UNKNOWN),
    "unknown fields around": lambda items: UNKNOWN + spelled([item.SerializeToString() for item in items]) + UNKNOWN,
    "another member first": lambda items: field(1, b"\x0a\x01x") + spelled([item.SerializeToString() for item in items]),
    "a document twice": lambda items: spelled([field(7, b"another") + item.SerializeToString() for item in items]),
}

REFUSED: Final[dict[str, bytes]] = {
    "nothing": b"",
    "no member": UNKNOWN,
    "another token": Request(open=Request.Open(token="x")).SerializeToString(),
    "a length without end": b"\x12" + b"\xff" * 1_000_000,
    "an item's length without end": b"\x12\x81\x80\x04\x0a" + b"\xff" * 65536,
    "a length beyond the end": b"\x12\x7f\x0a\x01",
    "an item as a number": field(2, b"\x08\x01") + b"\x0f",
    "an open group": field(2, b"\x0b\x0b\x0b"),
    "groups a thousand deep": field(2, b"\x0b" * 1000 + b"\x0c" * 1000),
    "a name that is no text": spelled([field(8, b"\xff\xfe")]),
    "empty items without number": field(2, b"\x0a\x00" * 100_000),
    "the same in a spelling of its own": field(2, b"\x0a\x80\x00" * 100_000),
}


def approved(scene: Scene) -> Approved:
    """Documents with a visible mark."""
    office = scene.office
    return office.approve([document(f"Spelled {number}") for number in range(COUNT)], placement=office.visible())


def exchange(scene: Scene, token: str, *messages: bytes) -> Results:
    """What comes back for messages as they are written here."""
    opening = Request(open=Request.Open(token=token)).SerializeToString()
    with channel(f"127.0.0.1:{scene.station.port}", scene.station.identity(scene.office.client)) as line:
        call = line.stream_stream("/vermilion.v1.Signer/SealStream", bytes, signer_pb2.SealStreamResponse.FromString)
        return typed(lambda: Results.collect(call(iter([opening, *messages]), timeout=TIMEOUT_S)))


def unharmed(scene: Scene) -> None:
    """No worker ended, and everybody else is served."""
    others = batch(scene.office)
    everything_sealed_once(scene.station, others, scene.station.stream(others.token, others.items))
    assert scene.metric("worker_deaths") == 0
    assert scene.unready() == set()


def test_however_a_message_is_spelled_its_documents_are_sealed_and_no_worker_ends(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    for name, spelling in SAME_MEANING.items():
        one = approved(scene)
        results = exchange(scene, one.token, spelling([item_message(request) for request in one.requests]))
        assert sorted(results.sealed) == list(range(COUNT)), (name, results.refused)
        everything_sealed_once(scene.station, one, results)
    unharmed(scene)


def test_what_is_no_message_ends_its_own_call_with_a_typed_error(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    one = approved(scene)
    for name, message in REFUSED.items():
        with pytest.raises(VermilionError) as refused:
            exchange(scene, one.token, message)
        assert refused.value.code is Code.INVALID_ARGUMENT, name
    unharmed(scene)
    everything_sealed_once(scene.station, one, scene.station.stream(one.token, one.items))


def test_many_small_documents_in_chunks_are_sealed_or_put_off_and_cost_no_descriptor_of_others(scenes: Scenes) -> None:
    """More of them at once than a message to a worker may carry descriptors."""
    count = 150
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    office = scene.office
    one = office.approve([document(f"Piece {number}") for number in range(count)])
    announced, chunks = [], []
    for item in one.items:
        chunks.append(Request(chunk=Request.Chunk(index=item.index, offset=0, data=item.document)).SerializeToString())
        item.document = b""
        announced.append(item.SerializeToString())
    all_at_once = exchange(scene, one.token, spelled(announced), *chunks)
    assert refused_codes(all_at_once) == {Code.OVERLOADED}
    assert len(all_at_once.sealed) + len(all_at_once.refused) == count
    one_by_one = [message for pair in zip(announced, chunks, strict=True) for message in (spelled([pair[0]]), pair[1])]
    everything_sealed_once(scene.station, one, exchange(scene, one.token, *one_by_one))
    unharmed(scene)
    assert scene.metric("held_bytes") == 0


@pytest.mark.parametrize("name", SAME_MEANING)
def test_what_is_handed_on_is_what_was_read(name: str) -> None:
    """Whatever the spelling: each piece, read by itself, is the very item that the front has looked at."""
    items = [signer_pb2.Item(index=index, salt=bytes(16), size_bytes=3, document=b"%PD", name="ä.pdf") for index in (0, 1, 300, 2**32 - 1)]
    for item in items:
        for _ in range(2):
            item.placement.marks.add(pages=[0]).rectangle.x1 = 5
    message = framed(SAME_MEANING[name](items))
    assert message.kind is Kind.ITEMS
    found = items_of(message)
    assert [(one.index, one.placement) for one in found.items] == [(one.index, one.placement) for one in items]
    for places in ([0], [3], [1, 2], [0, 2], [0, 1, 2, 3]):
        pieces = Request.Items.FromString(bytes(found.serialised(places))).items
        assert list(pieces) == [found.items[place] for place in places]


def test_a_length_costs_no_more_than_its_bytes() -> None:
    """Read one by one, a length of a million bytes would be a number of a million digits."""
    looked_at = 0

    class Counted(bytes):
        def __getitem__(self, key: Any) -> Any:
            nonlocal looked_at
            looked_at += len(range(*key.indices(len(self)))) if isinstance(key, slice) else 1
            return bytes.__getitem__(self, key)

    framing._varint(Counted(b"\x12" + b"\xff" * 1_000_000), 1)  # type: ignore[arg-type]
    assert 0 < looked_at < 16


# --- supervision -----------------------------------------------------------------------------------------------------------------


def test_a_worker_that_cannot_be_started_for_want_of_descriptors_is_replaced_once_there_are_some(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    front, (worker,) = scene.points.front, scene.workers()
    before = resource.prlimit(front, resource.RLIMIT_NOFILE)
    one = approved(scene)
    scene.station.channel(scene.office.client)
    resource.prlimit(front, resource.RLIMIT_NOFILE, (4, before[1]))
    try:
        scene.kill(worker)
        until(lambda: scene.station.log.read_text("utf-8").count("worker not replaced") >= 2)
        results = scene.station.stream(one.token, one.items)  # over the connection that is there
        assert refused_codes(results) == {Code.RESOURCES_EXHAUSTED}
    finally:
        resource.prlimit(front, resource.RLIMIT_NOFILE, before)
    until(lambda: not scene.unready())
    everything_sealed_once(scene.station, one, scene.station.stream(one.token, one.items))


def test_a_lane_without_workers_is_not_ready_and_its_documents_are_refused_with_the_cause(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 1})
    scene.points.let_die_at_start(1_000_000)
    scene.points.arm("signer", "worker", "gated")
    one = approved(scene)
    assert refused_codes(scene.station.stream(one.token, one.items)) == {Code.SERVICE_UNAVAILABLE}
    assert scene.unready() == {"workers"}
    assert scene.station.seal(scene.office.approve([document("Waited for")])).attempts == 1  # the other lane goes on
    results = scene.station.stream(one.token, one.items)
    assert refused_codes(results) == {Code.SERVICE_UNAVAILABLE}
    scene.points.let_die_at_start(0)
    until(lambda: not scene.unready())
    everything_sealed_once(scene.station, one, scene.station.stream(one.token, one.items))


def test_whoever_else_was_in_the_batch_of_a_document_that_ends_workers_is_sealed(scenes: Scenes) -> None:
    """After a worker's death its groups go out each by itself; the one that ends the next one is refused alone."""
    scene = scenes(workers={"bulk": 1, "interactive": 0}, limits={"batch": 128})
    one = scene.office.approve([document(f"Beside {number}") for number in range(40)])
    for _ in range(2):
        scene.points.arm("signer", "worker", "intended")
        results = scene.station.stream(one.token, one.items, a_message=40)
        assert not results.refused, "one death is nobody's fault"
    everything_sealed_once(scene.station, one, scene.station.stream(one.token, one.items))
