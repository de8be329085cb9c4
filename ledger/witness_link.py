"""Asks a witness for its cosignature (c2sp.org/tlog-witness, add-checkpoint)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence

from ledger.settings import WitnessOfLog
from sealcore.errors import Code, VermilionError
from sealcore.platform.http_client import OK, Answer, HttpClient, HttpError, request_headers
from sealcore.protocol.signed_note import MOST_NOTE_BYTES, NoteSignature, SignedCheckpoint, VerifierKey, parse_signatures, verify_witness

TIMEOUT_S = 5.0
_CONFLICT, _UNPROCESSABLE = 409, 422
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n?", re.ASCII)

Prove = Callable[[int, int], Sequence[bytes]]
"""(old size, new size) → consistency proof."""


def encode_request(old_size: int, proof: Sequence[bytes], signed: SignedCheckpoint) -> bytes:
    """Body of add-checkpoint: ``old SIZE``, proof lines, an empty line, the checkpoint."""
    lines = [f"old {old_size}", *(base64.b64encode(step).decode() for step in proof), "", ""]
    return "\n".join(lines).encode() + signed.encode()


class WitnessLink:
    """One witness of this log. Remembers the size that it last cosigned; if the witness has seen a different one, it says so (409)."""

    def __init__(self, settings: WitnessOfLog) -> None:
        self._url = settings.url.rstrip("/") + "/add-checkpoint"
        self.key = VerifierKey.parse(settings.key)
        self._client = HttpClient(within_s=TIMEOUT_S)
        self._known_size = 0

    def cosign(self, signed: SignedCheckpoint, prove: Prove) -> tuple[NoteSignature, ...]:
        """The witness's verified cosignature lines.

        Raises SERVICE_UNAVAILABLE if it does not answer, and LEDGER_INCONSISTENT if it refuses the checkpoint, because it has
        seen a history of this log that differs from ours.
        """
        size = signed.checkpoint.size
        for _ in range(2):  # the second time from the size that the witness named
            answer = self._post(encode_request(self._known_size, prove(self._known_size, size), signed))
            if answer.status == OK:
                self._known_size = size
                return self._verified(signed, _text(answer))
            named = _SIZE.fullmatch(_text(answer)) if answer.status == _CONFLICT else None
            if named is None or int(named[1]) == self._known_size:
                break
            self._known_size = int(named[1])
            if self._known_size > size:
                # It has seen more than we have: our own past was lost, or another log signs with
                # our key.
                raise VermilionError(Code.LEDGER_INCONSISTENT, f"the witness has cosigned {self._known_size} entries, we have {size}")
        if answer.status in (_CONFLICT, _UNPROCESSABLE):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "the witness refuses the checkpoint: it does not continue what it saw before")
        raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the witness answers {answer.status}")

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def _post(self, body: bytes) -> Answer:
        try:
            return self._client.ask("POST", self._url, body=body, headers=request_headers(), most_bytes=MOST_NOTE_BYTES)
        except HttpError as fault:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the witness does not answer: {fault.reason}") from None

    def _verified(self, signed: SignedCheckpoint, lines: str) -> tuple[NoteSignature, ...]:
        """The cosignatures by the witness's key; those by unknown keys are ignored."""
        try:
            cosigned = signed.with_signatures(SignedCheckpoint(signed.checkpoint, parse_signatures(lines)).by(self.key))
            verify_witness(cosigned, self.key)
        except VermilionError as fault:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the witness's answer is not its cosignature: {fault.reason}") from None
        return cosigned.by(self.key)


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", "replace")  # what is no UTF-8 is no signature either
