"""An office of the benchmark: the real ceremony and the real services, started as ``make up`` does, in a folder of its own."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from benchmarks import processes
from benchmarks.signing import Limit
from sealcore.platform import db
from sealcore.platform.config import load
from sealcore.platform.http_client import HttpClient
from sealcore.platform.ledger.store import head
from signer.settings import SignerSettings
from vermilion.ceremony import ensure
from vermilion.operation.configuration import settings, write_all
from vermilion.operation.launcher import Launcher, require_ports, running
from vermilion.operation.ports import port_is_free
from vermilion.operation.programs import run
from vermilion.operation.service_settings import SIGNER_TSA
from vermilion.planning import examples
from vermilion.services import SERVICES, named
from vermilion.state import toml
from vermilion.state.layout import Layout
from vermilion.state.office import Office, SealPlan

MOST_METRICS_BYTES = 16 * 1024 * 1024
QUIET_SHARE = 0.05  # of a core: what the idle services may use together
QUIET_S, MOST_QUIETING_S = 0.5, 300.0
STAGE_CPU, STAGE_DOCUMENTS = "vermilion_signer_stage_cpu_seconds_total", "vermilion_signer_stage_documents_total"


@dataclass(frozen=True)
class Stage:
    """What the signer's metrics say of one stage, over all workers, since it started."""

    cpu_s: float
    documents: float


class BenchOffice:
    """Made by ``make``, run by ``with``, with as many bulk workers as cores until ``restart_signer`` says otherwise.

    ``without`` names services that are left out.
    """

    def __init__(self, folder: Path, *, ports_from: int, database_url: str | None = None, without: Collection[str] = ()) -> None:
        self.layout = Layout.at(folder)
        self._services = [service for service in SERVICES if service.name not in without]
        self._ports_from = ports_from
        self._database_url = database_url
        self._bulk_workers = processes.cores()

    def make(self) -> BenchOffice:
        """The key ceremony. A signer's database other than SQLite gets the same register, from the ceremony's own seed."""
        self.office: Office = ensure(self.layout, plan=examples.demo(), ports_from=self._ports_from)
        metrics_port = self._ports_from + 90
        while not port_is_free(metrics_port):
            metrics_port += 1
        self._metrics_port = metrics_port
        self._configure()
        if self._database_url is not None:
            seed = self.layout.ceremony / "seed" / "register.json"
            configuration, pictures = self.layout.config("signer"), self.layout.pki / "pictures"
            run("signer.ceremony", "--config", configuration, "--seed", seed, "--attachments", pictures)
        return self

    def __enter__(self) -> BenchOffice:
        with ExitStack() as stack:
            self._launcher = stack.enter_context(Launcher(self.layout, self._services))
            require_ports(self.office, self._services)
            self._configure()
            self._launcher.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._stack.close()

    def restart_signer(self, *, bulk_workers: int | None = None) -> None:
        """Ends the signer in order and starts it again, with so many bulk workers (as many as cores)."""
        self._bulk_workers = bulk_workers or processes.cores()
        self._configure()
        self._launcher.restart("signer")

    # --- what it is

    @property
    def settings(self) -> SignerSettings:
        """The signer's settings as it was started with."""
        return load(self.layout.config("signer"), SignerSettings)

    def seal(self, algorithm: str) -> SealPlan:
        """The seal whose key is of this algorithm: the office of the demo has one with RSA-2048 and one with P-256."""
        return self.office.seal({"rsa2048": "contract", "p256": "invoice"}[algorithm])

    def limit(self, algorithm: str) -> Limit:
        """The HSM limit for this seal, by as many processes as the signer has bulk workers."""
        return Limit(self.settings.token, (self.seal(algorithm).label, SIGNER_TSA), self._bulk_workers)

    def durability(self) -> str:
        """How commits of the signer's database are made durable; DATABASE_UNAVAILABLE when they are not."""
        engine = db.connect(self.settings.database.url)  # asserts it, as the signer does
        try:
            with db.read(engine) as connection:
                if engine.dialect.name == "sqlite":
                    value = connection.execute(text("PRAGMA synchronous")).scalar_one()
                    return f"SQLite journal_mode={connection.execute(text('PRAGMA journal_mode')).scalar_one()}, synchronous={value} (FULL)"
                said = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("synchronous_commit", "fsync")}
                return "PostgreSQL " + ", ".join(f"{name}={value}" for name, value in said.items())
        finally:
            engine.dispose()

    # --- what it costs

    def pid(self, service: str) -> int:
        """Process id of a running service."""
        return self.pids()[service]

    def pids(self) -> dict[str, int]:
        """Process ids of the running services by name."""
        return {one.service: one.pid for one in running(self.layout)}

    def signer_cpu(self) -> dict[str, float]:
        """CPU seconds of the signer by part; of the service that reads documents for it as ``sandboxes``."""
        sandboxes = sum(processes.cpu_seconds(self.pid("sandbox")).values())
        return processes.cpu_seconds(self.pid("signer")) | {"sandboxes": sandboxes}

    def sealing_pids(self) -> list[int]:
        """Of the services that have a document in memory while it is sealed."""
        return [self.pid("signer"), self.pid("sandbox")]

    def stages(self) -> dict[str, Stage]:
        """The signer's own account by stage; empty when it keeps none."""
        answer = HttpClient(within_s=10).ask("GET", f"http://127.0.0.1:{self._metrics_port}/metrics", most_bytes=MOST_METRICS_BYTES)
        sums: dict[str, dict[str, float]] = {STAGE_CPU: {}, STAGE_DOCUMENTS: {}}
        for family in text_string_to_metric_families(answer.body.decode()):
            for sample in family.samples:
                if sample.name in sums:
                    counted, stage = sums[sample.name], sample.labels["stage"]
                    counted[stage] = counted.get(stage, 0.0) + sample.value
        return {name: Stage(cpu_s, sums[STAGE_DOCUMENTS].get(name, 0.0)) for name, cpu_s in sums[STAGE_CPU].items()}

    def quiet(self) -> None:
        """Waits until the log has published all that was sealed and the services use no CPU, so that nothing disturbs what follows."""
        deadline_s = time.monotonic() + MOST_QUIETING_S
        while self._published() < self._entries() or self._busy() > QUIET_SHARE:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"the office does not come to rest within {MOST_QUIETING_S:.0f} s")
            time.sleep(QUIET_S)

    def _entries(self) -> int:
        engine = db.connect(self.settings.database.url)
        try:
            with db.read(engine) as connection:
                return head(connection).size
        finally:
            engine.dispose()

    def _published(self) -> int:
        """The size of the log's last checkpoint (C2SP: its second line)."""
        try:
            return int((self.layout.service("ledger") / "public" / "checkpoint").read_text("utf-8").splitlines()[1])
        except FileNotFoundError:
            return 0

    def _busy(self) -> float:
        before, began_s = self._spent(), time.monotonic()
        time.sleep(QUIET_S)
        return (self._spent() - before) / (time.monotonic() - began_s)

    def _spent(self) -> float:
        return sum(sum(processes.cpu_seconds(one.pid).values()) for one in running(self.layout))

    def _configure(self) -> None:
        """config/NAME.toml as ``make up`` writes them, and what the benchmark sets differently."""
        write_all(self.layout, self.office)
        signer: Mapping[str, Any] = settings(named("signer"), self.layout, self.office)
        changed: dict[str, Any] = {
            "workers": {"bulk": self._bulk_workers, "interactive": 1},
            "metrics": {"port": self._metrics_port},
        }
        if self._database_url is not None:
            changed["database"] = {"url": self._database_url}
        toml.write(self.layout.config("signer"), {**signer, **changed})
