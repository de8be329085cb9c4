"""The front's parts by themselves: how messages are taken apart, whose turn it is, what becomes of documents whose worker dies."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.error_messages import from_message
from sealcore.platform.rpc.placement_messages import placement_to_message
from sealcore.protocol.leaf import Placement
from signer.front.arriving import Arriving
from signer.front.fair_queue import FairQueue
from signer.front.framing import Kind, chunk_of, framed, items_of, open_of
from signer.front.group import Group
from signer.model import Call, Outcome, Packed, Part, SealedUse
from signer.worker.channel import HALF_BYTES, Channel, Slot, from_descriptor, pair, to_descriptor
from signer.worker.jobs import SentGroup, read_job, write_job
from signer.worker.messages import holds_results, joined, refusals, serialised
from vermilion.client.suffixes import Suffixes

Request = signer_pb2.SealStreamRequest
documents = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=300)), min_size=1, max_size=20)


def item(index: int, document: bytes) -> signer_pb2.Item:
    """An item as a client sends it."""
    placement = placement_to_message(Placement())
    return signer_pb2.Item(
        index=index, salt=bytes(16), placement=placement, size_bytes=len(document), document=document, name=f"{index}.pdf"
    )


def sealed(index: int, suffix: bytes = b"suffix", packed: Packed | None = None) -> Outcome:
    """A document that was sealed."""
    return Outcome(index, SealedUse(index, suffix, 7, bytes(32), bytes(32), 1, ("a warning",), repeated=False, packed=packed))


# --- messages --------------------------------------------------------------------------------------------------------------------


@given(documents)
def test_items_are_taken_apart_where_they_begin_and_end(content: list[tuple[int, bytes]]) -> None:
    items = [item(*one) for one in content]
    message = framed(Request(items=Request.Items(items=items)).SerializeToString())
    assert message.kind is Kind.ITEMS
    found = items_of(message)
    assert found.items == items
    for first in range(len(items)):
        some = list(range(first, len(items), 2))
        assert list(Request.Items.FromString(bytes(found.serialised(some))).items) == [items[place] for place in some]
    assert found.serialised(range(len(items))) == message.body


@given(documents)
def test_a_message_in_an_unusual_form_means_the_same(content: list[tuple[int, bytes]]) -> None:
    """Two parts of one field, as a merger of messages leaves them, and a field that nobody knows."""
    items = [item(*one) for one in content]
    parts = [Request(items=Request.Items(items=[one])).SerializeToString() for one in items]
    unknown = bytes((15 << 3 | 0, 1))
    found = items_of(framed(b"".join(parts) + unknown))
    assert found.items == items
    assert list(Request.Items.FromString(bytes(found.serialised(range(len(items))))).items) == items


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_typed_refusal(data: bytes) -> None:
    try:
        message = framed(data)
        if message.kind is Kind.ITEMS:
            assert all(isinstance(one, signer_pb2.Item) for one in items_of(message).items)
        elif message.kind is Kind.CHUNK:
            chunk_of(message)
        else:
            open_of(message)
    except VermilionError as refusal:
        assert refusal.code in {Code.INVALID_ARGUMENT, Code.TOKEN_MISSING}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_results_put_together_by_hand_are_those_that_protobuf_reads(sizes: list[int]) -> None:
    refusal = VermilionError(Code.DOCUMENT_EMPTY, "the document is empty", document="x.pdf")
    outcomes = [sealed(index, bytes(size)) if size % 3 else Outcome(index, refusal) for index, size in enumerate(sizes)]
    messages = serialised(outcomes)
    assert all(holds_results(message) for message in messages)
    results = signer_pb2.SealStreamResponse.FromString(joined(messages)).results
    assert {one.index: one.suffix for one in results.sealed} == {index: bytes(size) for index, size in enumerate(sizes) if size % 3}
    assert {one.index for one in results.refused} == {index for index, size in enumerate(sizes) if not size % 3}
    for one in results.sealed:
        assert (one.ledger_index, one.ledger_leaf_hash, one.attempts, list(one.warnings)) == (7, bytes(32), 1, ["a warning"])
    for other in results.refused:
        assert from_message(other.error).code is Code.DOCUMENT_EMPTY


def test_packed_results_are_those_that_a_client_puts_together() -> None:
    parts = (Part.of(os.urandom(300)), Part.of(os.urandom(400)))
    packed = [
        Packed(b"before", (b"\x30", b"", b"\xff"), parts, 3, b"after"),
        Packed(b"", (b"\x30\x82",), (), 0, b""),
        Packed(b"x", (b"", b"\x01"), parts[1:], 0, b""),
    ]
    outcomes = [sealed(at, one.whole(), one) for at, one in enumerate(packed)]
    messages = [message for outcome in outcomes for message in serialised([outcome, sealed(7)], packed=True)]
    results = signer_pb2.SealStreamResponse.FromString(joined(messages)).results  # as the front merges them
    suffixes = Suffixes()
    suffixes.take(results.parts)
    assert [(one.index, suffixes.whole(one)) for one in results.sealed if one.index < 7] == [
        (at, one.whole()) for at, one in enumerate(packed)
    ]
    assert {suffixes.whole(one) for one in results.sealed if one.index == 7} == {b"suffix"}, (
        "what was stored before packing goes out as it is"
    )
    assert all(one.suffix and not one.HasField("packed") for one in whole(serialised(outcomes)).sealed), (
        "a client that did not ask gets none"
    )


@pytest.mark.parametrize(
    "packed",
    [
        signer_pb2.PackedSuffix(),
        signer_pb2.PackedSuffix(stretches=[b"a", b"b"]),
        signer_pb2.PackedSuffix(stretches=[b"a"], parts=[bytes(32)]),
        signer_pb2.PackedSuffix(stretches=[b"a", b"b"], parts=[bytes(32)]),
    ],
)
def test_a_suffix_that_cannot_be_put_together_is_a_fault_of_the_signer(packed: signer_pb2.PackedSuffix) -> None:
    with pytest.raises(VermilionError) as refused:
        Suffixes().whole(signer_pb2.Sealed(packed=packed))
    assert refused.value.code is Code.INTERNAL


def whole(messages: list[bytes]) -> signer_pb2.SealStreamResponse.Results:
    """The results of several messages."""
    return signer_pb2.SealStreamResponse.FromString(joined(messages)).results


def test_a_suffix_over_the_cap_follows_in_chunks_and_results_stay_below_it() -> None:
    large = os.urandom(7 * 1024 * 1024)
    messages = [
        signer_pb2.SealStreamResponse.FromString(message)
        for message in serialised([*(sealed(index, bytes(900_000)) for index in range(9)), sealed(9, large)])
    ]
    assert max(message.ByteSize() for message in messages) < 4 * 1024 * 1024
    chunks = [message.suffix for message in messages if message.WhichOneof("kind") == "suffix"]
    assert b"".join(chunk.data for chunk in chunks) == large
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert sorted(one.index for message in messages for one in message.results.sealed) == list(range(10))


# --- queue -----------------------------------------------------------------------------------------------------------------------


class Answers:
    """What a group's caller hears."""

    def __init__(self) -> None:
        self.refused: dict[int, Code] = {}
        self.count = 0

    def __call__(self, parts: Sequence[bytes], count: int) -> None:
        self.count += count
        for part in parts:
            for one in signer_pb2.SealStreamResponse.FromString(part).results.refused:
                self.refused[one.index] = from_message(one.error).code


def group(client: str, indexes: Sequence[int], answers: Answers | None = None) -> Group:
    """Documents of a client."""
    items = Request.Items(items=[item(index, b"%PDF") for index in indexes]).SerializeToString()
    return Group(SentGroup(Call("token", client, "request", "", None), items), indexes, len(items), answers or Answers())


def test_a_client_that_floods_does_not_keep_the_others_waiting() -> None:
    queue = FairQueue()
    for number in range(50):
        queue.add(group("flood", range(number * 16, number * 16 + 16)))
    for client in ("one", "other"):
        queue.add(group(client, [0]))
    assert queue.documents == 802
    batch = queue.take(64, 10**7)
    assert [one.sent.call.client for one in batch[:3]] == ["flood", "one", "other"]
    assert {one.sent.call.client for one in batch[3:]} == {"flood"}
    assert sum(one.open_count for one in batch) <= 64


def test_two_clients_that_flood_get_equal_shares_in_their_own_order() -> None:
    queue = FairQueue()
    for number in range(20):
        queue.add(group("left", [number]))
    for number in range(20):
        queue.add(group("right", [number]))
    order = [one for _ in range(10) for one in queue.take(4, 10**7)]
    for first in range(0, 40, 4):
        assert [one.sent.call.client for one in order[first : first + 4]].count("left") == 2
    for client in ("left", "right"):
        assert [list(one._open) for one in order if one.sent.call.client == client] == [[number] for number in range(20)]


def test_a_batch_keeps_to_documents_and_bytes_and_is_never_empty() -> None:
    queue = FairQueue()
    large, small = group("client", range(16)), group("client", range(16, 18))
    queue.add(large)
    queue.add(small)
    assert queue.take(4, 1) == [large]  # over both bounds by itself
    assert queue.take(4, 10**7) == [small]
    assert queue.take(4, 10**7) == []
    assert queue.documents == 0


# --- what a worker's death leaves ------------------------------------------------------------------------------------------------


def test_another_worker_gets_what_has_no_answer_yet() -> None:
    answers = Answers()
    one = group("client", [1, 2, 2, 3], answers)
    one.take(serialised([sealed(1), sealed(2)]), [1, 2])
    again = Request.Items.FromString(bytes(one.again(lambda _item: None).sent.items))
    assert [each.index for each in again.items] == [2, 3]
    one.refuse(VermilionError(Code.SERVICE_UNAVAILABLE, "gone"))
    assert answers.refused == {2: Code.SERVICE_UNAVAILABLE, 3: Code.SERVICE_UNAVAILABLE}
    assert (answers.count, one.open_count) == (4, 0)
    one.refuse(VermilionError(Code.INTERNAL, "again"))
    assert answers.count == 4


# --- slots and descriptors ---------------------------------------------------------------------------------------------------------


def arrived(document: bytes) -> int:
    """The descriptor of a large document whose bytes have come."""
    arriving = Arriving()
    arriving.begin(signer_pb2.Item(index=6, size_bytes=len(document)))
    whole = arriving.add(signer_pb2.SealStreamRequest.Chunk(index=6, offset=0, data=document))
    assert whole is not None
    return whole[1]


def test_a_large_document_cannot_change_between_its_hash_and_its_seal() -> None:
    """Neither by whoever holds its descriptor, nor by a worker that is handed memory which others may still write."""
    descriptor = arrived(b"%PDF large")
    for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.ftruncate(descriptor, 3), lambda: os.ftruncate(descriptor, 300)):
        with pytest.raises(PermissionError):
            change()
    os.close(descriptor)
    slot, open_to_all = Slot.create(), to_descriptor(b"%PDF large")
    announced = signer_pb2.Item(index=6, placement=placement_to_message(Placement()), size_bytes=10)
    group = SentGroup(Call("token", "b", "r2", "span", 99), Request.Items(items=[announced]).SerializeToString(), open_to_all)
    message, _ = write_job(slot, 1, 0, [group])
    (read,) = read_job(slot, message["head"], [os.dup(open_to_all)])
    (refused,) = read.malformed
    assert isinstance(refused.result, VermilionError) and refused.result.code is Code.INTERNAL
    os.close(open_to_all)
    slot.close()


def test_a_job_comes_out_of_a_slot_as_it_went_in() -> None:
    slot = Slot.create()
    large = arrived(b"%PDF large")
    try:
        first = SentGroup(
            Call("token", "a", "r1", "", None), Request.Items(items=[item(4, b"%PDF one"), item(5, b"%PDF two")]).SerializeToString()
        )
        announced = signer_pb2.Item(index=6, placement=placement_to_message(Placement()), size_bytes=10)
        second = SentGroup(Call("token", "b", "r2", "span", 99), Request.Items(items=[announced]).SerializeToString(), large)
        message, descriptors = write_job(slot, 1, 0, [first, second])
        read = read_job(slot, message["head"], [os.dup(one) for one in descriptors])
        slot.documents[: message["head"]] = bytes(message["head"])  # the slot is free for another job at once
        assert [one.call for one in read] == [Call("token", "a", "r1", "", None), Call("token", "b", "r2", "span", 99)]
        assert [bytes(each.document[:]) for one in read for each in one.requests or ()] == [b"%PDF one", b"%PDF two", b"%PDF large"]
    finally:
        os.close(large)
        slot.close()


def test_a_channel_carries_messages_and_descriptors_and_tells_of_its_end() -> None:
    left, right = (Channel(end) for end in pair())
    descriptor = to_descriptor(b"suffix")
    left.send({"answer": 1}, [descriptor])
    os.close(descriptor)
    received = right.receive()
    assert received is not None
    message, descriptors = received
    assert message == {"answer": 1}
    assert from_descriptor(descriptors[0]) == b"suffix"
    left.close()
    assert right.receive() is None
    right.close()
    assert HALF_BYTES > 4 * 1024 * 1024, "a whole message of gRPC fits into a slot"


# --- large documents ---------------------------------------------------------------------------------------------------------------


def test_chunks_in_order_make_a_document_and_others_are_refused() -> None:
    arriving = Arriving()
    arriving.begin(signer_pb2.Item(index=1, size_bytes=6))
    assert arriving.add(Request.Chunk(index=1, offset=0, data=b"abc")) is None
    for offset, data in ((0, b"abc"), (4, b"x"), (3, b""), (3, b"defg")):
        with pytest.raises(VermilionError) as refused:
            arriving.add(Request.Chunk(index=1, offset=offset, data=data))
        assert refused.value.code is Code.INVALID_ARGUMENT
    whole = arriving.add(Request.Chunk(index=1, offset=3, data=b"def"))
    assert whole is not None
    assert from_descriptor(whole[1]) == b"abcdef"
    arriving.begin(signer_pb2.Item(index=2, size_bytes=6))
    assert [dropped.index for dropped in arriving.drop_all()] == [2]
    assert arriving.is_empty


def test_a_refusal_goes_to_each_document() -> None:
    outcomes = refusals([3, 5], VermilionError(Code.OVERLOADED, "too much"))
    assert [outcome.index for outcome in outcomes] == [3, 5]
