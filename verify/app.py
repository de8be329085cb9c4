"""The verification service: sandbox, CRLs and ledger in the background, HTTP and gRPC in front."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.http import HttpEndpoint
from sealcore.platform.ledger.reader import LogReader
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.periodic import NOW, Periodic
from sealcore.platform.renewal import Renewal
from sealcore.platform.rpc.endpoint import RpcEndpoint
from sealcore.platform.service import Composed, Part, Steps
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


class LedgerFollower:
    """Reads the log ahead, so that most questions find their answer at hand. The log need not be there."""

    def __init__(self, ledger: PublicLedger) -> None:
        self._ledger = ledger
        self._size: int | None = None
        self._task = Periodic("ledger", self._round, FOLLOW_S, first_s=NOW, failing="ledger not read")

    def start(self) -> None:
        """Begins to read."""
        self._task.start()

    def stop(self) -> None:
        """Ends; a fetch that is under way is left to its timeout."""
        self._task.stop(within_s=0)

    @property
    def state(self) -> dict[str, Any]:
        """How it is, for /healthz: the last pass's outcome, and how many entries were read so far."""
        size = {} if self._size is None else {"size": self._size}
        if self._task.fault is not None:
            return {"status": str(self._task.fault.code), **size}
        return {"status": "ok" if size else "not read yet", **size}

    def _round(self) -> None:
        self._size = self._ledger.follow().size


@dataclass(frozen=True)
class Health:
    """How the parts are that findings depend on.

    wanted  how many CRLs there should be; ``follower`` is None where no ledger is configured
    """

    crls: CrlStore
    wanted: int
    follower: LedgerFollower | None
    clock: Clock

    def report(self) -> dict[str, Any]:
        """For /healthz. ``degraded`` still answers, but finds nothing valid or authorised until the part is back."""
        now, current, ledger = self.clock.now(), self._current(), self._ledger()
        healthy = current == self.wanted and self.wanted > 0 and ledger["status"] in ("ok", "not asked")
        return {
            "status": "ok" if healthy else "degraded",
            "time": written(now.replace(microsecond=0)),
            "crls": {"current": current, "wanted": self.wanted},
            "ledger": ledger,
        }

    def require_crls(self) -> None:
        """REVOCATION_UNAVAILABLE while one is missing or out of date."""
        current = self._current()
        if current != self.wanted or not self.wanted:
            reason = f"{current} of {self.wanted} CRLs are current; nothing is found valid"
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, reason)

    def require_log(self) -> None:
        """SERVICE_UNAVAILABLE while the log is not read."""
        status = self._ledger()["status"]
        if status not in ("ok", "not asked"):
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the public log is not read ({status}); nothing is found authorised")

    def _current(self) -> int:
        now = self.clock.now()
        return sum(crl.next_update_utc is not None and crl.next_update_utc >= now for crl in self.crls.current())

    def _ledger(self) -> dict[str, Any]:
        return {"status": "not asked"} if self.follower is None else self.follower.state


def build(settings: VerifySettings, *, clock: Clock) -> Composed:
    """The service; raises CONFIGURATION_INVALID for trust files or keys that cannot be used. CA, log and signer need not be there."""
    with ExitStack() as opened:
        trust, metrics, sandbox = settings.trust.load(), Metrics(), Sandbox(service=settings.sandbox)
        crls = CrlStore(trust, settings.trust.crl_urls, settings.trust.crl_cache)
        parts: list[Part] = [Steps(sandbox.start, sandbox.close), crls]
        link = None
        if settings.tls is not None:
            parts.append(Renewal(settings.tls, clock, metrics.registry))
            if settings.signer_target:
                link = SignerLink(settings.signer_target, settings.tls)
                opened.callback(link.close)
        ledger = follower = None
        if settings.ledger is not None:
            reader = LogReader(settings.ledger.url, settings.ledger.log_key, settings.ledger.witness_key)
            ledger = PublicLedger(reader, clock, link)
            follower = LedgerFollower(ledger)
            parts.append(follower)
        health = Health(crls, len(settings.trust.crl_urls), follower, clock)
        verification = Verification(trust, crls, ledger, sandbox.read, limits=settings.limits, metrics=metrics, clock=clock)
        app = create_app(verification, settings.office, health.report)
        parts.append(RpcEndpoint(lambda: create_server(verification, settings.listen_rpc, settings.rpc_tls)))
        parts.append(HttpEndpoint(app, settings.listen_http, limits=settings.http, metrics=metrics.http))
        checks = {"crls": health.require_crls, "ledger": health.require_log, "sandbox": sandbox.check}
        return Composed(parts, ObservabilityEndpoint(settings.metrics, metrics.registry, checks), opened.pop_all())
