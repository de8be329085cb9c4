"""The form of a job in a slot, and of the answers to it.

A job is CBOR of [[[token, client] …], [[number of the token, request id, traceparent, deadline, packed, length, number of the
descriptor or None] …]], followed by the serialised ``Items`` of each group.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2
from google.protobuf.message import DecodeError

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from signer.model import UNCHANGEABLE, Call, ItemRequest, Outcome
from signer.worker.channel import HALF_BYTES, Channel, Slot, to_descriptor
from signer.worker.messages import parsed, request_of

ROOM_BYTES: Final = HALF_BYTES
_HEAD_EACH_BYTES: Final = 512  # of a group in the head, not counting its token
_Message = dict[str, Any]


@dataclass(frozen=True)
class SentGroup:
    """A group as the front sends it: ``items`` is a serialised SealStreamRequest.Items."""

    call: Call
    items: bytes | memoryview
    descriptor: int | None = None


@dataclass(frozen=True)
class ReceivedGroup:
    """A group as the worker reads it. ``malformed``: refusals of invalid items. ``requests`` is None when the group cannot be read at all."""

    call: Call
    requests: list[ItemRequest] | None
    malformed: list[Outcome]


def weight_bytes(items: bytes | memoryview, jws: str) -> int:
    """The most room that a group takes in a slot."""
    return len(items) + len(jws) + _HEAD_EACH_BYTES


def write_job(slot: Slot, number: int, slot_number: int, groups: Iterable[SentGroup]) -> tuple[_Message, list[int]]:
    """Writes a job into a slot; returns the message that announces it, and its descriptors."""
    tokens: dict[tuple[str, str], int] = {}
    rows: list[list[Any]] = []
    bodies: list[bytes | memoryview] = []
    descriptors: list[int] = []
    for one in groups:
        at = None if one.descriptor is None else len(descriptors)
        if one.descriptor is not None:
            descriptors.append(one.descriptor)
        call = one.call
        number_of_token = tokens.setdefault((call.jws, call.client), len(tokens))
        rows.append([number_of_token, call.request_id, call.traceparent, call.deadline_ns, call.packed, len(one.items), at])
        bodies.append(one.items)
    head = cbor2.dumps([[list(token) for token in tokens], rows])
    position = len(head)
    slot.documents[:position] = head
    for body in bodies:
        slot.documents[position : position + len(body)] = body
        position += len(body)
    return {"job": number, "slot": slot_number, "head": len(head)}, descriptors


def read_job(slot: Slot, head_bytes: int, descriptors: Sequence[int]) -> list[ReceivedGroup]:
    """The groups of a job; closes the descriptors. Nothing refers to the slot afterwards."""
    tokens, rows = cbor2.loads(slot.documents[:head_bytes])
    position = head_bytes
    groups: list[ReceivedGroup] = []
    for token, request_id, traceparent, deadline_ns, packed, length, descriptor in rows:
        data = slot.documents[position : position + length]
        position += length
        jws, client = tokens[token]
        large = None if descriptor is None else _mapped(descriptors[descriptor])
        groups.append(ReceivedGroup(Call(jws, client, request_id, traceparent, deadline_ns, packed), *_read(data, large)))
    return groups


def _read(data: memoryview, large: mmap.mmap | VermilionError | None) -> tuple[list[ItemRequest] | None, list[Outcome]]:
    try:
        items = parsed(signer_pb2.SealStreamRequest.Items, data).items
    except DecodeError:
        return None, []
    requests: list[ItemRequest] = []
    malformed: list[Outcome] = []
    for item in items:
        if isinstance(large, VermilionError):
            malformed.append(Outcome(item.index, large))
            continue
        try:
            request = request_of(item)
            requests.append(request if large is None else replace(request, document=large))
        except VermilionError as refusal:
            malformed.append(Outcome(item.index, refusal))
        except Exception as fault:  # noqa: BLE001  (one item is refused; the others of the job go on)
            malformed.append(Outcome(item.index, typed(fault)))
    return requests, malformed


def _mapped(descriptor: int) -> mmap.mmap | VermilionError:
    """The document in memory that the front has made unchangeable; a refusal for any other, whose bytes could change before they are sealed."""
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & UNCHANGEABLE != UNCHANGEABLE:
            return VermilionError(Code.INTERNAL, "the memory of a document can still be changed")
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except OSError as fault:
        return typed(fault)
    finally:
        os.close(descriptor)


class Reply:
    """Sends the answers of one job: those of its batch together, in its slot, when the job ends; others as they come, in descriptors."""

    def __init__(self, channel: Channel, slot: Slot, job: int) -> None:
        self._channel = channel
        self._slot = slot
        self._job = job
        self._position = 0
        self._answers: list[list[Any]] = []  # [number of the group, indexes, lengths of the parts, where they begin in the slot]

    def add(self, group: int, outcomes: Sequence[Outcome], parts: Sequence[bytes]) -> None:
        """Outcomes of a group, as serialised responses; by the thread that works on the job, before ``done``."""
        size_bytes = sum(map(len, parts))
        if self._position + size_bytes > HALF_BYTES:
            self.send_apart(group, outcomes, parts)
            return
        answers, at = self._slot.answers, self._position
        self._answers.append([group, [outcome.index for outcome in outcomes], [len(part) for part in parts], at])
        for part in parts:
            answers[at : at + len(part)] = part
            at += len(part)
        self._position = at

    def send_apart(self, group: int, outcomes: Sequence[Outcome], parts: Sequence[bytes]) -> None:
        """The same, at once, from any thread and at any time."""
        descriptor = to_descriptor(b"".join(parts))
        message = {
            "answer": self._job,
            "group": group,
            "indexes": [outcome.index for outcome in outcomes],
            "parts": [len(part) for part in parts],
        }
        try:
            self._channel.send(message, [descriptor])
        finally:
            os.close(descriptor)

    def unreadable(self, group: int) -> None:
        """A group that cannot be read: the front refuses its documents, since it knows which they are."""
        self._channel.send({"unreadable": self._job, "group": group})

    def overrun(self, document_sha256: bytes, binding: bytes, reason: str, *, proven: bool) -> None:
        """Reports a document that exceeded the sandbox's limits (``signer.front.overruns.Overrun``)."""
        self._channel.send({"overrun": document_sha256, "binding": binding, "reason": reason, "proven": proven})

    def done(self) -> None:
        """Sends what was added and returns the slot: one message, since each wakes the front. What is still worked on is answered apart."""
        self._channel.send({"done": self._job, "answers": self._answers})
