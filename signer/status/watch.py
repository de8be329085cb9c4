"""Periodically asks outside CAs about the seals' certificates, and stores the answers for all workers and replicas."""

from __future__ import annotations

from typing import Final

from sealcore.clock import Clock
from sealcore.errors import VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import Periodic, progress
from signer.metrics import SignerMetrics
from signer.register.model import Seal
from signer.register.store import RegisterStore
from signer.settings import OutsideCaSettings
from signer.status.answers import Answer, Link
from signer.status.judge import Outside, require_good
from signer.status.sources import Sources
from signer.status.store import StatusStore

ROUND_S: Final = 1.0  # the certificate of a new seal is asked about within this time


class StatusWatch:
    """A task of the front. Asks about each certificate every ``refresh_s``, and after a failure in the next round but one."""

    def __init__(
        self,
        settings: OutsideCaSettings,
        outside: Outside,
        register: RegisterStore,
        store: StatusStore,
        metrics: SignerMetrics,
        *,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._outside = outside
        self._register = register
        self._store = store
        self._clock = clock
        self._sources = Sources(settings, clock)
        self._due_s: dict[bytes, float] = {}
        self._silent: dict[bytes, VermilionError] = {}  # certificates whose CA gave no answer the last time, and why
        self._task = Periodic("seal-status", self._round, ROUND_S, failing="seals' certificates not looked at", clock=clock)
        self._metrics = metrics
        self._log = get_log("status")

    def start(self) -> None:
        """Asks periodically from now on."""
        self._task.start()

    def stop(self) -> None:
        """Stops; does not wait for a request in progress."""
        self._task.stop(within_s=0)

    def ask_now(self, seal: Seal) -> None:
        """Asks about a seal's certificates and stores the answers; raises as ``judge.require_good``. Does nothing for a seal of our own CA."""
        for link in self._outside.links(seal):
            require_good(self._ask(link), link, seal.id, self._clock)

    def is_outside(self, seal: Seal) -> bool:
        """Whether its certificate is an outside CA's."""
        return bool(self._outside.links(seal))

    def _round(self) -> VermilionError | None:
        seals = [seal for seal in self._register.current().seals.values() if seal.state != "retired"]
        links = {link.id: link for seal in seals for link in self._outside.links(seal)}
        self._silent = {id: fault for id, fault in self._silent.items() if id in links}
        for link in links.values():
            if self._task.stopping or self._clock.monotonic_s() < self._due_s.get(link.id, 0.0):
                continue
            progress()
            try:
                answer = self._ask(link)
            except Exception as raised:  # noqa: BLE001  (what one CA sends must not keep the others from being asked)
                self._due_s[link.id] = self._clock.monotonic_s() + min(self._settings.refresh_s, self._settings.retry_s)
                self._fail(link, typed(raised))
                continue
            self._silent.pop(link.id, None)
            self._due_s[link.id] = self._clock.monotonic_s() + self._settings.refresh_s
            self._count("revoked" if answer.revoked else "good")
            if answer.revoked:
                self._log.error("a seal's certificate is revoked by its CA", serial=f"{link.certificate.serial_number:x}")
        return next(iter(self._silent.values()), None)

    def _fail(self, link: Link, fault: VermilionError) -> None:
        """Said once an outage and whenever its reason changes; counted each time."""
        before, self._silent[link.id] = self._silent.get(link.id), fault
        if before is None or before.reason != fault.reason:
            serial = f"{link.certificate.serial_number:x}"
            self._log.warning("no answer about a seal's certificate", serial=serial, code=str(fault.code), reason=fault.reason)
        self._count("failed")

    def _ask(self, link: Link) -> Answer:
        answer = self._sources.ask(link)
        self._store.put(link, answer)
        return answer

    def _count(self, outcome: str) -> None:
        self._metrics.status_answers.labels(outcome).inc()
