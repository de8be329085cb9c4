"""A worker's composition root: opens database and token, and puts the engine together."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.db import connect
from signer.metrics import SignerMetrics
from signer.pipeline.engine import Engine, Parts
from signer.pipeline.examiner import Examiner
from signer.pipeline.keys import SealKeys
from signer.pipeline.sandbox import Sandbox
from signer.pipeline.timestamps import OwnUnit, Stamps
from signer.register.store import RegisterStore
from signer.settings import SignerSettings, TimestampSettings
from signer.status.judge import Outside, StatusJudge
from signer.status.store import StatusStore
from signer.uses.store import Reached, UseStore
from signer.worker.in_progress import Reading
from signer.worker.status import KeyFacts
from timestamp.client.settings import OwnSource
from timestamp.clock_watch import ClockWatch
from timestamp.latest import SharedLatest
from timestamp.metrics import clock_metrics
from timestamp.unit import TimestampUnit

_SPARE_CONNECTIONS = 2


@dataclass(frozen=True)
class Place:
    """This process among the others.

    boot              of the front, worker  of this process: they tell whose an unfinished use is (``UseStore``)
    latest_time_file  the latest time of the timestamp unit that all workers share
    urgent            its callers wait for single documents
    reading           where it says which documents it reads
    sandbox           the front's, for all workers; None: one of its own, when a document needs it
    """

    boot: str
    worker: str
    latest_time_file: Path
    urgent: bool
    reading: Reading
    sandbox: socket.socket | None = None


@dataclass(frozen=True)
class Bench:
    """All that a worker works with."""

    engine: Engine
    uses: UseStore
    keys: SealKeys
    metrics: SignerMetrics
    _opened: ExitStack

    @classmethod
    def open(cls, settings: SignerSettings, place: Place, *, clock: Clock, reached: Reached) -> Self:
        """Opens everything; CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, HSM_*, REGISTER_INCONSISTENT."""
        limits = settings.limits
        with ExitStack() as opened:
            database = connect(
                settings.database.url, pool_size=settings.workers.threads + settings.sandbox.workers + _SPARE_CONNECTIONS, by_key=True
            )
            opened.callback(database.dispose)
            register = RegisterStore(database, audience=settings.audience)
            register.load()
            token = Token.open(settings.token)
            opened.callback(token.close)
            latest = SharedLatest(place.latest_time_file)
            opened.callback(latest.close)
            keys = SealKeys(token, timeout_s=limits.hsm_s)
            opened.callback(keys.close)
            examiner = Examiner()
            opened.callback(examiner.close)
            sandbox = Sandbox(largest_document_bytes=limits.document_bytes, workers=settings.sandbox.workers, shared=place.sandbox)
            opened.callback(sandbox.close)
            uses = UseStore(
                database,
                clock,
                instance=settings.instance,
                boot=place.boot,
                worker=place.worker,
                lease_s=limits.lease_s,
                urgent=place.urgent,
                reached=reached,
            )
            metrics = SignerMetrics(clock)
            stamp = settings.timestamp
            watch = ClockWatch(stamp.clock, accuracy_ms=stamp.accuracy_ms, clock=clock, chrony=stamp.chrony)
            watch.start()
            opened.callback(watch.close)
            clock_metrics(metrics.registry, watch)
            metrics.watch_hsm(sessions=lambda: token.sessions, in_use=lambda: token.sessions_in_use, hung=lambda: keys.hung)
            stamps = _stamps(settings.timestamp, _Unit(token, latest, keys, watch), metrics, clock)
            opened.callback(stamps.close)
            parts = Parts(
                database=database,
                register=register,
                uses=uses,
                keys=keys,
                stamps=stamps,
                sandbox=sandbox,
                examiner=examiner,
                metrics=metrics,
                status=StatusJudge(Outside(settings.trust.seals_chain_file), StatusStore(database), clock),
                clock=clock,
                audience=settings.audience,
                largest_document_bytes=limits.document_bytes,
                sandboxed_at_once=settings.sandbox.workers,
                urgent=place.urgent,
                reading=place.reading,
                reached=reached,
            )
            engine = Engine(parts)
            opened.callback(engine.close)
            return cls(engine, uses, keys, metrics, opened.pop_all())

    def key_facts(self) -> list[KeyFacts]:
        """The keys of the token; of those of others, why they cannot be used stands in the place of the algorithm."""
        found = self.keys.listed()
        ours = [KeyFacts(key.label, str(key.algorithm), key.spki_sha256, key.extractable, key.sensitive) for key in found.keys]
        return [*ours, *(KeyFacts(key.label, key.described, b"", extractable=True, sensitive=False) for key in found.foreign)]

    def close(self) -> None:
        """Waits for what is being worked on, and gives everything back."""
        self._opened.close()


@dataclass(frozen=True)
class _Unit:
    """What the signer's own timestamp unit is made of."""

    token: Token
    latest: SharedLatest
    keys: SealKeys
    watch: ClockWatch


def _stamps(settings: TimestampSettings, own: _Unit, metrics: SignerMetrics, clock: Clock) -> Stamps:
    """The own unit by itself, with nothing in between, unless an outside TSA is named."""
    if settings.is_own_alone:
        return _own_unit(settings, own, metrics, clock)
    # The client's libraries are loaded by those workers alone that have an outside TSA.
    from timestamp.client.metrics import SourceMetrics  # noqa: PLC0415
    from timestamp.client.source import OutsideTsa  # noqa: PLC0415
    from timestamp.client.sources import TimestampSources  # noqa: PLC0415

    counted = SourceMetrics(metrics.registry)
    with ExitStack() as opened:
        sources = []
        for one in settings.source:
            source = _own_unit(settings, own, metrics, clock) if isinstance(one, OwnSource) else OutsideTsa(one, clock, counted)
            opened.callback(source.close)
            sources.append(source)
        made = TimestampSources(sources, within_s=settings.within_s)
        opened.pop_all()
    return made


def _own_unit(settings: TimestampSettings, own: _Unit, metrics: SignerMetrics, clock: Clock) -> OwnUnit:
    certificate, *_ = _certificates(settings.certificate_file)
    unit = TimestampUnit(
        own.token.key(settings.key_label),
        certificate,
        _certificates(settings.chain_file),
        policy_oid=settings.policy_oid,
        watch=own.watch,
        latest=own.latest,
    )
    return OwnUnit(unit, own.keys, metrics.hsm_outcomes)


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} holds no certificate that can be read") from None
