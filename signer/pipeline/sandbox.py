"""Prepares clients' documents, each in a process of its own that is bounded, has no network and is thrown away (``sealcore.platform.sandbox``)."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from sealcore.platform.sandbox import PRELOAD, ForkServer, Job, Limits, damaged, understood
from sealcore.protocol.canonical import is_text
from sealcore.protocol.json_objects import placement_from_json, placement_to_json
from sealcore.protocol.leaf import Certification
from sealcore.protocol.ledger_entry import MOST_WARNINGS
from signer.pdf.plan import LARGEST_HOLE_BYTES, Plan, Prepared

CPU_S: Final = 20  # of 403 real documents the slowest takes 0.4 s; large ones with many objects take seconds
WALL_S: Final = 40.0  # more than the CPU time: children may outnumber the cores
MEMORY_BASE_BYTES: Final = 512 * 1024 * 1024  # decoded object streams, the page tree, pyHanko's caches
MEMORY_PER_DOCUMENT_BYTE: Final = 8  # pipe, document, repaired copy, sealed copy, PDFium's copy, and some to spare
HEAD_BYTES: Final = 256 * 1024  # of an answer: numbers, a name and warnings
SUFFIX_BYTES: Final = 64 * 1024 * 1024  # rewritten pages and pictures; an update is far smaller
LIMITS: Final = Limits(
    cpu_s=CPU_S,
    wall_s=WALL_S,
    memory_bytes=MEMORY_BASE_BYTES,
    memory_per_byte=MEMORY_PER_DOCUMENT_BYTE,
    answer_bytes=SUFFIX_BYTES + 4 * LARGEST_HOLE_BYTES,
)
"""What a child may use. A small document gets little memory: what it decompresses to comes out of what all children share."""
JOB: Final = Job("signer.pipeline.sandbox:prepare_parts", (*PRELOAD, "signer.pipeline.sandbox:warm_up"), LIMITS)
ROUNDS: Final = 3  # of eight preparations each: code is specialised from its eighth run on


class Sandbox:
    """Prepares documents, each in a child process of its own. Thread-safe; starts with ``start`` or the first call.

    largest_document_bytes  from the settings; beyond it DOCUMENT_TOO_LARGE
    workers                 how many children run at once
    service                 socket of the service that reads documents, from the settings
    """

    def __init__(self, *, largest_document_bytes: int, workers: int, service: Path | None = None) -> None:
        self._largest_document_bytes = largest_document_bytes
        self._places = threading.BoundedSemaphore(workers)
        self._server = ForkServer(JOB, service=service)

    def start(self) -> None:
        """Starts the process that children are forked from; SERVICE_UNAVAILABLE when it does not start."""
        self._server.start()

    def close(self) -> None:
        """Ends that process; calls in progress end by their own limits."""
        self._server.close()

    def run(self, document: bytes, plan: Plan, hash_name: str = "sha256") -> Prepared:
        """What ``prepare`` returns or raises; DOCUMENT_TOO_LARGE, and DOCUMENT_TOO_COMPLEX when a limit ended the child."""
        if len(document) > self._largest_document_bytes:
            raise VermilionError(
                Code.DOCUMENT_TOO_LARGE, f"the document has {len(document)} bytes, the limit is {self._largest_document_bytes}"
            )
        with self._places:
            answer = self._server.call(*request_parts(document, plan, hash_name))
        return _prepared(answer)


def prepare_parts(parts: list[bytes]) -> Sequence[bytes]:
    """Runs in the child: takes the parts of a request, returns the parts of the answer."""
    from signer.pdf.prepare import prepare  # noqa: PLC0415  (only the zygote loads pyHanko and PDFium, never the signer itself)

    head, document, pictures = parts
    request = json.loads(head)
    prepared = prepare(document, plan_of(request, pictures), request["hash_name"])
    answer = {
        "hole_offset": prepared.hole_offset,
        "hole_size_bytes": prepared.hole_size_bytes,
        "byte_range": prepared.byte_range,
        "digest": prepared.digest.hex(),
        "field_name": prepared.field_name,
        "warnings": prepared.warnings,
    }
    return [json.dumps(answer).encode(), prepared.suffix]


def warm_up() -> None:
    """Does what a child does, to documents of our own, so that children need not do what code does in its first runs.

    Python specialises code, caches fill, and modules that are imported late are imported: each child would do that anew, in memory that it then no
    longer shares. What a document gets does not depend on it.
    """
    from signer.pdf.samples import samples  # noqa: PLC0415  (as above)

    requests = [request_parts(document, plan, "sha256") for document, plan in samples()]
    for _ in range(ROUNDS):
        for request in requests:
            with suppress(VermilionError):
                prepare_parts(request)


def request_parts(document: bytes, plan: Plan, hash_name: str) -> list[bytes]:
    """One document and its plan, as they are sent to a child."""
    # Only what this document shows: a child that is taken over sees no other picture of the
    # office.
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


def plan_of(request: dict[str, Any], joined: bytes) -> Plan:
    """The plan, as the child reads it back from ``request_parts``."""
    pictures, position = {}, 0
    for digest, size in request["pictures"].items():
        pictures[bytes.fromhex(digest)] = joined[position : position + size]
        position += size
    return Plan(
        field_name=request["field_name"],
        signing_time=datetime.fromisoformat(request["signing_time"]),
        placement=placement_from_json(request["placement"]),
        pictures=pictures,
        hole_size_bytes=request["hole_size_bytes"],
        content_policy=request["content_policy"],
        writer_version=request["writer_version"],
        owner_name=request["owner_name"],
        bound=None if request["bound"] is None else Certification(request["bound"]),
    )


def _prepared(answer: list[bytes]) -> Prepared:
    """A hostile document may have written the answer: one that is inconsistent is refused here, one that is wrong by ``batch.accept``."""
    try:
        return understood(lambda: _read(*answer))
    except VermilionError:
        raise damaged() from None


def _read(head: bytes, suffix: bytes) -> Prepared:
    if len(head) > HEAD_BYTES:
        raise ValueError("more than there is to say")
    values = json.loads(head)
    name, warnings = values["field_name"], values["warnings"]
    if not (is_text(name) and isinstance(warnings, list) and len(warnings) <= MOST_WARNINGS and all(map(is_text, warnings))):
        raise ValueError("texts that are none")
    return Prepared(
        suffix=suffix,
        hole_offset=int(values["hole_offset"]),
        hole_size_bytes=int(values["hole_size_bytes"]),
        byte_range=tuple(int(each) for each in values["byte_range"]),  # type: ignore[arg-type]
        digest=bytes.fromhex(values["digest"]),
        field_name=name,
        warnings=tuple(warnings),
    )
