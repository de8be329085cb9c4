"""The HSM limit: how often a second the same processes get the same signatures from the same token when they do nothing else.

One process for each worker of the service, the service's own token settings (module, folder, sessions, PIN file) and keys, the
library through which the service signs. A turn is one signature with each key: seal key and TSA key for the signer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.remote import Remote
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings

_DIGESTS = [hashlib.sha256(b"%d" % number).digest() for number in range(256)]
_TURNS_A_LOOK = 16  # between two looks at the clock


@dataclass(frozen=True)
class Turns:
    """What a process, or all together, did: turns a second, and CPU seconds a turn."""

    per_s: float
    cpu_s: float


class Signing:
    """The part that runs in each process."""

    def __init__(self, settings: TokenSettings, labels: Sequence[str]) -> None:
        self._settings, self._labels = settings, labels

    def __enter__(self) -> Signing:
        self._token = Token.open(self._settings)
        self._keys = [self._token.key(label) for label in self._labels]
        self._turn(_DIGESTS[0])
        return self

    def __exit__(self, *_fault: object) -> None:
        self._token.close()

    def sign_for(self, seconds: float) -> Turns:
        """Signs for so long."""
        turns, began_s, cpu_s = 0, time.monotonic(), time.process_time()
        while (elapsed_s := time.monotonic() - began_s) < seconds:
            for number in range(_TURNS_A_LOOK):
                self._turn(_DIGESTS[(turns + number) % len(_DIGESTS)])
            turns += _TURNS_A_LOOK
        return Turns(turns / elapsed_s, (time.process_time() - cpu_s) / turns)

    def _turn(self, digest: bytes) -> None:
        for key in self._keys:
            key.sign_digest(digest)


class Limit:
    """So many signing processes, kept open between measurements."""

    def __init__(self, settings: TokenSettings, labels: Sequence[str], processes: int) -> None:
        with ExitStack() as stack:
            self._processes = [stack.enter_context(Remote(Signing, settings, tuple(labels))) for _ in range(processes)]
            self._stack = stack.pop_all()

    def __enter__(self) -> Limit:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._stack.close()

    def measure(self, seconds: float) -> Turns:
        """All at once."""
        for process in self._processes:
            process.begin("sign_for", seconds)
        done: list[Turns] = [process.result() for process in self._processes]
        return Turns(sum(one.per_s for one in done), sum(one.cpu_s for one in done) / len(done))
