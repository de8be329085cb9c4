"""The signer process: its one composition root, and how it starts and stops."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server
from sqlalchemy import Engine as Database

import hsm_config.inventory
from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.clock import Clock
from sealcore.db import connect
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.ledger.note import SignedCheckpoint, VerifierKey, verify_log, verify_witness
from sealcore.log import get as get_log
from sealcore.migrate import scripts, upgrade
from sealcore.revocation import CrlWatch
from sealcore.rpc import server
from signer import consistency
from signer.bulk import Sealing
from signer.consistency import KnownCheckpoint
from signer.engine import Engine, Parts, Reached
from signer.examiner import Examiner
from signer.kept import KeptUses
from signer.keys import SealKeys
from signer.ledger_rpc import LedgerService
from signer.metrics import SignerMetrics
from signer.perform import Performer
from signer.register_rpc import KeyPurposes, RegisterService
from signer.register_store import RegisterStore
from signer.revocation import SealRevocations
from signer.rpc import RULES, SignerService
from signer.sandbox import Sandbox
from signer.settings import CheckpointSettings, SignerSettings, TimestampSettings
from signer.stream import ByteBudget
from signer.uses import UseStore
from timestamp.unit import TimestampUnit

GRACE_S = 30.0  # running batches end; what is not committed by then is taken over by the next process
FORGET_EVERY_S = 3600.0
BATCHES_AT_ONCE = 8  # of all streams; their documents share the sandbox's workers
REQUESTS_AT_ONCE = 8  # short blocking calls beside them, so that a stop never waits behind a batch
_SERVICES = tuple(
    descriptor.full_name
    for file, name in ((signer_pb2, "Signer"), (signer_pb2, "Register"), (ledger_pb2, "Ledger"))
    for descriptor in (file.DESCRIPTOR.services_by_name[name],)
)


@dataclass(frozen=True)
class _Held:
    """What is opened at the start and given back at the end."""

    token: Token
    database: Database
    sandbox: Sandbox
    examiner: Examiner
    keys: SealKeys
    engine: Engine
    crl: CrlWatch
    kept: KeptUses
    register: RegisterStore
    metrics: SignerMetrics


class SignerProcess:
    """The running signer."""

    def __init__(self, settings: SignerSettings, held: _Held, performer: Performer, clock: Clock) -> None:
        self._settings = settings
        self._held = held
        self._performer = performer
        self._clock = clock
        self._batches = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="batch")
        self._requests = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="request")
        self._rpc: Any = None
        self._metrics_server: Any = None
        self._ending = threading.Event()
        self._log = get_log("signer")

    async def start(self) -> None:
        """Starts the sandbox of documents, then serves."""
        held, settings = self._held, self._settings
        held.sandbox.start()
        held.crl.start()
        self._rpc = server(settings.tls, RULES, held.crl, target=settings.listen.target)
        budget = ByteBudget(settings.limits.in_flight_bytes, held.metrics.held_bytes.set)
        sealing = Sealing(held.engine, self._batches, budget, settings.limits.batch, settings.limits.document_bytes)
        signer_pb2_grpc.add_SignerServicer_to_server(SignerService(sealing, held.kept, self._requests), self._rpc)  # type: ignore[no-untyped-call]
        register = RegisterService(
            store=held.register,
            performer=self._performer,
            kept=held.kept,
            keys=held.keys,
            purposes=_purposes(),
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
        if settings.metrics is not None:
            self._metrics_server, _ = start_http_server(settings.metrics.port, settings.metrics.host, held.metrics.registry)
        threading.Thread(target=self._housekeeping, name="housekeeping", daemon=True).start()

    async def stop(self) -> None:
        """Takes nothing new, lets running batches end, gives everything back."""
        self._ending.set()
        if self._rpc is not None:
            await self._rpc.stop(GRACE_S)
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
        self._batches.shutdown()
        self._requests.shutdown()
        held = self._held
        held.engine.close()
        held.crl.stop()
        held.examiner.close()
        held.sandbox.close()
        held.keys.close()
        held.token.close()
        held.database.dispose()

    def _housekeeping(self) -> None:
        while True:
            try:
                self._held.kept.forget()
            except VermilionError as fault:
                self._log.warning("housekeeping put off", code=str(fault.code))
            if self._ending.wait(FORGET_EVERY_S):
                return


def build(settings: SignerSettings, *, clock: Clock, reached: Reached = lambda _step: None) -> SignerProcess:
    """Opens database and token, compares what must agree, and makes the process.

    Raises CONFIGURATION_INVALID, DATABASE_UNAVAILABLE, HSM_*, REGISTER_INCONSISTENT, LEDGER_INCONSISTENT. ``reached`` is told
    each step of a document's way (``engine.Reached``).
    """
    if settings.limits.in_flight_bytes < settings.limits.document_bytes:
        raise VermilionError(Code.CONFIGURATION_INVALID, "limits: in_flight_bytes must hold at least one document of document_bytes")
    with ExitStack() as opened:
        database = connect(settings.database.url, pool_size=BATCHES_AT_ONCE + REQUESTS_AT_ONCE)
        opened.callback(database.dispose)
        upgrade(database, scripts("signer"))
        register = RegisterStore(database, audience=settings.audience)
        register.load()
        size = consistency.check(database, _checkpoint(settings.checkpoint) if settings.checkpoint else None)
        get_log("signer").info("register and ledger agree", acts=register.current().version, entries=size)
        token = Token.open(settings.token)
        opened.callback(token.close)
        process = _assemble(settings, clock=clock, reached=reached, database=database, register=register, token=token)
        opened.pop_all()
    return process


def _assemble(
    settings: SignerSettings, *, clock: Clock, reached: Reached, database: Database, register: RegisterStore, token: Token
) -> SignerProcess:
    limits, workers = settings.limits, settings.sandbox.workers
    metrics, examiner = SignerMetrics(clock), Examiner()
    keys = SealKeys(token, workers=max(workers, settings.token.sessions), timeout_s=limits.hsm_s)
    sandbox = Sandbox(largest_document_bytes=limits.document_bytes, workers=workers)
    parts = Parts(
        database=database,
        register=register,
        uses=UseStore(database, clock, instance=settings.instance, lease_s=limits.lease_s),
        keys=keys,
        unit=_timestamp_unit(settings.timestamp, token, clock),
        sandbox=sandbox,
        examiner=examiner,
        metrics=metrics,
        clock=clock,
        audience=settings.audience,
        largest_document_bytes=limits.document_bytes,
        workers=workers,
        reached=reached,
    )
    revocations = SealRevocations(settings.trust.seals_chain_file, settings.trust.seals_crl_url, clock)
    performer = Performer(register, revocations, examiner, clock, audience=settings.audience)
    crl, kept = CrlWatch(settings.tls, clock), KeptUses(database, clock)
    held = _Held(token, database, sandbox, examiner, keys, Engine(parts), crl, kept, register, metrics)
    return SignerProcess(settings, held, performer, clock)


def _timestamp_unit(settings: TimestampSettings, token: Token, clock: Clock) -> TimestampUnit:
    certificate, *_ = _certificates(settings.certificate_file)
    return TimestampUnit(
        token.key(settings.key_label),
        certificate,
        _certificates(settings.chain_file),
        policy_oid=settings.policy_oid,
        accuracy_ms=settings.accuracy_ms,
        clock=clock,
    )


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} holds no certificate that can be read") from None


def _checkpoint(settings: CheckpointSettings) -> KnownCheckpoint | None:
    """The last checkpoint; None before the first. One that the log signed counts even before a witness has cosigned it."""
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


def _purposes() -> KeyPurposes:
    declared = hsm_config.inventory.load().keys_of("signer")
    return KeyPurposes({key.label: (key.purpose, key.owner) for key in declared})
