"""The signer with one safeguard taken away: the list of the protocol's executable model, and two more.

Each is a change to a worker's code as a careless hand might make it. The observers must report every one of them, or what they
say about the real signer proves nothing.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import signer.pipeline.commit
import signer.pipeline.engine
import signer.pipeline.preparation
import signer.uses.store
from sealcore.clock import Clock
from sealcore.compiled import core
from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.platform.ledger.store import Appended
from sealcore.protocol.ledger_entry import entry_hash, time_us
from signer.model import Outcome, Result, SealedUse
from signer.pdf.lean import prepare_lean
from signer.pipeline.batch import Batch, Verified
from signer.pipeline.commit import Finished, _Suffix
from signer.pipeline.engine import Engine
from signer.pipeline.keys import SealKeys
from signer.uses.packing import encode
from signer.uses.statements import TAKE_OVER
from signer.uses.store import Reached, UseStore
from signer.uses.suffixes import Suffixes
from tests.signer.pdf.taken_over import put_together, taken_apart

_LOCK: Final = threading.Lock()


def _put(owner: object, **instead: Any) -> None:
    """Takes the place of what a class or module has under that name."""
    for name, value in instead.items():
        assert hasattr(owner, name), f"{owner} has no {name} any more"
        setattr(owner, name, value)


def release_before_commit() -> None:
    """The answers go out when the documents are whole; Commit comes behind."""
    commits = Engine._commit

    def _commit(self: Engine, batch: Batch, verified: Sequence[Verified]) -> None:
        with db.read(self._parts.database) as connection:
            size = ledger_store.head(connection).size
        for place, (received, made) in enumerate(verified, size):
            index = received.request.index
            early = SealedUse(index, made.suffix, place, bytes(32), made.sealed_sha256, made.intent.attempt, (), repeated=False)
            received.group.answer_later([Outcome(index, early)])
        commits(self, batch, verified)
        for one in verified:
            del batch._results[one.received]  # it has its answer
            batch.detach(one.received)

    _put(Engine, _commit=_commit)


def no_fence() -> None:
    """Commit looks neither at the attempt nor at the state of the use."""
    _put(signer.pipeline.commit, _refusals=lambda _connection, batch, _now_us: [None] * len(batch))
    end = signer.pipeline.commit._END
    _put(signer.pipeline.commit, _END=replace(end, sqlite=end.sqlite.replace(":attempt AND state = 'intended'", ":attempt * 0 + attempt")))


def entry_in_its_own_transaction() -> None:
    """The use is ended in one transaction, its entry appended in the next."""

    def commit(
        engine: Any, clock: Clock, suffixes: Suffixes, batch: Sequence[Finished], *, reached: Reached, **_others: Any
    ) -> list[Result]:
        packed = [one for one, _ in suffixes.pack_all([(one.suffix, one.intent.frozen.certificate_sha256) for one in batch])]
        with _LOCK:
            now_us = time_us(clock.now())
            with db.write(engine) as connection:
                refusals = signer.pipeline.commit._refusals(connection, batch, now_us)
                ending = [(one, no) for one, no in zip(batch, refusals, strict=True) if no is None]
                kept = [one for one, no in zip(packed, refusals, strict=True) if no is None]
                suffixes.add_parts(connection, kept)
                entries = signer.pipeline.commit._entries(ending, now_us)
                first = _next_place(connection)
                places = [Appended(first + at, entry_hash(one.data)) for at, one in enumerate(entries)]
                signer.pipeline.commit._end(
                    connection, [(one, place, True) for (one, _), place in zip(ending, places, strict=True)], now_us
                )
                rows = [_Suffix(place.index, encode(one)) for one, place in zip(kept, places, strict=True)]
                signer.pipeline.commit._SUFFIXES.insert(connection, rows)
            reached("commit: uses ended")
            with db.write(engine) as connection:
                ledger_store.append_new(connection, entries)
            reached("commit: entries appended")
        suffixes.committed(kept)
        taken = iter(places)
        return [
            no or signer.pipeline.commit._sealed(one, small, next(taken)) for one, small, no in zip(batch, packed, refusals, strict=True)
        ]

    _put(signer.pipeline.engine, commit=commit)
    _put(signer.uses.store, entry_hash=lambda data: entry_hash(data or b""))


def no_entry() -> None:
    """The use is ended and nothing appended."""

    def append_new(connection: Any, entries: Sequence[Any]) -> list[Appended]:
        first = _next_place(connection)
        return [Appended(first + at, entry_hash(one.data)) for at, one in enumerate(entries)]

    _put(signer.pipeline.commit, ledger_store=_Instead(ledger_store, append_new=append_new))


def takeover_keeps_the_attempt() -> None:
    """Whoever takes a use over works under the attempt of before."""
    judges: Any = UseStore._judge

    def _judge(self: UseStore, at: Any, wanted: Any, refusal: Any, row: Any, *stored: Any) -> Any:
        result = judges(self, at, wanted, refusal, row, *stored)
        return replace(result, attempt=row.attempt) if isinstance(result, signer.uses.store.Intent) and row is not None else result

    _put(UseStore, _judge=_judge)
    same = replace(TAKE_OVER, sqlite=TAKE_OVER.sqlite.replace("attempt = :attempt + 1", "attempt = :attempt"))
    _put(signer.uses.store, TAKE_OVER=same)


def bytes_not_bound() -> None:
    """A use is for whatever document comes."""
    judges: Any = UseStore._judge

    def _judge(self: UseStore, at: Any, wanted: Any, refusal: Any, row: Any, *stored: Any) -> Any:
        return judges(self, at, wanted, refusal, row and _Instead(row, binding=wanted.item.binding), *stored)

    _put(UseStore, _judge=_judge)


def stop_not_read_again() -> None:
    """Commit does not ask whether a stop has come meanwhile."""
    _put(signer.pipeline.commit, stop_refusal=lambda _seen, _present: None)


def signs_again() -> None:
    """A signature is asked for twice, as by a retry inside an attempt."""
    signs = SealKeys.sign_all

    def sign_all(self: SealKeys, seal_key: Any, signed_attributes: Sequence[bytes]) -> Any:
        signs(self, seal_key, signed_attributes)
        return signs(self, seal_key, signed_attributes)

    _put(SealKeys, sign_all=sign_all)


def _next_place(connection: Any) -> int:
    """The ledger index after the last that is taken, by an entry or by a use whose entry is missing."""
    (last,) = connection.exec_driver_sql("SELECT max(ledger_index) FROM uses").one()
    return max(-1 if last is None else int(last), ledger_store.head(connection).size - 1) + 1


class _Instead:
    """Another's attributes, some of them others."""

    def __init__(self, original: Any, **others: Any) -> None:
        self.__dict__.update(others)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


DEADLY_TEXT: Final = b"Ends whoever reads it"


def _over_a_document(end: Callable[[], None]) -> Callable[[], None]:
    def install() -> None:
        def prepare_all(jobs: Sequence[Any], *others: Any) -> list[Any]:
            answers: list[Any] = []
            for job in jobs:
                answers += core.prepare_all([job], *others)
                if job[0].find(DEADLY_TEXT) >= 0:  # which is still noted as the one that is read
                    end()
            return answers

        _put(signer.pipeline.preparation, core=_Instead(core, prepare_all=prepare_all))

    return install


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze() -> None:
    """Holds the interpreter's lock for longer than anybody waits, as an expression without bound does."""
    re.match(rb"(a|a)*b", b"a" * 64)


# What a fault of the reader would do to a worker, over one kind of document.
DEADLY: Final[dict[str, Callable[[], None]]] = {
    "dies over a document": _over_a_document(_die),
    "freezes over a document": _over_a_document(_freeze),
}

SLIPPED_TEXT: Final = b"Sealed with something more"


def _slips_something_in() -> None:
    """A lean writer that somebody has taken over: into the update of one kind of document goes an object that nobody approved."""
    prepare: Any = prepare_lean

    def prepare_all(jobs: Sequence[Any], *others: Any) -> list[Any]:
        return [
            answer if job[0].find(SLIPPED_TEXT) < 0 else None for job, answer in zip(jobs, core.prepare_all(jobs, *others), strict=True)
        ]

    def prepared(document: Any, *others: Any) -> Any:
        good = prepare(document, *others)
        if good is None or document.find(SLIPPED_TEXT) < 0:
            return good
        parts = taken_apart(document[:], good.suffix)
        return put_together(document[:], parts.having(parts.free_number, b"<</Type/Annot>>"), good)

    _put(signer.pipeline.preparation, core=_Instead(core, prepare_all=prepare_all), prepare_lean=prepared)


TAKEN_OVER: Final[dict[str, Callable[[], None]]] = {"slips something in": _slips_something_in}

BROKEN: Final[dict[str, Callable[[], None]]] = {
    "release before commit": release_before_commit,
    "no fence": no_fence,
    "entry in its own transaction": entry_in_its_own_transaction,
    "no entry": no_entry,
    "takeover keeps the attempt": takeover_keeps_the_attempt,
    "bytes not bound": bytes_not_bound,
    "stop not read again": stop_not_read_again,
    "signs again": signs_again,
}
