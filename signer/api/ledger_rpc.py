"""The Ledger service over gRPC: other services append, the log process follows, entries are found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import Engine, select

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ids import SERVICE_PREFIX
from sealcore.platform import db
from sealcore.platform.ledger import store
from sealcore.platform.ledger.store import Draft, Found
from sealcore.platform.peer import Peer
from sealcore.platform.rpc.server import caller
from sealcore.protocol.canonical import require
from sealcore.protocol.ledger_entry import Entry, EntryKind, time_us
from signer.api.threads import in_thread
from signer.tables import ledger, tokens

# Kinds by service. ``seal``, ``void`` and ``act`` are missing: only the signer writes them, together with what they record.
KINDS: Mapping[str, frozenset[str]] = {
    "workflow": frozenset({EntryKind.FORM, EntryKind.AUDIT, EntryKind.IMPRESSION, EntryKind.REHEARSAL}),
    "ca": frozenset({EntryKind.CERTIFICATE, EntryKind.REVOCATION}),
}
LEDGER = ledger_pb2.DESCRIPTOR.services_by_name["Ledger"].full_name
ENTRIES_A_MESSAGE = 256
LARGEST_MESSAGE_BYTES = 2 * 1024 * 1024
MOST_FOUND = 4_000  # so many fit under gRPC's cap of 4 MiB


def add_ledger_service(server: Any, service: LedgerService) -> None:
    """Registers the service."""
    ledger_pb2_grpc.add_LedgerServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated


class LedgerService(ledger_pb2_grpc.LedgerServicer):
    """The signer's side of the ledger: it owns the index, the log process signs it."""

    def __init__(self, engine: Engine, clock: Clock, executor: Executor) -> None:
        self._engine = engine
        self._clock = clock
        self._executor = executor

    async def Append(self, request: ledger_pb2.AppendRequest, context: Any) -> ledger_pb2.AppendResponse:
        """An entry of another service. Idempotent by (service, idempotency key)."""
        index = await in_thread(self._executor, self._append, request, caller())
        return ledger_pb2.AppendResponse(ledger_index=index)

    async def Head(self, request: ledger_pb2.HeadRequest, context: Any) -> ledger_pb2.LedgerHead:
        """The committed head."""
        head = await in_thread(self._executor, self._head)
        return ledger_pb2.LedgerHead(size=head.size, root=head.root)

    async def Entries(self, request: ledger_pb2.EntriesRequest, context: Any) -> AsyncIterator[ledger_pb2.EntriesResponse]:
        """Committed entries [start, end), in order."""
        start = request.start
        while start < request.end:
            entries = await in_thread(self._executor, self._entries, start, min(request.end, start + ENTRIES_A_MESSAGE))
            yield ledger_pb2.EntriesResponse(start=start, entries=entries)
            start += len(entries)

    async def Find(self, request: ledger_pb2.FindRequest, context: Any) -> ledger_pb2.FindResponse:
        """Entries of a form or of a signature value; a client finds its own alone."""
        peer = caller()
        found = await in_thread(self._executor, self._find, request, peer)
        return ledger_pb2.FindResponse(entries=[_found_message(one) for one in found])

    def _append(self, request: ledger_pb2.AppendRequest, peer: Peer) -> int:
        service = peer.uri.removeprefix(SERVICE_PREFIX)
        # By the peer's certificate, never by what the request says: a CA that was taken over must
        # not write entries of seals.
        if request.kind not in KINDS.get(service, frozenset()):
            raise VermilionError(Code.PERMISSION_DENIED, f"the service {service} does not write entries of the kind {request.kind[:40]!r}")
        require(bool(request.idempotency_key), "an entry comes with an idempotency key, so that sending it again is safe")
        entry = Entry(request.kind, time_us(self._clock.now()), subject_sha256=request.subject_sha256 or None)
        values = {"form": request.form, "people": request.person, "policy": request.policy}
        # Under the service's own name, so that one service cannot occupy another's keys.
        draft = Draft.committing(entry, values, idempotency_key=f"{service}:{request.idempotency_key}")
        with db.write(self._engine) as connection:
            (appended,) = store.append(connection, [draft])
        return appended.index

    def _head(self) -> store.Head:
        with db.read(self._engine) as connection:
            return store.head(connection)

    def _entries(self, start: int, end: int) -> list[bytes]:
        """As many entries as fit a message, at least one."""
        with db.read(self._engine) as connection:
            entries = store.entries(connection, start, end)
        size_bytes = 0
        for count, entry in enumerate(entries):
            size_bytes += len(entry)
            if count and size_bytes > LARGEST_MESSAGE_BYTES:
                return entries[:count]
        return entries

    def _find(self, request: ledger_pb2.FindRequest, peer: Peer) -> list[Found]:
        with db.read(self._engine) as connection:
            found = store.find(connection, form=request.form or None, signature_hash=request.signature_hash or None)
            if "client" in peer.roles:
                # Entries bear no client; whose they are is in the token that they were made under.
                own = ledger.entries.join(tokens, tokens.c.jti == ledger.entries.c.jti)
                mine = select(ledger.entries.c.index.label("place")).select_from(own).where(tokens.c.sub == peer.uri)
                wanted = mine.where(ledger.entries.c.index.in_([one.index for one in found[:MOST_FOUND]]))
                places = {row.place for row in connection.execute(wanted)}
                found = [one for one in found if one.index in places]
        return found[:MOST_FOUND]


def _found_message(found: Found) -> ledger_pb2.FoundEntry:
    return ledger_pb2.FoundEntry(index=found.index, entry=found.data, form=found.form or "", form_salt=found.salts.get("form", b""))
