"""Strangers' documents are prepared in a process of their own: bounded, without network, thrown away (``sealcore.platform.sandbox``)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from sealcore.platform.sandbox import ForkServer, Limits
from sealcore.protocol.json_forms import placement_from_json, placement_to_json
from sealcore.protocol.leaf import Certification
from signer.pdf.plan import LARGEST_HOLE_BYTES, Plan, Prepared

CPU_S: Final = 20  # the slowest of 403 real documents takes 0.4 s; large ones with many objects take seconds
WALL_S: Final = 40.0  # two cores may be shared by more children
MEMORY_BASE_BYTES: Final = 512 * 1024 * 1024  # decoded object streams, the page tree, pyHanko's caches
MEMORY_PER_DOCUMENT_BYTE: Final = 8  # pipe, document, repaired copy, sealed copy, PDFium's copy, with room
SUFFIX_BYTES: Final = 64 * 1024 * 1024  # rewritten pages and pictures; an update is far smaller


class Sandbox:
    """Prepares documents, each in a child of its own. Thread-safe; starts with ``start`` or the first call.

    largest_document_bytes  from the settings; beyond it DOCUMENT_TOO_LARGE
    workers                 how many children run at once: no more than there are cores to run them
    shared                  the control socket of the front's own server, where it has one for all workers
    """

    def __init__(self, *, largest_document_bytes: int, workers: int, shared: socket.socket | None = None) -> None:
        self._largest_document_bytes = largest_document_bytes
        self._places = threading.BoundedSemaphore(workers)
        self._server = server(shared)

    def start(self) -> None:
        """Starts the process that children are forked from; SERVICE_UNAVAILABLE when it does not come up."""
        self._server.start()

    def close(self) -> None:
        """Ends it; calls in progress end by their own limits."""
        self._server.close()

    def run(self, document: bytes, plan: Plan, hash_name: str = "sha256") -> Prepared:
        """What ``prepare`` gives or raises; DOCUMENT_TOO_LARGE, and DOCUMENT_TOO_COMPLEX when a limit ended it."""
        if len(document) > self._largest_document_bytes:
            raise VermilionError(
                Code.DOCUMENT_TOO_LARGE, f"the document has {len(document)} bytes, the limit is {self._largest_document_bytes}"
            )
        with self._places:
            answer = self._server.call(*request_parts(document, plan, hash_name))
        return _prepared(answer)


def server(shared: socket.socket | None = None) -> ForkServer:
    """What documents are prepared by: a server of one's own, or one that is shared."""
    return ForkServer("signer.pipeline.sandbox:prepare_parts", preload=["signer.pdf.full.prepare"], limits=limits(), shared=shared)


def prepare_parts(parts: list[bytes]) -> Sequence[bytes]:
    """Runs in the child: request parts in, answer parts out."""
    from signer.pdf.full.prepare import prepare  # noqa: PLC0415  (only the zygote loads pyHanko and PDFium, never the signer itself)

    head, document, pictures = parts
    told = json.loads(head)
    prepared = prepare(document, plan_of(told, pictures), told["hash_name"])
    answer = {
        "hole_offset": prepared.hole_offset,
        "hole_size_bytes": prepared.hole_size_bytes,
        "byte_range": prepared.byte_range,
        "digest": prepared.digest.hex(),
        "field_name": prepared.field_name,
        "warnings": prepared.warnings,
    }
    return [json.dumps(answer).encode(), prepared.suffix]


def limits() -> Limits:
    """What a child may use for a document. A small one gets little: what it unfolds to costs memory that all children share."""
    return Limits(
        cpu_s=CPU_S,
        wall_s=WALL_S,
        memory_bytes=MEMORY_BASE_BYTES,
        memory_per_byte=MEMORY_PER_DOCUMENT_BYTE,
        answer_bytes=SUFFIX_BYTES + 4 * LARGEST_HOLE_BYTES,
    )


def request_parts(document: bytes, plan: Plan, hash_name: str) -> list[bytes]:
    """One document and its plan for the way to a child."""
    used = {mark.picture_sha256 for mark in plan.placement.marks}
    pictures = {digest: plan.pictures[digest] for digest in sorted(used)}
    head = {
        "field_name": plan.field_name,
        "signing_time": plan.signing_time.isoformat(),
        "placement": placement_to_json(plan.placement),
        "pictures": {digest.hex(): len(picture) for digest, picture in pictures.items()},
        "hole_size_bytes": plan.hole_size_bytes,
        "content_policy": plan.content_policy,
        "writer_version": plan.writer_version,
        "owner_name": plan.owner_name,
        "bound": plan.bound,
        "hash_name": hash_name,
    }
    return [json.dumps(head).encode(), document, b"".join(pictures.values())]


def plan_of(told: dict[str, Any], joined: bytes) -> Plan:
    """The plan that ``request_parts`` sent."""
    pictures, position = {}, 0
    for digest, size in told["pictures"].items():
        pictures[bytes.fromhex(digest)] = joined[position : position + size]
        position += size
    return Plan(
        field_name=told["field_name"],
        signing_time=datetime.fromisoformat(told["signing_time"]),
        placement=placement_from_json(told["placement"]),
        pictures=pictures,
        hole_size_bytes=told["hole_size_bytes"],
        content_policy=told["content_policy"],
        writer_version=told["writer_version"],
        owner_name=told["owner_name"],
        bound=None if told["bound"] is None else Certification(told["bound"]),
    )


def _prepared(answer: list[bytes]) -> Prepared:
    """A hostile document may have written the answer: whatever does not hold together is refused, and read back comes after."""
    try:
        head, suffix = answer
        told = json.loads(head)
        return Prepared(
            suffix=suffix,
            hole_offset=int(told["hole_offset"]),
            hole_size_bytes=int(told["hole_size_bytes"]),
            byte_range=tuple(int(each) for each in told["byte_range"]),  # type: ignore[arg-type]
            digest=bytes.fromhex(told["digest"]),
            field_name=str(told["field_name"]),
            warnings=tuple(str(each) for each in told["warnings"]),
        )
    except (ValueError, LookupError, TypeError, VermilionError):
        raise VermilionError(Code.DOCUMENT_DAMAGED, "the document cannot be read") from None
