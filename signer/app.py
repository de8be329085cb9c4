"""The signer's composition root: everything is made here from the settings, and closed here.

This is the front process: it takes calls, keeps the register and serves the ledger. Keys are opened by its workers alone
(``signer.worker``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine as Database

import hsm_config.inventory
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, database_answers
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics, snapshot
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.observability import Check, ObservabilityEndpoint
from sealcore.platform.periodic import NOW, Periodic
from sealcore.platform.prefork import Prefork
from sealcore.platform.renewal import Renewal
from sealcore.platform.revocation import CrlWatch
from sealcore.platform.rpc.endpoint import RpcEndpoint
from sealcore.platform.rpc.server import server
from sealcore.platform.service import Composed, Steps
from sealcore.platform.storage import Storage
from sealcore.protocol.signed_note import SignedCheckpoint, VerifierKey, verify_log, verify_witness
from signer.acts.perform import Performer
from signer.api.ca_link import OwnCa
from signer.api.certificate_requests import CertificateRequests
from signer.api.examination import Examination
from signer.api.ledger_rpc import LEDGER, LedgerService, add_ledger_service
from signer.api.register_rpc import REGISTER, KeyPurposes, RegisterService, add_register_service
from signer.api.signer_rpc import RULES, SIGNER, SignerService, TokenGate, add_signer_service
from signer.front.budget import ByteBudget
from signer.front.dispatcher import Dispatcher
from signer.front.fatal import FatalDocuments
from signer.front.stream import Streams
from signer.front.workers import STANDARD_COMMAND
from signer.metrics import SignerMetrics
from signer.pipeline.dry_run import DryRun
from signer.pipeline.examiner import Examiner
from signer.register import consistency
from signer.register.consistency import KnownCheckpoint
from signer.register.store import RegisterStore
from signer.settings import CheckpointSettings, SignerSettings, TimestampSettings
from signer.status.judge import Outside
from signer.status.revocation import SealRevocations
from signer.status.store import StatusStore
from signer.status.watch import StatusWatch
from signer.uses.retention import Retention
from signer.uses.store import Reached
from signer.worker.status import KeyFacts, decode_keys
from timestamp.clock_watch import ClockWatch

FORGET_EVERY_S = 3600.0
REQUESTS_AT_ONCE = 8  # short blocking calls, of the register and the ledger
ASK_S = 5.0
METRICS_S = 1.0  # a frozen worker must not delay the metrics of the others


@dataclass(frozen=True)
class _Held:
    """What the services answer from."""

    database: Database
    examiner: Examiner
    examination: Examination
    crl: CrlWatch
    retention: Retention
    register: RegisterStore
    metrics: SignerMetrics
    requests: ThreadPoolExecutor  # short blocking calls
    storage: Storage


class Front:
    """What callers reach: the gRPC services, over the dispatcher that hands documents to the workers."""

    def __init__(self, settings: SignerSettings, held: _Held, performer: Performer, dispatcher: Dispatcher, *, clock: Clock) -> None:
        self._settings = settings
        self._held = held
        self._performer = performer
        self._dispatcher = dispatcher
        self._clock = clock
        limits = settings.limits
        budget = ByteBudget(limits.in_flight_bytes, limits.share_bytes, held.metrics.held_bytes.set)
        self._streams = Streams(dispatcher, budget, held.metrics, largest_document_bytes=limits.document_bytes)
        self._rpc = RpcEndpoint(self._server, (SIGNER, REGISTER, LEDGER))

    async def start(self) -> None:
        """Accepts calls; the workers serve by now."""
        await self._rpc.start()

    async def stop(self) -> None:
        """Accepts nothing new; returns when what was accepted is finished and answered."""
        # In this order: no new documents, then the answers to those that are here, and only then
        # the connections they go out on.
        self._streams.stop()
        await self._dispatcher.drain()
        await self._rpc.stop()

    def _server(self) -> Any:
        held, settings = self._held, self._settings
        calls = CallMetrics(held.metrics.registry, "rpc")
        made = server(settings.tls, RULES, held.crl, target=settings.listen.target, metrics=calls)
        token_gate = TokenGate(held.register, self._clock, audience=settings.audience)
        add_signer_service(made, SignerService(self._streams, token_gate, held.examination, held.retention, held.requests))
        register = RegisterService(
            store=held.register,
            performer=self._performer,
            retention=held.retention,
            keys=self._keys,
            purposes=_purposes(settings),
            requests=self._certificate_requests(),
            examiner=held.examiner,
            metrics=held.metrics,
            storage=held.storage,
            clock=self._clock,
            executor=held.requests,
        )
        add_register_service(made, register)
        add_ledger_service(made, LedgerService(held.database, self._clock, held.requests))
        return made

    async def snapshots(self) -> Mapping[str, bytes]:
        """Metrics of the front and of every worker that answers."""
        return {"front": snapshot(self._held.metrics.registry), **await self._dispatcher.ask_all("metrics", METRICS_S)}

    async def _keys(self) -> list[KeyFacts]:
        return decode_keys(await self._dispatcher.ask_one("keys", ASK_S))

    def _certificate_requests(self) -> CertificateRequests:
        async def make(label: str, common_name: str, organization: str) -> bytes:
            return await self._dispatcher.ask_one("request", ASK_S, label=label, common_name=common_name, organization=organization)

        settings = self._settings
        ca = OwnCa(settings.tls.ca_target, settings.tls) if settings.tls.ca_target else None
        declared = [key.label for key in _declared(settings)]
        return CertificateRequests(
            make, declared=declared, database=self._held.database, ca=ca, executor=self._held.requests, clock=self._clock
        )

    async def workers_serve(self) -> None:
        """For readiness: raises what keeps a lane without a worker."""
        self._dispatcher.require_lanes()


def build(
    settings: SignerSettings,
    *,
    clock: Clock,
    worker_command: Sequence[str] = STANDARD_COMMAND,
    reached: Reached = lambda _step: None,
    prefork: Prefork | None = None,
) -> Composed:
    """Opens the database, compares what must agree, and makes the service.

    Raises CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, REGISTER_INCONSISTENT, LEDGER_INCONSISTENT; ``start`` also HSM_*.
    ``prefork`` has the first workers; without it all are spawned. ``worker_command`` are Python's arguments for a worker, ``reached`` is called
    with the front's steps: for tests.
    """
    if settings.limits.in_flight_bytes < settings.limits.document_bytes:
        raise VermilionError(Code.CONFIGURATION_INVALID, "limits: in_flight_bytes must hold at least one document of document_bytes")
    with ExitStack() as opened:
        database = connect(settings.database.url, pool_size=REQUESTS_AT_ONCE, by_key=True)
        opened.callback(database.dispose)
        upgrade(database, scripts("signer"))
        register = RegisterStore(database, audience=settings.audience)
        # Register and ledger are compared before the port opens: a signer whose database was
        # altered must not answer anybody.
        register.load()
        size = consistency.check(database, _checkpoint(settings.checkpoint) if settings.checkpoint else None)
        get_log("signer").info("register and ledger agree", acts=register.current().version, entries=size)
        examiner = Examiner(settings.sandbox.service)
        opened.callback(examiner.close)
        revocations = SealRevocations(settings.trust.seals_chain_file, settings.trust.seals_crl_url, clock)
        outside, metrics = Outside(settings.trust.seals_chain_file), SignerMetrics(clock)
        status = StatusWatch(settings.trust.outside, outside, register, StatusStore(database), metrics, clock=clock)
        storage = Storage.of(settings.database, settings.storage)
        storage.measure(metrics.registry)
        performer = Performer(register, revocations, status, examiner, clock, storage=storage, audience=settings.audience)
        fatal = FatalDocuments(database, clock)
        fatal.load()
        largest_bytes = settings.limits.document_bytes
        dry_run = DryRun(settings.sandbox.service)
        examination = Examination(register, fatal, metrics, settings.examine, dry_run, largest_document_bytes=largest_bytes)
        opened.callback(examination.close)
        requests = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="request")
        opened.callback(requests.shutdown)
        crl, retention = CrlWatch(settings.tls, clock), Retention(database, clock)
        crl.measure(metrics.registry)
        dispatcher = Dispatcher(settings, metrics, worker_command, fatal, reached, prefork=prefork)
        held = _Held(database, examiner, examination, crl, retention, register, metrics, requests, storage)
        front = Front(settings, held, performer, dispatcher, clock=clock)
        watch = _clock_watch(settings.timestamp, clock)
        parts = (
            storage,
            dispatcher,
            Steps(watch.start, watch.close),
            crl,
            status,
            Renewal(settings.tls, clock, metrics.registry),
            Periodic("housekeeping", retention.delete_due, FORGET_EVERY_S, first_s=NOW, failing="housekeeping put off", clock=clock),
            front,
        )
        return Composed(parts, _monitoring(settings, held, front, watch), opened.pop_all())


def _monitoring(settings: SignerSettings, held: _Held, front: Front, watch: ClockWatch) -> ObservabilityEndpoint:
    checks: dict[str, Check] = {
        "database": database_answers(held.database),
        "storage": held.storage.check,
        "workers": front.workers_serve,
        "revocation": held.crl.require_current,
    }
    if settings.sandbox.service is not None:
        checks["sandbox"] = held.examination.check
    if settings.timestamp.is_own_alone:  # an outside TSA has a clock of its own
        checks["clock"] = watch.require
    return ObservabilityEndpoint(settings.metrics, front.snapshots, checks, notes={"clock": watch.note})


def _checkpoint(settings: CheckpointSettings) -> KnownCheckpoint | None:
    """The last checkpoint; None before the first. The log's signature suffices: a witness may not have cosigned it yet."""
    try:
        data = settings.file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the checkpoint {settings.file.name} cannot be read: {fault.strerror}") from None
    signed = SignedCheckpoint.parse(data)
    verify_log(signed, VerifierKey.parse(settings.log_key))
    witness = VerifierKey.parse(settings.witness_key)
    if signed.by(witness):
        verify_witness(signed, witness)
    return KnownCheckpoint(signed.checkpoint.size, signed.checkpoint.root)


def _clock_watch(settings: TimestampSettings, clock: Clock) -> ClockWatch:
    """For the front; workers, which make the timestamps, have their own."""
    return ClockWatch(settings.clock, accuracy_ms=settings.accuracy_ms, clock=clock, chrony=settings.chrony)


def _purposes(settings: SignerSettings) -> KeyPurposes:
    return KeyPurposes({key.label: (key.purpose, key.owner) for key in _declared(settings)})


def _declared(settings: SignerSettings) -> tuple[hsm_config.inventory.DeclaredKey, ...]:
    """The keys that the office declares for the signer's token."""
    return hsm_config.inventory.load(settings.inventory_file or hsm_config.inventory.INVENTORY_FILE).keys_of("signer")
