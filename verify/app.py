"""The verification service: sandbox, CRLs and ledger in the background, HTTP and gRPC in front."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.log_reader import LogReader
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.service import HttpEndpoint
from verify.crls import CrlStore
from verify.log_view import PublicLedger
from verify.report import written
from verify.rpc import create_server
from verify.sandbox import Sandbox
from verify.service import Metrics, Verification
from verify.settings import VerifySettings
from verify.signer_link import SignerLink
from verify.web.app import create_app

FOLLOW_S = 2.0  # how often the log is read ahead of questions
STOP_GRACE_S = 5.0


class LedgerFollower:
    """Reads the log ahead, so that most questions find their answer at hand."""

    def __init__(self, ledger: PublicLedger) -> None:
        self._ledger = ledger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ledger", daemon=True)
        self._log = get_log("ledger")
        self.state: dict[str, Any] = {"status": "not read yet"}

    def start(self) -> None:
        """Begins to read; the log need not be there."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the present pass."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.state = {"status": "ok", "size": self._ledger.follow().size}
            except VermilionError as fault:
                if self.state.get("status") != str(fault.code):
                    self._log.warning("ledger not read", code=str(fault.code), reason=fault.reason)
                self.state = {**self.state, "status": str(fault.code)}
            self._stop.wait(FOLLOW_S)


class VerifyService:
    """The running service."""

    def __init__(self, settings: VerifySettings, *, clock: Clock) -> None:
        self._clock = clock
        trust = settings.trust.load()
        self._crls = CrlStore(trust, settings.trust.crl_urls, settings.trust.crl_cache)
        self._link = SignerLink(settings.signer_target, settings.tls) if settings.signer_target and settings.tls else None
        metrics = Metrics()
        self._renewal = Renewal(settings.tls, clock, metrics.registry) if settings.tls else None
        ledger = None
        if settings.ledger is not None:
            reader = LogReader(settings.ledger.url, settings.ledger.log_key, settings.ledger.witness_key)
            ledger = PublicLedger(reader, clock, self._link)
        self._follower = LedgerFollower(ledger) if ledger is not None else None
        self._sandbox = Sandbox()
        self._verification = Verification(
            trust, self._crls, ledger, self._sandbox.read, limits=settings.limits, metrics=metrics, clock=clock
        )
        self._settings = settings
        app = create_app(self._verification, settings.office, self.health)
        self._endpoint = HttpEndpoint(app, settings.listen_http, metrics=metrics.http)
        self._monitoring = ObservabilityEndpoint(settings.metrics, metrics.registry, {"crls": self._crls_current, "ledger": self._log_read})
        self._rpc: Any = None

    async def start(self) -> None:
        """Returns once both doors are open; CA, log and signer need not be there."""
        await asyncio.to_thread(self._sandbox.start)
        await asyncio.to_thread(self._crls.refresh)
        self._crls.start()
        if self._renewal is not None:
            self._renewal.start()
        if self._follower is not None:
            self._follower.start()
        self._rpc = create_server(self._verification, self._settings.listen_rpc, self._settings.rpc_tls)
        await self._rpc.start()
        await self._endpoint.start()
        await self._monitoring.start()

    async def stop(self) -> None:
        """Lets running verifications end, then gives everything back."""
        self._monitoring.readiness.drain()
        await self._endpoint.stop()
        if self._rpc is not None:
            await self._rpc.stop(STOP_GRACE_S)
        await self._monitoring.stop()
        self._crls.stop()
        if self._renewal is not None:
            self._renewal.stop()
        if self._follower is not None:
            self._follower.stop()
        if self._link is not None:
            self._link.close()
        await asyncio.to_thread(self._sandbox.close)

    def health(self) -> dict[str, Any]:
        """How the parts are. ``degraded`` still answers, but finds nothing valid or authorised until the part is back."""
        now = self._clock.now()
        crls = self._crls.current()
        current = sum(crl.next_update_utc is not None and crl.next_update_utc >= now for crl in crls)
        ledger = self._follower.state if self._follower is not None else {"status": "not asked"}
        wanted = len(self._settings.trust.crl_urls)
        healthy = current == wanted and wanted > 0 and ledger["status"] in ("ok", "not asked")
        return {
            "status": "ok" if healthy else "degraded",
            "time": written(now.replace(microsecond=0)),
            "crls": {"current": current, "wanted": wanted},
            "ledger": ledger,
        }

    def _crls_current(self) -> None:
        found = self.health()["crls"]
        if found["current"] != found["wanted"] or not found["wanted"]:
            raise VermilionError(
                Code.REVOCATION_UNAVAILABLE, f"{found['current']} of {found['wanted']} CRLs are current; nothing is found valid"
            )

    def _log_read(self) -> None:
        status = self.health()["ledger"]["status"]
        if status not in ("ok", "not asked"):
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the public log is not read ({status}); nothing is found authorised")


def build(settings: VerifySettings, *, clock: Clock) -> VerifyService:
    """The service; raises CONFIGURATION_INVALID for trust files or keys that cannot be used."""
    return VerifyService(settings, clock=clock)
