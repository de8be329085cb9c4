"""One SealStream call: documents out in bounded numbers, results in. What a broken call leaves open is the caller's to repeat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.periodic import Periodic
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.error_messages import from_message
from sealcore.platform.rpc.errors import from_rpc_error
from vermilion.client.jobs import Job
from vermilion.client.suffixes import Suffixes

MEBIBYTE = 1024 * 1024
MESSAGE_BYTES = 3 * MEBIBYTE  # below gRPC's 4 MiB, with room for what frames it
CHUNK_BYTES = 1 * MEBIBYTE
ITEMS_A_MESSAGE = 64  # measured: one document a message costs ten times as much; a worker of the signer takes so many at once
WINDOW_ITEMS = 8 * ITEMS_A_MESSAGE  # several messages in flight: one is sealed while others arrive and return
WINDOW_BYTES = 64 * MEBIBYTE  # documents on their way at one moment
LOOK_S = 1.0
STALL_S = 60.0  # with nothing going out or coming in, the call is given up and begun anew


class Window:
    """How much may be on its way: the sender waits, the receiver lets it go on."""

    def __init__(self) -> None:
        self._room = threading.Condition()
        self._sizes: dict[int, int] = {}  # by use
        self._bytes = 0  # their sum
        self._closed = False

    def take(self, index: int, size_bytes: int) -> bool:
        """Waits for room for one document (a single one may be of any size); False once the window is closed."""
        with self._room:
            self._room.wait_for(lambda: self._closed or self._fits(size_bytes))
            if self._closed:
                return False
            self._bytes += size_bytes - self._sizes.get(index, 0)
            self._sizes[index] = size_bytes
            return True

    def give_back(self, index: int) -> None:
        """A document is off our hands; a second time is no harm."""
        with self._room:
            self._bytes -= self._sizes.pop(index, 0)
            self._room.notify_all()

    def close(self) -> None:
        """Nothing more goes out."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def would_wait(self, size_bytes: int) -> bool:
        """Whether a document of this size has no room now."""
        with self._room:
            return not self._fits(size_bytes)

    def _fits(self, size_bytes: int) -> bool:
        return not self._sizes or (len(self._sizes) < WINDOW_ITEMS and self._bytes + size_bytes <= WINDOW_BYTES)


def requests(token: str, jobs: Sequence[Job], window: Window, unreadable: Callable[[Job, VermilionError], None]) -> Iterator[Any]:
    """The messages of a call: the token, then documents, several a message, large ones in chunks. Each is read when its turn comes."""
    yield signer_pb2.SealStreamRequest(open=signer_pb2.SealStreamRequest.Open(token=token, packed=True))
    waiting: list[signer_pb2.Item] = []
    waiting_bytes = 0
    for job in jobs:
        item = job.message()
        whole_bytes = item.ByteSize() + job.size_bytes
        if waiting and (
            len(waiting) == ITEMS_A_MESSAGE or waiting_bytes + whole_bytes > MESSAGE_BYTES or window.would_wait(job.size_bytes)
        ):
            yield _items(waiting)
            waiting, waiting_bytes = [], 0
        if not window.take(job.index, job.size_bytes):
            return
        if whole_bytes > MESSAGE_BYTES:
            yield _items([item])
            yield from _chunks(job, unreadable)
            continue
        try:
            item.document = job.document.read(
                most_bytes=job.size_bytes + 1
            )  # one that grew must not burst the message; it is refused anyway
        except VermilionError as fault:
            window.give_back(job.index)
            unreadable(job, fault)
            continue
        waiting.append(item)
        waiting_bytes += whole_bytes
    if waiting:
        yield _items(waiting)


def _items(items: list[signer_pb2.Item]) -> signer_pb2.SealStreamRequest:
    return signer_pb2.SealStreamRequest(items=signer_pb2.SealStreamRequest.Items(items=items))


def _chunks(job: Job, unreadable: Callable[[Job, VermilionError], None]) -> Iterator[signer_pb2.SealStreamRequest]:
    offset = 0
    try:
        for block in job.document.blocks(CHUNK_BYTES):
            data = block[: job.size_bytes - offset]  # a file that grew meanwhile must not break the stream of all
            if data:
                yield signer_pb2.SealStreamRequest(chunk=signer_pb2.SealStreamRequest.Chunk(index=job.index, offset=offset, data=data))
            offset += len(data)
        if offset < job.size_bytes:
            raise VermilionError(Code.DOCUMENT_MISMATCH, "the file became shorter while it was being sent", document=job.document.name)
    except VermilionError as fault:
        unreadable(job, fault)
        while offset < job.size_bytes:  # the announced length is kept, so that those behind it go on; the signer refuses these bytes
            size_bytes = min(CHUNK_BYTES, job.size_bytes - offset)
            yield signer_pb2.SealStreamRequest(
                chunk=signer_pb2.SealStreamRequest.Chunk(index=job.index, offset=offset, data=bytes(size_bytes))
            )
            offset += size_bytes


class SealCall:
    """A call in progress; iterate over ``results``, then ``close``."""

    def __init__(self, target: str, tls: TlsSettings, messages: Iterator[Any]) -> None:
        self._channel = channel(target, tls)  # anew for each call: a channel that failed waits long before it tries again
        stub = signer_pb2_grpc.SignerStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._last_sign_of_life_s = time.monotonic()
        self._watching = Periodic("seal-stall", self._watch, LOOK_S)
        self._call = stub.SealStream(self._noting(messages))
        self._watching.start()

    def results(self) -> Iterator[signer_pb2.Sealed | tuple[int, VermilionError]]:
        """Sealed uses with their whole suffix, and refused ones; raises the call's own end as a typed error."""
        open_suffixes: dict[int, tuple[signer_pb2.Sealed, bytearray]] = {}
        suffixes = Suffixes()
        try:
            for answer in self._call:
                self._last_sign_of_life_s = time.monotonic()
                if answer.WhichOneof("kind") == "suffix":
                    chunk = answer.suffix
                    sealed, suffix = open_suffixes[chunk.index]
                    suffix += chunk.data
                    if chunk.last:
                        del open_suffixes[chunk.index]
                        sealed.suffix = bytes(suffix)
                        yield sealed
                    continue
                suffixes.take(answer.results.parts)
                for sealed in answer.results.sealed:
                    sealed.suffix = suffixes.whole(sealed)
                    if sealed.suffix:
                        yield sealed
                    else:
                        open_suffixes[sealed.index] = (sealed, bytearray())
                for refusal in answer.results.refused:
                    yield refusal.index, from_message(refusal.error)
        except grpc.RpcError as fault:
            raise from_rpc_error(fault) from fault
        except KeyError:
            raise VermilionError(Code.INTERNAL, "the signer sent part of a suffix that it had not announced") from None

    def close(self) -> None:
        """Ends the call, finished or not."""
        self._watching.stop(within_s=0)
        self._call.cancel()
        self._channel.close()

    def _noting(self, messages: Iterator[Any]) -> Iterator[Any]:
        for message in messages:
            self._last_sign_of_life_s = time.monotonic()
            yield message

    def _watch(self) -> None:
        if time.monotonic() - self._last_sign_of_life_s > STALL_S:
            self._call.cancel()
            self._watching.stop(within_s=0)
