"""What is sent to be examined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protos.vermilion.v1 import signer_pb2
from sealcore.platform.rpc.placement_messages import placement_to_message
from sealcore.protocol.leaf import Placement
from tests.crash.scene import Scene
from tests.signer.station import TIMEOUT_S, typed

Request = signer_pb2.ExamineRequest


Items = signer_pb2.SealStreamRequest.Items


Chunk = signer_pb2.SealStreamRequest.Chunk


def items(*contents: bytes) -> Request:
    """Documents in one message."""
    return Request(items=Items(items=[item(place, len(one), document=one) for place, one in enumerate(contents)]))


def item(index: int, size_bytes: int, **more: Any) -> signer_pb2.Item:
    """An item to be sealed nowhere visible."""
    return signer_pb2.Item(index=index, size_bytes=size_bytes, placement=placement_to_message(Placement()), **more)


def examine(scene: Scene, *messages: Request, uri: str | None = None) -> dict[int, str]:
    """Index → code, empty for what would be sealed."""
    return {one.index: one.error.code for one in examined(scene, *messages, uri=uri)}


def examined(scene: Scene, *messages: Request, uri: str | None = None) -> list[signer_pb2.Examined]:
    """What is said of each document."""
    seal = scene.office.seals["contract"].id

    def sent() -> Iterator[Request]:
        yield Request(open=Request.Open(seal=seal))
        yield from messages

    call = typed(lambda: list(scene.station.signer(uri).Examine(sent(), timeout=TIMEOUT_S)))
    return [one for answer in call for one in answer.examined]
