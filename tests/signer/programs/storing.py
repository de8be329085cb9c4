"""A process with a signer's store on a database, and no HSM: signatures are made up.

python storing.py URL INSTANCE

Reads orders from its standard input, one a line, each the name of a method of ``Process`` and its arguments, pickled and in
base64; writes each answer, or the VermilionError, in the same way.
"""

from __future__ import annotations

import base64
import hashlib
import pickle
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from sealcore.clock import SystemClock
from sealcore.errors import VermilionError
from sealcore.ids import uuid7
from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.platform.ledger.store import Draft
from sealcore.protocol.ledger_entry import Entry, time_us
from signer.gate import admit_item, admit_token
from signer.model import ItemRequest, SealedUse
from signer.pipeline.commit import Finished, commit
from signer.register.store import RegisterStore
from signer.uses.store import Frozen, Intent, UseStore, Wanted
from signer.uses.suffixes import Suffixes
from tests.signer.office import AUDIENCE

LEASE_S = 60


class Process:
    """What the process can be told to do."""

    def __init__(self, url: str, instance: str) -> None:
        self._clock = SystemClock()
        self._engine = db.connect(url, pool_size=16, by_key=True)
        self._register = RegisterStore(self._engine, audience=AUDIENCE)
        self._uses = UseStore(self._engine, self._clock, instance=instance, boot=uuid7(), worker=uuid7(), lease_s=LEASE_S)
        self._suffixes = Suffixes()
        self._instance = instance
        self._held: list[Intent] = []

    def intend(self, token: str, sub: str, requests: Sequence[ItemRequest]) -> list[Any]:
        """Gate and Intend; attempts are kept for ``commit`` and named by their number."""
        answers = self._uses.intend(self._wanted(token, sub, requests))
        self._held = [one for one in answers if isinstance(one, Intent)]
        return [one.attempt if isinstance(one, Intent) else one for one in answers]

    def commit(self, mark: str) -> list[Any]:
        """Commits what is kept."""
        return list(commit(self._engine, self._clock, self._suffixes, [_finished(one, mark) for one in self._held]))

    def release(self) -> None:
        """Gives up what is kept."""
        self._uses.release(self._held)

    def replay(self, token: str, sub: str, requests: Sequence[ItemRequest], *, threads: int, rounds: int) -> list[tuple[int, Any]]:
        """Every thread sends every request in every round, in an order and in batches of its own; (index, answer) of each."""
        answers: list[tuple[int, Any]] = []
        lock = threading.Lock()

        def run(number: int) -> None:
            dice = random.Random(f"{self._instance} {number}")
            for turn in range(rounds):
                order = list(requests)
                dice.shuffle(order)
                while order:
                    batch = [order.pop() for _ in range(min(len(order), dice.randint(1, 8)))]
                    got = self._seal(token, sub, batch, f"{self._instance} {number} {turn}")
                    with lock:
                        answers.extend((request.index, one) for request, one in zip(batch, got, strict=True))

        _all(run, threads)
        return answers

    def append(self, keys: Sequence[str], *, threads: int) -> list[tuple[str, int]]:
        """What Ledger.Append does for each key, by every thread: (key, place)."""
        places: list[tuple[str, int]] = []

        def run(number: int) -> None:
            order = list(keys)
            random.Random(number).shuffle(order)
            for key in order:
                entry = Entry("audit", time_us(self._clock.now()), subject_sha256=hashlib.sha256(key.encode()).digest())
                with db.write(self._engine) as connection:
                    (place,) = ledger_store.append(connection, [Draft.committing(entry, {"form": key}, idempotency_key=key)])
                places.append((key, place.index))

        _all(run, threads)
        return places

    def _seal(self, token: str, sub: str, requests: Sequence[ItemRequest], mark: str) -> list[Any]:
        answers: list[Any] = list(self._uses.intend(self._wanted(token, sub, requests)))
        mine = [at for at, one in enumerate(answers) if isinstance(one, Intent)]
        time.sleep(0.002)  # where the HSM would be called: the others come by meanwhile
        ends = commit(self._engine, self._clock, self._suffixes, [_finished(answers[at], mark) for at in mine])
        for at, ended in zip(mine, ends, strict=True):
            answers[at] = ended
        return answers

    def _wanted(self, token: str, sub: str, requests: Sequence[ItemRequest]) -> list[Wanted]:
        admission = admit_token(token, peer=sub, register=self._register.current(), now=self._clock.now(), audience=AUDIENCE)
        proposal = Frozen("c1", 1, "Vermilion-x", 8192, "writer-1")
        return [Wanted(admit_item(admission, one, largest_document_bytes=10_000), proposal) for one in requests]


def _finished(intent: Intent, mark: str) -> Finished:
    suffix = f"suffix {intent.item.index} {intent.attempt} {mark}".encode()
    digest = hashlib.sha256(suffix).digest()
    return Finished(intent, suffix, digest, digest, digest, ())


def _all(run: Any, threads: int) -> None:
    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _plain(answer: Any) -> Any:
    """Errors and results in a form that a pickle carries."""
    if isinstance(answer, VermilionError):
        return "refused", str(answer.code)
    if isinstance(answer, SealedUse):
        return "sealed", answer.suffix, answer.ledger_index, answer.repeated
    if isinstance(answer, list):
        return [_plain(one) for one in answer]
    if isinstance(answer, tuple):
        return tuple(_plain(one) for one in answer)
    return answer


def main() -> None:
    """Carries out orders until there are no more."""
    process = Process(sys.argv[1], sys.argv[2])
    for line in sys.stdin.buffer:
        name, arguments, keywords = pickle.loads(base64.b64decode(line))
        try:
            answer = _plain(getattr(process, name)(*arguments, **keywords))
        except VermilionError as fault:
            answer = _plain(fault)
        sys.stdout.buffer.write(base64.b64encode(pickle.dumps(answer)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
