"""The signer's composition root: everything is made here from the settings, and closed here.

This is the front process: it takes calls, keeps the register and serves the ledger. Keys are opened by its workers alone
(``signer.worker``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from sqlalchemy import Engine as Database

import hsm_config.inventory
from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, database_answers
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics, snapshot
from sealcore.platform.migrate import scripts, upgrade
from sealcore.platform.observability import Check, ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.revocation import CrlWatch
from sealcore.platform.rpc import server
from sealcore.protocol.signed_note import SignedCheckpoint, VerifierKey, verify_log, verify_witness
from signer.acts.perform import Performer
from signer.api.certificate_requests import CertificateRequests, OwnCa
from signer.api.examination import Examination
from signer.api.ledger_rpc import LedgerService
from signer.api.register_rpc import KeyPurposes, RegisterService
from signer.api.signer_rpc import RULES, SignerService, TokenGate, add_signer_service
from signer.front.budget import ByteBudget
from signer.front.dispatcher import Dispatcher
from signer.front.fatal import FatalDocuments
from signer.front.stream import Streams
from signer.front.workers import STANDARD_COMMAND
from signer.metrics import SignerMetrics
from signer.pipeline.examiner import Examiner
from signer.pipeline.sandbox import server as sandbox_server
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

GRACE_S = 5.0  # for calls other than streams, which the dispatcher waits for
FORGET_EVERY_S = 3600.0
REQUESTS_AT_ONCE = 8  # short blocking calls, of the register and the ledger
ASK_S = 5.0
METRICS_S = 1.0  # a frozen worker must not delay the metrics of the others
_SERVICES = tuple(
    descriptor.full_name
    for file, name in ((signer_pb2, "Signer"), (signer_pb2, "Register"), (ledger_pb2, "Ledger"))
    for descriptor in (file.DESCRIPTOR.services_by_name[name],)
)


@dataclass(frozen=True)
class _Held:
    """What is opened at the start and closed at the end."""

    database: Database
    examiner: Examiner
    examination: Examination
    crl: CrlWatch
    retention: Retention
    register: RegisterStore
    metrics: SignerMetrics
    status: StatusWatch


class SignerProcess:
    """The running signer."""

    def __init__(self, settings: SignerSettings, held: _Held, performer: Performer, dispatcher: Dispatcher, *, clock: Clock) -> None:
        self._settings = settings
        self._held = held
        self._performer = performer
        self._dispatcher = dispatcher
        self._clock = clock
        self._requests = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="request")
        self._renewal = Renewal(settings.tls, clock, held.metrics.registry)
        self._watch = _clock_watch(settings.timestamp, clock)
        checks: dict[str, Check] = {
            "database": database_answers(held.database),
            "workers": self._workers_serve,
            "revocation": held.crl.require_current,
        }
        held.crl.measure(held.metrics.registry)
        if settings.timestamp.is_own_alone:  # an outside TSA has a clock of its own
            checks["clock"] = self._watch.require
        self._endpoint = ObservabilityEndpoint(settings.metrics, self._snapshots, checks, notes={"clock": self._watch.note})
        self._streams: Streams | None = None
        self._rpc: Any = None
        self._ending = threading.Event()
        self._log = get_log("signer")

    async def start(self) -> None:
        """Starts the workers, then serves."""
        held, settings = self._held, self._settings
        await self._dispatcher.start()
        self._watch.start()
        held.crl.start()
        held.status.start(held.metrics)
        self._renewal.start()
        calls = CallMetrics(held.metrics.registry, "rpc")
        self._rpc = server(settings.tls, RULES, held.crl, target=settings.listen.target, metrics=calls)
        limits = settings.limits
        budget = ByteBudget(limits.in_flight_bytes, limits.share_bytes, held.metrics.held_bytes.set)
        self._streams = Streams(self._dispatcher, budget, held.metrics, largest_document_bytes=settings.limits.document_bytes)
        token_gate = TokenGate(held.register, self._clock, audience=settings.audience)
        add_signer_service(self._rpc, SignerService(self._streams, token_gate, held.examination, held.retention, self._requests))
        register = RegisterService(
            store=held.register,
            performer=self._performer,
            retention=held.retention,
            keys=self._keys,
            purposes=_purposes(),
            requests=self._certificate_requests(),
            examiner=held.examiner,
            metrics=held.metrics,
            clock=self._clock,
            executor=self._requests,
        )
        signer_pb2_grpc.add_RegisterServicer_to_server(register, self._rpc)  # type: ignore[no-untyped-call]
        ledger = LedgerService(held.database, self._clock, self._requests)
        ledger_pb2_grpc.add_LedgerServicer_to_server(ledger, self._rpc)  # type: ignore[no-untyped-call]
        healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]
        for name in ("", *_SERVICES):
            await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, self._rpc)
        reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._rpc)
        await self._rpc.start()
        await self._endpoint.start()
        threading.Thread(target=self._housekeeping, name="housekeeping", daemon=True).start()

    async def stop(self) -> None:
        """Accepts nothing new, finishes and answers what was accepted, then closes everything."""
        self._ending.set()
        self._endpoint.readiness.drain()
        if self._streams is not None:
            self._streams.stop()
        await self._dispatcher.drain()
        if self._rpc is not None:
            await self._rpc.stop(GRACE_S)
        await self._dispatcher.stop()
        self._requests.shutdown()
        await asyncio.to_thread(self._watch.close)
        await self._endpoint.stop()
        held = self._held
        self._renewal.stop()
        held.crl.stop()
        held.status.stop()
        held.examiner.close()
        held.examination.close()
        held.database.dispose()

    async def _snapshots(self) -> Mapping[str, bytes]:
        """Metrics of the front and of every worker that answers."""
        return {"front": snapshot(self._held.metrics.registry), **await self._dispatcher.ask_all("metrics", METRICS_S)}

    async def _keys(self) -> list[KeyFacts]:
        return decode_keys(await self._dispatcher.ask_one("keys", ASK_S))

    def _certificate_requests(self) -> CertificateRequests:
        async def make(label: str, common_name: str, organization: str) -> bytes:
            return await self._dispatcher.ask_one("request", ASK_S, label=label, common_name=common_name, organization=organization)

        settings = self._settings
        ca = OwnCa(settings.tls.ca_target, settings.tls) if settings.tls.ca_target else None
        declared = [key.label for key in hsm_config.inventory.load().keys_of("signer")]
        return CertificateRequests(make, declared=declared, database=self._held.database, ca=ca, executor=self._requests, clock=self._clock)

    async def _workers_serve(self) -> None:
        self._dispatcher.require_lanes()

    def _housekeeping(self) -> None:
        while True:
            try:
                self._held.retention.delete_due()
            except VermilionError as fault:
                self._log.warning("housekeeping put off", code=str(fault.code))
            if self._ending.wait(FORGET_EVERY_S):
                return


def build(
    settings: SignerSettings,
    *,
    clock: Clock,
    worker_command: Sequence[str] = STANDARD_COMMAND,
    reached: Reached = lambda _step: None,
) -> SignerProcess:
    """Opens the database, compares what must agree, and makes the process.

    Raises CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, REGISTER_INCONSISTENT, LEDGER_INCONSISTENT; ``start`` also HSM_*.
    ``worker_command`` are Python's arguments for a worker, ``reached`` is called with the front's steps: for tests.
    """
    if settings.limits.in_flight_bytes < settings.limits.document_bytes:
        raise VermilionError(Code.CONFIGURATION_INVALID, "limits: in_flight_bytes must hold at least one document of document_bytes")
    with ExitStack() as opened:
        database = connect(settings.database.url, pool_size=REQUESTS_AT_ONCE, by_key=True)
        opened.callback(database.dispose)
        upgrade(database, scripts("signer"))
        register = RegisterStore(database, audience=settings.audience)
        register.load()
        size = consistency.check(database, _checkpoint(settings.checkpoint) if settings.checkpoint else None)
        get_log("signer").info("register and ledger agree", acts=register.current().version, entries=size)
        examiner = Examiner()
        revocations = SealRevocations(settings.trust.seals_chain_file, settings.trust.seals_crl_url, clock)
        outside = Outside(settings.trust.seals_chain_file)
        status = StatusWatch(settings.trust.outside, outside, register, StatusStore(database), clock)
        performer = Performer(register, revocations, status, examiner, clock, audience=settings.audience)
        fatal, metrics = FatalDocuments(database, clock), SignerMetrics(clock)
        fatal.load()
        largest_bytes = settings.limits.document_bytes
        examination = Examination(register, fatal, metrics, settings.examine, largest_document_bytes=largest_bytes)
        held = _Held(database, examiner, examination, CrlWatch(settings.tls, clock), Retention(database, clock), register, metrics, status)
        sandbox = sandbox_server() if settings.sandbox.ahead else None
        dispatcher = Dispatcher(settings, held.metrics, worker_command, fatal, reached, sandbox=sandbox)
        process = SignerProcess(settings, held, performer, dispatcher, clock=clock)
        opened.pop_all()
    return process


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


def _purposes() -> KeyPurposes:
    declared = hsm_config.inventory.load().keys_of("signer")
    return KeyPurposes({key.label: (key.purpose, key.owner) for key in declared})
