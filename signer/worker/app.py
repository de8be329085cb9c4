"""A worker's composition root: opens database and token, and puts the engine together."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from sqlalchemy import Engine as Database

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.db import connect
from sealcore.platform.storage import Storage
from signer.metrics import SignerMetrics
from signer.pipeline.engine import Engine, Parts
from signer.pipeline.examiner import Examiner
from signer.pipeline.keys import SealKeys
from signer.pipeline.sandbox import Sandbox
from signer.pipeline.timestamps import OwnUnit, TimestampSource
from signer.register.store import RegisterStore
from signer.settings import SignerSettings, TimestampSettings
from signer.status.judge import Outside, StatusJudge
from signer.status.store import StatusStore
from signer.uses.store import Reached, UseStore
from signer.worker.in_progress import DocumentsInProgress
from signer.worker.status import KeyFacts
from timestamp.client.settings import OwnSource
from timestamp.clock_watch import ClockWatch
from timestamp.latest import SharedLatest
from timestamp.metrics import clock_metrics
from timestamp.unit import TimestampUnit

_SPARE_CONNECTIONS = 2


@dataclass(frozen=True)
class ProcessContext:
    """What the front tells a worker about itself.

    boot, worker      identify this start of the front and this process: the owner of unfinished uses (``UseStore``)
    latest_time_file  holds the latest time of the timestamp unit that all workers share
    urgent            whether its callers wait for single documents
    in_progress       where it notes which documents it is reading
    """

    boot: str
    worker: str
    latest_time_file: Path
    urgent: bool
    in_progress: DocumentsInProgress


@dataclass(frozen=True)
class WorkerApp:
    """Everything that a worker uses, opened and closed together."""

    engine: Engine
    uses: UseStore
    keys: SealKeys
    metrics: SignerMetrics
    in_progress: DocumentsInProgress
    _opened: ExitStack

    @classmethod
    def open(cls, settings: SignerSettings, context: ProcessContext, *, clock: Clock, reached: Reached) -> Self:
        """Opens everything; CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, HSM_*, REGISTER_INCONSISTENT."""
        limits, metrics = settings.limits, SignerMetrics(clock)
        with ExitStack() as opened:
            database = _database(settings, opened, urgent=context.urgent)
            register = RegisterStore(database, audience=settings.audience)
            register.load()
            token = opened.enter_context(closing(Token.open(settings.token)))
            keys = opened.enter_context(closing(SealKeys(token, timeout_s=limits.hsm_s)))
            metrics.watch_hsm(sessions=lambda: token.sessions, in_use=lambda: token.sessions_in_use, hung=lambda: keys.hung)
            latest = opened.enter_context(closing(SharedLatest(context.latest_time_file)))
            unit = _Unit(token, latest, keys, _clock_watch(settings.timestamp, metrics, clock, opened))
            sandbox = Sandbox(
                largest_document_bytes=limits.document_bytes,
                workers=settings.sandbox.workers,
                service=settings.sandbox.service,
            )
            opened.callback(sandbox.close)
            parts = Parts(
                database=database,
                register=register,
                uses=_uses(settings, context, database, clock, reached),
                keys=keys,
                timestamps=opened.enter_context(closing(_timestamps(settings.timestamp, unit, metrics, clock))),
                sandbox=sandbox,
                examiner=opened.enter_context(closing(Examiner(settings.sandbox.service))),
                metrics=metrics,
                status=StatusJudge(Outside(settings.trust.seals_chain_file), StatusStore(database), clock),
                storage=Storage.of(settings.database, settings.storage),
                clock=clock,
                audience=settings.audience,
                largest_document_bytes=limits.document_bytes,
                sandboxed_at_once=settings.sandbox.workers,
                urgent=context.urgent,
                in_progress=context.in_progress,
                reached=reached,
            )
            engine = opened.enter_context(closing(Engine(parts)))  # closed first: it waits for documents in progress
            return cls(engine, parts.uses, keys, metrics, context.in_progress, opened.pop_all())

    def key_facts(self) -> list[KeyFacts]:
        """The keys of the token. A key that cannot be used has the reason in place of its algorithm."""
        found = self.keys.listed()
        ours = [KeyFacts(key.label, str(key.algorithm), key.spki_sha256, key.extractable, key.sensitive) for key in found.keys]
        return [*ours, *(KeyFacts(key.label, key.described, b"", extractable=True, sensitive=False) for key in found.foreign)]

    def close(self) -> None:
        """Waits for documents in progress, then closes everything."""
        self._opened.close()


def _database(settings: SignerSettings, opened: ExitStack, *, urgent: bool) -> Database:
    """With a connection for each thread that works on documents."""
    connections = settings.workers.threads + settings.sandbox.workers + _SPARE_CONNECTIONS
    database = connect(settings.database.url, pool_size=connections, by_key=True, urgent=urgent)
    opened.callback(database.dispose)
    return database


def _uses(settings: SignerSettings, context: ProcessContext, database: Database, clock: Clock, reached: Reached) -> UseStore:
    return UseStore(
        database,
        clock,
        instance=settings.instance,
        boot=context.boot,
        worker=context.worker,
        lease_s=settings.limits.lease_s,
        urgent=context.urgent,
        reached=reached,
    )


def _clock_watch(settings: TimestampSettings, metrics: SignerMetrics, clock: Clock, opened: ExitStack) -> ClockWatch:
    watch = opened.enter_context(closing(ClockWatch(settings.clock, accuracy_ms=settings.accuracy_ms, clock=clock, chrony=settings.chrony)))
    watch.start()
    clock_metrics(metrics.registry, watch)
    return watch


@dataclass(frozen=True)
class _Unit:
    """What the signer's own timestamp unit needs."""

    token: Token
    latest: SharedLatest
    keys: SealKeys
    watch: ClockWatch


def _timestamps(settings: TimestampSettings, own: _Unit, metrics: SignerMetrics, clock: Clock) -> TimestampSource:
    """The signer's own unit directly, unless an outside TSA is configured."""
    if settings.is_own_alone:
        return _own_unit(settings, own, metrics, clock)
    # Only workers with an outside TSA load the client's libraries.
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
