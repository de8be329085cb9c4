"""A client that writes down what it sends and what it gets, and goes on until everything is sealed.

Its journal is the evidence of what left the signer: lines of JSON, written before anything is sent and as soon as something has
come. ``observers`` read it afterwards.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.error_messages import from_message
from sealcore.platform.rpc.errors import from_rpc_error
from tests.signer.office import Approved
from tests.signer.station import TIMEOUT_S, Station, stream_messages

# What a client answers by sending the same once more. DOCUMENT_TOO_COMPLEX: its sandbox was killed, as a limit would have done.
AGAIN: Final = frozenset(
    {
        *(Code.SERVICE_UNAVAILABLE, Code.USE_IN_PROGRESS, Code.DATABASE_UNAVAILABLE, Code.HSM_TIMEOUT, Code.HSM_UNAVAILABLE),
        *(Code.DOCUMENT_TOO_COMPLEX, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.INTERNAL, Code.OVERLOADED, Code.STORAGE_FULL),
    }
)
_PAUSE_S: Final = 0.02


class Journal:
    """Lines of JSON, and beside them the bytes that came."""

    def __init__(self, folder: Path) -> None:
        self.file, self.bytes = folder / "journal.jsonl", folder / "received.bin"
        self._lines, self._content = self.file.open("ab"), self.bytes.open("ab")
        self._lock = threading.Lock()

    def write(self, what: str, content: bytes = b"", **facts: Any) -> None:
        """One fact, in the file system before this returns."""
        with self._lock:
            at = self._content.tell()
            self._content.write(content)
            self._content.flush()
            placed = {"at": at, "length": len(content)} if content else {}
            line = {"what": what, "monotonic_s": round(time.monotonic(), 6), **facts, **placed}
            self._lines.write(json.dumps(line).encode() + b"\n")
            self._lines.flush()

    def close(self) -> None:
        """Closes both files."""
        self._lines.close()
        self._content.close()


@dataclass
class Work:
    """A batch on its way: what is approved, and which of it is sealed."""

    approved: Approved
    items: Sequence[signer_pb2.Item]
    seal: str
    sealed: dict[int, bytes] = field(default_factory=dict)  # index → SHA-256 of the suffix
    attempts: dict[int, int] = field(default_factory=dict)
    refused: dict[int, VermilionError] = field(default_factory=dict)  # for good
    stopped_at: int | None = None  # the ledger index of the stop that ended it

    @property
    def left(self) -> list[signer_pb2.Item]:
        """What has no end yet."""
        return [item for item in self.items if item.index not in self.sealed and item.index not in self.refused]

    @property
    def jti(self) -> str:
        """Of its token."""
        return self.approved.claims.jti


class Client:
    """Sends batches over streams, several side by side."""

    def __init__(self, station: Station, journal: Journal) -> None:
        self._station = station
        self.journal = journal
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="client")
        self._database = create_engine(station.database_url)
        self._streams = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Gives back what it holds."""
        self._pool.shutdown()
        self._database.dispose()

    def begin(self, works: Sequence[Work], *, a_message: int = 4) -> Callable[[], None]:
        """Sends what is left of each on a stream of its own; call the result to wait for their ends."""
        running = [self._pool.submit(self.send, work, work.left, a_message=a_message) for work in works if work.left]

        def wait() -> None:
            for one in running:
                one.result(TIMEOUT_S)

        return wait

    def send(self, work: Work, items: Sequence[signer_pb2.Item], *, a_message: int = 4) -> None:
        """One stream, whatever becomes of it."""
        with self._lock:
            self._streams += 1
            number = self._streams
        try:
            answers = self._station.signer().SealStream(self._messages(work, items, a_message, number), timeout=TIMEOUT_S)
            for answer in answers:
                self._take(work, answer, number)
            self.journal.write("end", stream=number, code="OK")
        except grpc.RpcError as fault:
            error = from_rpc_error(fault)
            self.journal.write("end", stream=number, code=str(error.code), reason=error.reason)
            if error.code not in AGAIN:
                work.refused.update((item.index, error) for item in work.left)
        except grpc.FutureTimeoutError:
            self.journal.write("end", stream=number, code="no connection")
        if work.left:
            time.sleep(_PAUSE_S)

    def _messages(
        self, work: Work, items: Sequence[signer_pb2.Item], a_message: int, number: int
    ) -> Iterator[signer_pb2.SealStreamRequest]:
        for message in stream_messages(work.approved.token, items, a_message):
            indexes = [item.index for item in message.items.items]
            self.journal.write("sent", stream=number, jti=work.jti, indexes=indexes)
            yield message

    def _take(self, work: Work, answer: signer_pb2.SealStreamResponse, number: int) -> None:
        committed = self._committed([sealed.ledger_index for sealed in answer.results.sealed])
        documents = {item.index: item.document for item in work.items}
        for sealed in answer.results.sealed:
            whole = hashlib.sha256(documents[sealed.index] + sealed.suffix).digest()
            self.journal.write(
                "released", sealed.suffix, stream=number, jti=work.jti, index=sealed.index, ledger_index=sealed.ledger_index,
                attempts=sealed.attempts, repeated=sealed.repeated, suffix=hashlib.sha256(sealed.suffix).hexdigest(),
                fits=whole == sealed.sealed_sha256, committed=sealed.ledger_index in committed,
            )  # fmt: skip
            work.sealed[sealed.index] = hashlib.sha256(sealed.suffix).digest()
            work.attempts[sealed.index] = sealed.attempts
        for refused in answer.results.refused:
            error = from_message(refused.error)
            self.journal.write("refused", stream=number, jti=work.jti, index=refused.index, code=str(error.code), reason=error.reason)
            if error.code not in AGAIN:
                work.refused[refused.index] = error

    def _committed(self, indexes: Sequence[int]) -> set[int]:
        """Which of these entries the database has at this moment, seen over a connection of our own."""
        question = text(f'SELECT "index" FROM ledger_entries WHERE "index" IN ({", ".join(map(str, indexes))})')
        while indexes:
            try:
                with self._database.connect() as connection:
                    return {row[0] for row in connection.execute(question)}
            except OperationalError:  # away, for us as for the signer: then it is looked up when it is back
                time.sleep(_PAUSE_S)
        return set()
