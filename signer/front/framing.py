"""Looks into a serialised SealStreamRequest: its kind, and where its items begin and end.

Documents pass through the front as the bytes that came. Borders are read from these bytes themselves, never computed from what was
parsed: a field has many spellings, and what workers get must be the very items that were looked at here. A message whose outermost
fields are not in the plain form that every serialiser writes is parsed and written again first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from google.protobuf.message import DecodeError

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from signer.worker.messages import parsed

MOST_ITEMS: Final = 4096  # of one message: an item takes two bytes at least, and hundreds once it is parsed
_DELIMITED: Final = 2  # wire type of messages, strings and bytes
_LONGEST_LENGTH: Final = 4  # bytes of a varint for the length of something in a message of gRPC


class Kind(Enum):
    """What a message of a stream is; the value is its tag on the wire."""

    OPEN = 1 << 3 | _DELIMITED
    ITEMS = 2 << 3 | _DELIMITED
    CHUNK = 3 << 3 | _DELIMITED


_ITEM: Final = 1 << 3 | _DELIMITED  # Items.items
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
        # The one field fills the message to its last byte. Anything else (a second field, an
        # unknown one) takes the slow way, where protobuf says what counts.
        if position + length == len(view):
            return Framed(kind, view[position:])
    whole = _parsed(message)
    field = whole.WhichOneof("kind")
    if field is None:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of a stream is a token, items or a chunk")
    return Framed(_FIELDS[field], memoryview(getattr(whole, field).SerializeToString()))


def open_of(message: Framed) -> signer_pb2.SealStreamRequest.Open:
    """What opens a stream: the token, and whether the client takes packed suffixes."""
    try:
        return parsed(signer_pb2.SealStreamRequest.Open, message.body)
    except DecodeError:
        raise VermilionError(Code.TOKEN_MISSING, "a stream begins with its approval token") from None


def chunk_of(message: Framed) -> signer_pb2.SealStreamRequest.Chunk:
    """A piece of a large document; INVALID_ARGUMENT when it is none."""
    try:
        return parsed(signer_pb2.SealStreamRequest.Chunk, message.body)
    except DecodeError:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream cannot be read") from None


def items_of(message: Framed) -> Items:
    """The items of a message; INVALID_ARGUMENT when it cannot be read or holds very many."""
    body, starts = message.body, _starts(message.body)
    try:
        items = parsed(signer_pb2.SealStreamRequest.Items, body)
    except DecodeError:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream cannot be read") from None
    if starts is None:  # fields that we do not know, or longer lengths
        _require_few(len(items.items))
        items.DiscardUnknownFields()
        body = memoryview(items.SerializeToString())
        starts = _starts(body)
    # The items that were parsed are the ones looked at; the bytes are what workers get. Where
    # the two could differ, neither is trusted.
    if starts is None or len(starts) != len(items.items) + 1:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream is spelled in a way that can be read as two things")
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


def _starts(body: memoryview) -> list[int] | None:
    """Where each item begins and the last ends; None when there is anything but items with lengths in their shortest form."""
    starts, position, end = [0], 0, len(body)
    while position < end:
        if body[position] != _ITEM:
            return None
        # Two bytes, as most lengths have, are read here: this is done for each document.
        if position + 2 < end and body[position + 1] >= 0x80 > body[position + 2] > 0:
            position += 3 + (body[position + 1] & 0x7F | body[position + 2] << 7)
        else:
            length, position = _varint(body, position + 1)
            position += length
        if position > end:
            return None
        starts.append(position)
        # In the loop, before anything is parsed: two bytes on the wire become hundreds in memory.
        if len(starts) > MOST_ITEMS + 1:
            _require_few(len(starts))
    return starts


def _require_few(count: int) -> None:
    if count > MOST_ITEMS:
        raise VermilionError(Code.INVALID_ARGUMENT, f"a message of a stream holds at most {MOST_ITEMS} items")


def _parsed(message: bytes) -> signer_pb2.SealStreamRequest:
    try:
        return signer_pb2.SealStreamRequest.FromString(message)
    except DecodeError:
        raise VermilionError(Code.INVALID_ARGUMENT, "a message of the stream cannot be read") from None


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """A length in its shortest form, and where it ends; for any other, a length that is too large for the message."""
    value = 0
    for number, byte in enumerate(view[position : position + _LONGEST_LENGTH]):
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            # A last byte of zero behind others is a longer spelling of the same number.
            return (value if byte or not number else len(view) + 1), position + number + 1
    return len(view) + 1, position
