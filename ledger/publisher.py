"""The heart of the log process: one pass looks at the signer's head and, when it honestly continues ours, publishes it.

Order within a pass, and what a crash leaves after each step:
  1. entries → tiles, durable            tiles that no checkpoint covers; the next pass writes the same again
  2. recompute, compare with the head    as above
  3. sign                                a signature that never left
  4. save the state, durable             signed and remembered, not yet shown
  5. have it cosigned                    the witness knows it; asking again is harmless. The log adds when it read the head
  6. publish /checkpoint                 done
The first pass after a start runs the same steps: there is no recovery besides this.
``reached`` is called with "tiles written", "signed", "state saved", "signed checkpoint written", "cosigned" and "published".
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ledger.signer_link import EntrySource
from ledger.state import NOTHING, LastSigned, StateFile
from ledger.tree import TileFolder, check_edge
from ledger.witness_link import WitnessLink
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import durable
from sealcore.platform.ledger.follower import Head, follow
from sealcore.platform.log import get as get_log
from sealcore.protocol.signed_note import Checkpoint, SignedCheckpoint, VerifierKey, cosign, head_key, sign_checkpoint, verify_log

CHECKPOINT = "checkpoint"  # the newest that satisfies the witness policy
SIGNED_CHECKPOINT = "checkpoint-signed"  # the newest that the log signed, cosigned or not
Reached = Callable[[str], None]
"""Called with the name of each step once it is done. Tests stop the process there; in service nobody listens."""


@dataclass(frozen=True)
class Health:
    """What /healthz answers: sizes signed and published, and the fault of the last pass, if any."""

    signed_size: int
    published_size: int
    fault: VermilionError | None


class Publisher:
    """Signs and publishes checkpoints of one log. One thread runs ``run_pass``; any may ask ``health``."""

    def __init__(
        self,
        *,
        key: VerifierKey,
        sign: Callable[[bytes], bytes],
        source: EntrySource,
        witness: WitnessLink | None,
        public_folder: Path,
        state_folder: Path,
        cosign_refresh_s: float,
        clock: Clock,
        reached: Reached = lambda _step: None,
    ) -> None:
        self._key, self._sign, self._source, self._witness = key, sign, source, witness
        self._reached = reached
        self._public_folder, self._clock = public_folder, clock
        self._tiles = TileFolder(public_folder)
        self._state = StateFile(state_folder, key)
        self._cosign_refresh_s = cosign_refresh_s
        self._cosigned_at_s: float | None = None  # monotonic
        self._published_size = 0
        self._last: LastSigned | None = None
        self._lock = threading.Lock()
        self._fault: VermilionError | None = VermilionError(Code.SERVICE_UNAVAILABLE, "the log has not looked at the signer yet")
        self._log = get_log("publisher")

    def health(self) -> Health:
        """The present state, for /healthz."""
        with self._lock:
            return Health(self._last.size if self._last else 0, self._published_size, self._fault)

    def run_pass(self) -> None:
        """One pass; faults are kept for ``health``, not raised. After an inconsistency no further checkpoint is ever signed."""
        with self._lock:
            if self._fault is not None and self._fault.code is Code.LEDGER_INCONSISTENT:
                return  # the latch: only a person who looked into it starts the process again
        fault: VermilionError | None = None
        try:
            self._pass()
        except Exception as error:  # noqa: BLE001  (a fault in one pass must not end the process; it is shown as unhealthy)
            fault = typed(error)
            if fault is not error:
                self._log.error("fault", exc_info=error)
        with self._lock:
            before, self._fault = self._fault, fault
        if fault is not None and (before is None or before.reason != fault.reason):
            self._log.error("stopped", code=str(fault.code), reason=fault.reason)
        elif fault is None and before is not None:
            self._log.info("healthy", size=self.health().published_size)

    def _pass(self) -> None:
        last = self._last or self._recall()
        read_at_s = int(
            self._clock.now().timestamp()
        )  # before the head is read: what is committed by now is in it, however long the rest takes
        head = self._source.head()
        # Smaller than what was signed: the signer's database was restored or cut. Signing on would
        # fork the log.
        if head.size < last.size:
            raise _inconsistent(f"the signer shows {head.size} entries, but a checkpoint over {last.size} was signed")
        if head.size > last.size or last.signed is None:
            last = self._sign_head(last, head)
        # The same size with another root: history was rewritten in place.
        elif head.root != last.root:
            raise _inconsistent(f"the signer shows another history of the first {last.size} entries than the one that was signed")
        self._publish(last, read_at_s)

    def _recall(self) -> LastSigned:
        """The last signed checkpoint, from our own state, with the tiles under it."""
        last = self._state.load()
        if last is None:
            # A log without memory would sign whatever it is shown as its first history. What is
            # published says that it had one.
            if durable.read(self._public_folder / SIGNED_CHECKPOINT) or durable.read(self._public_folder / CHECKPOINT):
                raise _inconsistent("checkpoints were published, but the log's record of the last one is gone")
            last = NOTHING
        check_edge(self._tiles, last.size, last.root)
        published_size = self._recall_published()
        with self._lock:
            self._last, self._published_size = last, published_size
        return last

    def _recall_published(self) -> int:
        data = durable.read(self._public_folder / CHECKPOINT)
        if data is None:
            return 0
        published = SignedCheckpoint.parse(data)
        verify_log(published, self._key)
        return published.checkpoint.size

    def _sign_head(self, last: LastSigned, head: Head) -> LastSigned:
        frontier = last.frontier
        for step in follow(
            self._source.entries, frontier, head
        ):  # holds each to the form of an entry, which is what keeps personal data out
            self._tiles.extend(step.start, step.data)
            frontier = step.frontier
            self._reached("tiles written")
        # Read back from disk: what is signed must be servable, not merely computed.
        check_edge(self._tiles, frontier.size, frontier.root())
        signed = sign_checkpoint(Checkpoint(self._key.name, frontier.size, frontier.root()), self._key, self._sign)
        verify_log(signed, self._key)
        newest = LastSigned(frontier, signed)
        self._reached("signed")
        # Before anything leaves: after a crash the log must know each history that it has ever put
        # its name to.
        self._state.save(newest)
        self._reached("state saved")
        with self._lock:
            self._last, self._cosigned_at_s = newest, None
        return newest

    def _publish(self, last: LastSigned, read_at_s: int) -> None:
        """Publishes ``last``, which is the head as the signer had it at ``read_at_s``: anew, so that readers learn that nothing came."""
        signed = last.signed
        assert signed is not None
        now_s = self._clock.monotonic_s()
        # Nothing new, and cosigned lately: cosigning again each second would only wear the HSM and
        # the witness.
        if self._cosigned_at_s is not None and (self._witness is None or now_s - self._cosigned_at_s < self._cosign_refresh_s):
            return
        if durable.read(self._public_folder / SIGNED_CHECKPOINT) != signed.encode():
            durable.write(self._public_folder / SIGNED_CHECKPOINT, signed.encode())
        self._reached("signed checkpoint written")
        if self._witness is not None:
            cosigned = self._witness.cosign(signed, self._tiles.consistency_proof)
            signed = signed.with_signatures((*cosigned, cosign(signed.checkpoint, head_key(self._key), read_at_s, self._sign)))
            self._reached("cosigned")
        durable.write(self._public_folder / CHECKPOINT, signed.encode())
        self._reached("published")
        with self._lock:
            grown = signed.checkpoint.size > self._published_size
            self._published_size, self._cosigned_at_s = signed.checkpoint.size, now_s
        if grown:
            self._log.info("published", size=signed.checkpoint.size)


def _inconsistent(reason: str) -> VermilionError:
    return VermilionError(Code.LEDGER_INCONSISTENT, reason)
