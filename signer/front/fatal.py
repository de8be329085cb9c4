"""Documents that workers died over. After the second death a document is refused for good, whoever sends it, also after a restart.

A worker notes which documents it is reading (``signer.worker.in_progress``). One death proves nothing, since anything may have caused it:
the document is tried once more, by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

from sqlalchemy import Engine, select

from protos.vermilion.v1 import signer_pb2
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.protocol.ledger_entry import time_us
from signer.front.overruns import Overruns
from signer.tables import fatal_documents, insert_missing

MOST_WORKERS: Final = 2  # that may die over one document


class FatalDocuments:
    """Kept in the signer's database, which replicas share. ``refusal`` is for the event loop, the rest for a thread."""

    def __init__(self, database: Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._ended: Counter[bytes] = Counter()
        self._known: set[bytes] = set()
        self.overruns = Overruns()

    def load(self) -> None:
        """Reads what this and other replicas have stored; DATABASE_UNAVAILABLE."""
        with db.read(self._database) as connection:
            found = connection.execute(select(fatal_documents.c.document_sha256)).scalars()
            self._known |= {bytes(each) for each in found}

    def note(self, documents: Collection[bytes]) -> None:
        """A worker died while it was reading these (SHA-256). Counted here first, then stored; DATABASE_UNAVAILABLE when that fails."""
        # Several documents may have been read by several threads when the worker died. The innocent
        # ones are not there the second time.
        self._ended.update(documents)
        fatal = {each for each in documents if self._ended[each] >= MOST_WORKERS}
        self._known |= fatal
        if fatal:
            now_us = time_us(self._clock.now())
            with db.write(self._database) as connection:
                insert_missing(connection, fatal_documents, [{"document_sha256": each, "noted_us": now_us} for each in fatal])
        # Also reads what other replicas have learned: a document that ended two of their workers
        # must not try ours.
        self.load()

    def refusal(self, document_sha256: bytes, item: signer_pb2.Item) -> VermilionError | None:
        """Why the document is refused; None for all but these few, and those that exceeded the sandbox's limits."""
        if document_sha256 not in self._known:
            return self.overruns.refusal(document_sha256, item)
        reason = "reading the document ended the signer's process twice; it is not tried again"
        return VermilionError(Code.DOCUMENT_TOO_COMPLEX, reason, document=item.name or None)

    def __bool__(self) -> bool:
        return bool(self._known) or bool(self.overruns)
