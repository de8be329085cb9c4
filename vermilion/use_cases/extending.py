"""Extends released files to B-LT or B-LTA: one or thousands, in place or beside; what is done already is left as it is.

Files are replaced only when the new one is whole, on disk and read back; a run that was broken off is simply started again.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from longterm.augmenter import Aim, Augmenter, Outcome
from longterm.certificates import Chains, certificate
from longterm.collecting import Collector
from longterm.model import Level
from longterm.sandbox import Sandbox
from longterm.sources import REST_S, Sources
from sealcore import pem
from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import durable
from timestamp.client.metrics import SourceMetrics
from timestamp.client.resting import UNTRUE
from timestamp.client.settings import HttpSource
from timestamp.client.source import OutsideTsa
from vermilion.client.documents import below
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.use_cases.side_by_side import side_by_side

MOST_BYTES: Final = 512 * 1024 * 1024  # of one file; it is held in memory a few times over
TIMESTAMP_WITHIN_S: Final = 30.0
_OFFICE_SITES: Final = ("ca_http", "ocsp", "timestamp")


class Word(StrEnum):
    """What came of a file."""

    EXTENDED = "extended"
    RENEWED = "renewed"
    KEPT = "kept"  # it was there already
    WAITING = "waiting"  # for answers that are younger than the timestamp
    UNSIGNED = "unsigned"  # lies in a folder, and carries no signature
    REFUSED = "refused"
    LEFT = "left"  # as it was, since the run was interrupted


@dataclass(frozen=True)
class Job:
    """A file, and where it goes; ``named`` itself, not found in a folder."""

    source: Path
    target: Path
    named: bool


@dataclass(frozen=True)
class Done:
    """What came of a job: levels before and after, when the archive timestamp lapses, and the fault where there is one."""

    job: Job
    word: Word
    before: Level | None = None
    level: Level | None = None
    lapses: datetime | None = None
    fault: VermilionError | None = None

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "file": str(self.job.target),
            "outcome": str(self.word),
            "before": self.before and str(self.before),
            "level": self.level and str(self.level),
            "lapses": self.lapses and self.lapses.isoformat(),
            "error": self.fault and self.fault.as_dict(),
        }


@dataclass(frozen=True)
class Means:
    """Where trust and evidence come from.

    anchors  files of certificates that are trusted: the office's own roots, of every generation, and those that were named; tsa  the time-stamping authority's URL; hosts  where may be fetched
    """

    anchors: Sequence[Path]
    tsa: str
    hosts: Sequence[str] = field(default_factory=tuple)

    @classmethod
    def of(cls, layout: Layout, office: Office | None, *, anchors: Sequence[Path], tsa: str | None, hosts: Sequence[str]) -> Means:
        """What was named, beside what the office on this machine has; CONFIGURATION_INVALID where something is missing then.

        FILE_UNUSABLE for a file that was named and holds no certificates.
        """
        for file in anchors:
            _anchors(file)
        if office is None and not (anchors and tsa):
            raise VermilionError(
                Code.CONFIGURATION_INVALID, f"there is no finished office in {layout.state}; without one, --trust and --tsa are needed"
            )
        own = [office.listen(site).target for site in _OFFICE_SITES if site in office.ports] if office is not None else []
        return cls(
            (*(_roots(layout) if office is not None else ()), *anchors),
            tsa or (office.url("timestamp") if office is not None else ""),
            (*own, *hosts),
        )


def jobs(paths: Sequence[Path], out: Path | None) -> list[Job]:
    """One for each file, and for each PDF in the folders and below; ``out`` keeps their order. FILE_UNUSABLE, CONFLICT."""
    found: list[Job] = []
    for path in paths:
        if path.is_dir():
            files = [each for each in below(path) if each.suffix.lower() == ".pdf"]
            found += [Job(each, out / each.relative_to(path) if out is not None else each, named=False) for each in files]
        elif path.is_file():
            found.append(Job(path, out / path.name if out is not None else path, named=True))
        else:
            raise VermilionError(Code.FILE_UNUSABLE, f"there is no file or folder {path}")
    if len({job.target.absolute() for job in found}) < len(found):
        raise VermilionError(Code.CONFLICT, "two files would be written to one place; extend them one after another")
    return found


@contextmanager
def extender(means: Means, aim: Aim, *, at_once: int, clock: Clock | None = None, sandbox: Sandbox | None = None) -> Iterator[Extender]:
    """All that one run needs, opened and closed, but for a sandbox of somebody else's. FILE_UNUSABLE, INVALID_ARGUMENT."""
    clock = clock or SystemClock()
    anchors = [each for file in means.anchors for each in _anchors(file)]
    sources = Sources(means.hosts)
    with tempfile.TemporaryDirectory(prefix="vermilion-extend-") as folder:
        merged = Path(folder) / "anchors.pem"
        durable.write(merged, b"".join(each.public_bytes(Encoding.PEM) for each in anchors))
        try:
            settings = HttpSource(name="tsa", url=means.tsa, anchors_file=merged, at_once=min(at_once, 64))
        except ValueError:
            raise VermilionError(Code.INVALID_ARGUMENT, f"{means.tsa!r} is no address of a time-stamping authority") from None
        tsa = _Tsa(OutsideTsa(settings, clock, SourceMetrics(CollectorRegistry())))
        own = sandbox or Sandbox()
        chains = Chains([certificate(each.public_bytes(Encoding.DER)) for each in anchors], sources.certificate, own.build)
        try:
            yield Extender(Augmenter(own, chains, Collector(sources, clock), tsa, clock, aim=aim), at_once)
        finally:
            if sandbox is None:
                own.close()
            sources.close()
            tsa.close()


class _Tsa:
    """The one TSA of a run. What it is refused for is said of each file, also where the TSA rests after it."""

    def __init__(self, source: OutsideTsa) -> None:
        self._source = source
        self._untrue: VermilionError | None = None

    def stamp(self, digest: bytes) -> bytes:
        """A token; raises TSA_…."""
        (outcome,) = self._source.stamp_all([digest], TIMESTAMP_WITHIN_S)
        if not isinstance(outcome, VermilionError):
            return outcome
        if outcome.code in UNTRUE:
            self._untrue = outcome
        raise self._untrue if outcome.code is Code.TSA_RESTS and self._untrue is not None else outcome

    def close(self) -> None:
        """Gives everything back."""
        self._source.close()


class _Gate:
    """Files are written behind it. Once it is shut none is begun any more, and those that were are finished: what is told then stays true."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False

    @contextmanager
    def passed(self) -> Iterator[bool]:
        """Whether it is open; held open meanwhile."""
        with self._changed:
            if not self._shut:
                self._inside += 1
            open_ = not self._shut
        try:
            yield open_
        finally:
            if open_:
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()

    def shut(self) -> None:
        """Returns when nobody is inside."""
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: self._inside == 0)


class Extender:
    """Runs jobs; safe to be broken off at any moment. ``interrupted``: whether somebody did."""

    def __init__(self, augmenter: Augmenter, at_once: int) -> None:
        if at_once < 1:
            raise VermilionError(Code.INVALID_ARGUMENT, "at least one file is worked on at a time")
        self._augmenter, self._at_once = augmenter, at_once
        self._gate = _Gate()
        self._finished: dict[Job, Done] = {}
        self.interrupted = False

    def run(self, work: Sequence[Job], *, wait_s: float = 0, report: Callable[[Done], None]) -> list[Done]:
        """All jobs, in their order; ``report`` gets each as it is finished. Files that have to wait are tried again for ``wait_s``.

        An interrupt ends it at once: what was not finished by then was left as it was, and stays so.
        """
        try:
            self._round(work, report)
            until = time.monotonic() + wait_s
            while (left := [job for job in work if self._finished[job].word is Word.WAITING]) and time.monotonic() < until:
                time.sleep(min(REST_S, max(0.0, until - time.monotonic())))
                self._round(left, lambda _done: None)
        except KeyboardInterrupt:
            self.interrupted = True
            self._gate.shut()
        return [self._finished.get(job, Done(job, Word.LEFT)) for job in work]

    def _round(self, work: Sequence[Job], report: Callable[[Done], None]) -> None:
        for _, done in side_by_side(self.extend, work, self._at_once):
            report(done)

    def extend(self, job: Job) -> Done:
        """One file; raises nothing: a fault is part of the result, and ends nothing else."""
        done = self._extended(job)
        if done.word is not Word.LEFT:
            self._note(done)
        return done

    def _note(self, done: Done) -> None:
        """The level that a file had at first stays known when it is tried again."""
        known = self._finished.get(done.job)
        self._finished[done.job] = done if known is None else replace(done, before=known.before)

    def _extended(self, job: Job) -> Done:
        try:
            document = _read(job)
            outcome = self._augmenter.augment(document)
            with self._gate.passed() as is_open:
                if not is_open:
                    return Done(job, Word.LEFT)
                _keep(job, document, outcome.document)
                done = Done(job, _word(outcome), outcome.before, outcome.level, outcome.lapses, _named(outcome.waiting, job))
                self._note(done)  # before the gate can be shut
                return done
        except VermilionError as fault:
            unsigned = fault.code is Code.DOCUMENT_UNSIGNED and not job.named
            return Done(job, Word.UNSIGNED) if unsigned else Done(job, Word.REFUSED, fault=_named(fault, job))
        except OSError as fault:
            return Done(job, Word.REFUSED, fault=durable.unusable(fault, fault.filename or job.source, document=job.source.name))
        except Exception as fault:  # noqa: BLE001  (one stranger's file must not end the run)
            return Done(job, Word.REFUSED, fault=typed(fault))


def _keep(job: Job, read: bytes, document: bytes) -> None:
    """In place, or beside where nothing else has the name. What an earlier run has put there was ``read``, and is only added to."""
    mode = job.source.stat().st_mode & 0o777
    # Compared right before: a file that somebody changed while it was worked on is not
    # overwritten.
    if durable.read(job.target) == read:
        if document != read:
            durable.write(job.target, document, mode=mode)
    else:
        durable.create(job.target, document, mode=mode)


def _word(outcome: Outcome) -> Word:
    if outcome.waiting is not None:
        return Word.WAITING
    if not outcome.changed:
        return Word.KEPT
    return Word.RENEWED if outcome.renewed else Word.EXTENDED


def _named(fault: VermilionError | None, job: Job) -> VermilionError | None:
    if fault is None:
        return None
    return VermilionError(fault.code, fault.reason, document=job.source.name, rule=fault.rule)


def _read(job: Job) -> bytes:
    """The file, or what an earlier run has made of it already; DOCUMENT_TOO_LARGE, FILE_UNUSABLE."""
    if (size := job.source.stat().st_size) > MOST_BYTES:
        raise VermilionError(Code.DOCUMENT_TOO_LARGE, f"the file has {size:,} bytes; {MOST_BYTES:,} are the most")
    document = durable.read(job.source) or b""
    earlier = durable.read(job.target) if job.target != job.source else None
    if earlier is not None and not earlier.startswith(document):
        raise VermilionError(Code.CONFLICT, f"{job.target} is there already and is not this file, extended; nothing is replaced")
    return earlier or document


def _roots(layout: Layout) -> Sequence[Path]:
    """The office's roots: those in force, or its first where no rollover has written that file yet."""
    roots = layout.pki / "roots.pem"
    return (roots,) if roots.is_file() else (layout.root_certificate,)


def _anchors(file: Path) -> list[x509.Certificate]:
    try:
        return pem.certificates(file.read_bytes())
    except OSError as fault:
        raise durable.unusable(fault, file) from None
    except pem.EncodingError as fault:
        raise VermilionError(Code.FILE_UNUSABLE, f"{file} {fault}; certificates to trust are named as PEM") from None
