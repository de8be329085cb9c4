"""What the log process must never forget: the last checkpoint it signed, with its frontier, outside the signer's database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.protocol.merkle import EMPTY_ROOT, Frontier
from sealcore.protocol.signed_note import SignedCheckpoint, VerifierKey, verify_log

FILE_NAME = "last-signed.json"


@dataclass(frozen=True)
class LastSigned:
    """The last signed checkpoint (None before the first) and the frontier under it."""

    frontier: Frontier
    signed: SignedCheckpoint | None

    @property
    def size(self) -> int:
        """How many entries the checkpoint covers."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """The Merkle root over them."""
        return self.frontier.root()


class StateFile:
    """Stores ``LastSigned`` in a file, and refuses to load a checkpoint that this log's key did not sign."""

    def __init__(self, folder: Path, key: VerifierKey) -> None:
        self._file = folder / FILE_NAME
        self._key = key

    def load(self) -> LastSigned | None:
        """What was last saved; None if nothing ever was. Raises LEDGER_INCONSISTENT if the file is damaged."""
        data = durable.read(self._file)
        if data is None:
            return None
        try:
            stored = json.loads(data)
            frontier = Frontier.decode(bytes.fromhex(stored["frontier"]))
            signed = SignedCheckpoint.parse(stored["checkpoint"].encode())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the log's own record of its last checkpoint is damaged") from None
        verify_log(signed, self._key)
        if (signed.checkpoint.size, signed.checkpoint.root) != (frontier.size, frontier.root()):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the log's own record of its last checkpoint contradicts itself")
        return LastSigned(frontier, signed)

    def save(self, last: LastSigned) -> None:
        """Makes it durable. Called before the signature leaves the process: a log that forgot what it signed could sign a second history."""
        assert last.signed is not None
        record = {"checkpoint": last.signed.encode().decode(), "frontier": last.frontier.encode().hex()}
        durable.write(self._file, json.dumps(record, ensure_ascii=False, indent=1).encode())


NOTHING = LastSigned(Frontier(), None)
assert NOTHING.root == EMPTY_ROOT
