"""Looks into a serialised SealStreamRequest: its kind, and where its items begin and end.

Documents pass through the front as the bytes that came. A message that is not in the plain form that every serialiser writes is
parsed and written again first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from google.protobuf.message import DecodeError

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.messages import parsed

_DELIMITED: Final = 2  # wire type of messages, strings and bytes


class Kind(Enum):
    """What a message of a stream is; the value is its tag on the wire."""

    OPEN = 1 << 3 | _DELIMITED
    ITEMS = 2 << 3 | _DELIMITED
    CHUNK = 3 << 3 | _DELIMITED


_KINDS: Final = {kind.value: kind for kind in Kind}
_FIELDS: Final = {"open": Kind.OPEN, "items": Kind.ITEMS, "chunk": Kind.CHUNK}


@dataclass(frozen=True, slots=True)
class Framed:
    """A message: its kind and the serialised message inside it."""

    kind: Kind
    body: memoryview


def framed(message: bytes) -> Framed:
    """The message's kind and content; INVALID_ARGUMENT when it is none of ours."""
    view = memoryview(message)
    if message and (kind := _KINDS.get(message[0])) is not None:
        length, position = _varint(view, 1)
        if position + length == len(view):
            return Framed(kind, view[position:])
    whole = _parsed(message)
    field = whole.WhichOneof("kind")
    if field is None:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of a stream is a token, items or a chunk")
    return Framed(_FIELDS[field], memoryview(getattr(whole, field).SerializeToString()))


def open_of(message: Framed) -> str:
    """The token that opens a stream."""
    try:
        return parsed(signer_pb2.SealStreamRequest.Open, message.body).token
    except DecodeError:
        raise VermilionError(Code.TOKEN_MISSING, "a stream begins with its approval token") from None


def chunk_of(message: Framed) -> signer_pb2.SealStreamRequest.Chunk:
    """A piece of a large document; INVALID_ARGUMENT when it is none."""
    try:
        return parsed(signer_pb2.SealStreamRequest.Chunk, message.body)
    except DecodeError:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream cannot be read") from None


def items_of(message: Framed) -> Items:
    """The items of a message; INVALID_ARGUMENT when it cannot be read."""
    try:
        items = parsed(signer_pb2.SealStreamRequest.Items, message.body)
    except DecodeError:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream cannot be read") from None
    body, starts = message.body, _starts(items)
    if starts[-1] != len(body):  # written in another way than ours: longer lengths, or fields that we do not know
        items.DiscardUnknownFields()
        body, starts = memoryview(items.SerializeToString()), _starts(items)
    return Items(list(items.items), body, starts)


@dataclass(frozen=True, slots=True)
class Items:
    """Parsed items, and where each begins and the last ends in their serialised form."""

    items: list[signer_pb2.Item]
    _body: memoryview
    _starts: list[int]

    def serialised(self, places: Sequence[int]) -> bytes | memoryview:
        """Those at ``places`` (ascending) as a serialised ``Items``: a slice of the message when nothing lies between them."""
        first, last = places[0], places[-1]
        if last - first + 1 == len(places):
            return self._body[self._starts[first] : self._starts[last + 1]]
        return b"".join(self._body[self._starts[place] : self._starts[place + 1]] for place in places)

    def size_bytes(self, place: int) -> int:
        """Length of one of them, serialised."""
        return self._starts[place + 1] - self._starts[place]


def _starts(items: signer_pb2.SealStreamRequest.Items) -> list[int]:
    starts, position = [0], 0
    for item in items.items:
        length = item.ByteSize()
        position += 1 + (length.bit_length() + 6) // 7 + length if length else 2
        starts.append(position)
    return starts


def _parsed(message: bytes) -> signer_pb2.SealStreamRequest:
    try:
        return signer_pb2.SealStreamRequest.FromString(message)
    except DecodeError:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream cannot be read") from None


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """A length and where it ends; a length that runs out of the message is too large to fit it."""
    value = shift = 0
    while position < len(view):
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return len(view) + 1, position
