"""The witness's rule: cosign only a checkpoint that extends the largest one seen of that log (c2sp.org/tlog-witness). Has its own state."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.protocol import merkle
from sealcore.protocol.signed_note import MOST_NOTE_BYTES, Checkpoint, SignedCheckpoint, VerifierKey, cosign, verify_log

MOST_PROOF_LINES = 63  # tlog-witness: a client sends no more
MOST_REQUEST_BYTES = MOST_NOTE_BYTES + 64 * 64
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True)
class AddCheckpoint:
    """An add-checkpoint request: the size that the log believes we have seen, a consistency proof from there, and the checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    signed: SignedCheckpoint

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """The request in ``body``; raises INVALID_ARGUMENT."""
        try:
            head, blank, note = body.decode("utf-8").partition("\n\n")
            first, *lines = head.split("\n")
            old = _OLD.fullmatch(first)
            if old is None or not blank or len(lines) > MOST_PROOF_LINES:
                raise ValueError
            proof = tuple(base64.b64decode(line, validate=True) for line in lines)
            return cls(int(old[1]), proof, SignedCheckpoint.parse(note.encode()))
        except (ValueError, binascii.Error, VermilionError):
            raise VermilionError(Code.INVALID_ARGUMENT, "the request is not an add-checkpoint request") from None


@dataclass(frozen=True)
class Answer:
    """HTTP status and body, as tlog-witness defines them; a 409 carries the size that we have seen (text/x.tlog.size)."""

    status: int
    body: str


class Cosigner:
    """Keeps the largest checkpoint of each known log, and cosigns what extends it."""

    def __init__(
        self, *, key: VerifierKey, sign: Callable[[bytes], bytes], logs: Sequence[VerifierKey], state_folder: Path, clock: Clock
    ) -> None:
        self._key, self._sign, self._clock, self._folder = key, sign, clock, state_folder
        self._logs = {log.name: log for log in logs}
        self._lock = threading.Lock()  # checking and saving are one step: two concurrent requests must not roll a log back

    def add(self, body: bytes) -> Answer:
        """The answer to an add-checkpoint request. Raises only if the witness's own state or token fails."""
        try:
            request = AddCheckpoint.parse(body)
        except VermilionError as fault:
            return Answer(400, f"{fault.reason}\n")
        checkpoint = request.signed.checkpoint
        log = self._logs.get(checkpoint.origin)
        if log is None:
            return Answer(404, "this witness does not watch that log\n")
        try:
            # Before our own record is read or compared: only the log itself may ask us to move.
            verify_log(request.signed, log)
        except VermilionError as fault:
            return Answer(403, f"{fault.reason}\n")
        if request.old_size > checkpoint.size:
            return Answer(400, "the old size is larger than the checkpoint's\n")
        with self._lock:
            return self._continue(request, checkpoint)

    def _continue(self, request: AddCheckpoint, checkpoint: Checkpoint) -> Answer:
        known = self.known(checkpoint.origin)
        size, root = (known.size, known.root) if known is not None else (0, merkle.EMPTY_ROOT)
        # As tlog-witness has it: the log proves from the size that we have seen, not from one that
        # it prefers.
        if request.old_size != size or (checkpoint.size == size and checkpoint.root != root):
            return Answer(409, f"{size}\n")
        try:
            merkle.verify_consistency(size, root, checkpoint.size, checkpoint.root, request.proof)
        except VermilionError as fault:
            return Answer(422, f"{fault.reason}\n")
        if known is None or checkpoint.size > size:
            self._save(checkpoint)  # before the cosignature leaves: after a crash it must not be given for another history
        return Answer(200, cosign(checkpoint, self._key, int(self._clock.now().timestamp()), self._sign).line())

    def known(self, origin: str) -> Checkpoint | None:
        """The largest checkpoint of a log that was cosigned. Raises LEDGER_INCONSISTENT if our own record is damaged."""
        data = durable.read(self._file(origin))
        if data is None:
            return None
        try:
            stored = json.loads(data)
            checkpoint = Checkpoint(stored["origin"], stored["size"], bytes.fromhex(stored["root"]))
        except (ValueError, KeyError, TypeError, VermilionError):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the witness's own record is damaged") from None
        if checkpoint.origin != origin:
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the witness's own record is of another log")
        return checkpoint

    def _save(self, checkpoint: Checkpoint) -> None:
        record = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        durable.write(self._file(checkpoint.origin), json.dumps(record, ensure_ascii=False, indent=1).encode())

    def _file(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.json"
