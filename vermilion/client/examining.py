"""What the signer would refuse for a document's own sake, asked before anybody is to approve it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Kind, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.error_messages import from_message
from sealcore.platform.rpc.errors import from_rpc_error
from vermilion.client.jobs import Job
from vermilion.client.outcomes import Outcome, refused
from vermilion.client.stream import CHUNK_BYTES, MESSAGE_BYTES

TOGETHER: Final = 20  # documents a message: what the signer gives to one child of its sandbox
PAUSE_S: Final = 1.0

Request = signer_pb2.ExamineRequest


def examine(target: str, tls: TlsSettings, seal: str, jobs: Sequence[Job], *, patience_s: float) -> dict[int, Outcome]:
    """Position → outcome of each document that would be refused; the others would be sealed.

    A signer that is away, or that has examined enough of ours for the moment, is asked again for as long as anything moves within
    ``patience_s``; then its own error is raised.
    """
    left = {job.position: job for job in jobs}
    found: dict[int, Outcome] = {}
    moved_s = time.monotonic()
    while left:
        before = len(left)
        try:
            with channel(target, tls) as line:
                stub: Any = signer_pb2_grpc.SignerStub(line)  # type: ignore[no-untyped-call]  # generated
                for answer in stub.Examine(_messages(seal, list(left.values()))):
                    for one in answer.examined:
                        job = left.pop(one.index, None)
                        if job is not None and one.HasField("error"):
                            found[job.position] = refused(job.position, job.document.name, from_message(one.error))
        except grpc.RpcError as fault:
            error = from_rpc_error(fault)
            if error.kind not in (Kind.BUSY, Kind.UNAVAILABLE):
                raise error from None
            if len(left) == before and time.monotonic() - moved_s > patience_s:
                raise error from None
        if len(left) < before:
            moved_s = time.monotonic()
        if left:
            time.sleep(PAUSE_S)
    return found


def require_none(outcomes: dict[int, Outcome]) -> None:
    """Raises the refusal of the first, which says how many more there are."""
    if not outcomes:
        return
    first = outcomes[min(outcomes)]
    assert first.code is not None
    more = f"; {len(outcomes) - 1} more of the documents would be refused" if len(outcomes) > 1 else ""
    raise VermilionError(first.code, f"{first.reason}{more}", document=first.name, rule=first.rule)


def _messages(seal: str, jobs: Sequence[Job]) -> Iterator[Request]:
    yield Request(open=Request.Open(seal=seal))
    waiting: list[signer_pb2.Item] = []
    waiting_bytes = 0
    for job in jobs:
        item = job.message()
        whole_bytes = item.ByteSize() + job.size_bytes
        if waiting and (len(waiting) == TOGETHER or waiting_bytes + whole_bytes > MESSAGE_BYTES):
            yield _items(waiting)
            waiting, waiting_bytes = [], 0
        if whole_bytes > MESSAGE_BYTES:
            yield _items([item])
            yield from _chunks(job)
            continue
        item.document = job.document.read(most_bytes=job.size_bytes + 1)
        waiting.append(item)
        waiting_bytes += whole_bytes
    if waiting:
        yield _items(waiting)


def _items(items: list[signer_pb2.Item]) -> Request:
    return Request(items=signer_pb2.SealStreamRequest.Items(items=items))


def _chunks(job: Job) -> Iterator[Request]:
    offset = 0
    for block in job.document.blocks(CHUNK_BYTES):
        yield Request(chunk=signer_pb2.SealStreamRequest.Chunk(index=job.position, offset=offset, data=block))
        offset += len(block)
