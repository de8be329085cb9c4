"""A small office to break: a signer with its workers over one database, the log process, and what is needed to look at them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from sealcore.hsm import softhsm
from sealcore.ids import service_uri
from sealcore.platform.config import TokenSettings
from sealcore.protocol.signed_note import VerifierKey, log_key
from tests.crash.failpoints import Failpoints
from tests.crash.services import Variation
from tests.hsm.wrapping import WrappedModule
from tests.pki import InfrastructureCa
from tests.shims.sync import FaultySync
from tests.signer.office import Office, write_toml
from tests.signer.station import TIMEOUT_S, Crls, Station
from tests.support.nursery import Ended, Nursery, nursery
from tests.support.ports import free_port

ORIGIN: Final = "vermilion.test/crash"
LOG_KEY_LABEL: Final = "ledger.checkpoint.1"
WORKERS: Final = 2
LEASE_S: Final = 2
HSM_S: Final = 1.5
AS_IT_IS: Final = Variation()
_KEY = """
import sys
import httpx
from prometheus_client.parser import text_string_to_metric_families

from sealcore.platform.config import TokenSettings
from sealcore.hsm.token import Algorithm, Token
with Token.open(TokenSettings.model_validate_json(sys.argv[1])) as token:
    print(token.generate(sys.argv[2], Algorithm.ED25519).spki_der.hex())
"""


@dataclass(frozen=True)
class House:
    """What many offices of one run share, because it is slow to make: keys, authorities, nurseries."""

    office: Office
    infrastructure: InfrastructureCa
    crls: Crls
    log_token: TokenSettings
    log_key: VerifierKey
    with_grpc: Nursery
    without_grpc: Nursery

    def ended(self) -> list[Ended]:
        """Every process of ours that has ended, as its parent saw it."""
        return [*self.with_grpc.ended(), *self.without_grpc.ended()]


@contextlib.contextmanager
def house(folder: Path, keys: Path) -> Iterator[House]:
    """Makes one over seal keys (``make_keys``). Its processes have the shim of ``tests/shims`` loaded, which does nothing until a variation tells it to."""
    office, infrastructure = Office.in_softhsm(keys), InfrastructureCa(folder / "infrastructure")
    shim = FaultySync(folder, folder).environment["LD_PRELOAD"]
    crls = Crls(infrastructure, office)
    try:
        with (
            nursery(folder / "with-grpc", "tests.crash.with_grpc", preload=shim) as with_grpc,
            nursery(folder / "without-grpc", "tests.crash.without_grpc", preload=shim) as without_grpc,
        ):
            token = softhsm.create(folder / "log-token", "crash-log")
            command = [sys.executable, "-c", _KEY, token.model_dump_json(), LOG_KEY_LABEL]
            made = subprocess.run(command, check=True, capture_output=True, text=True)
            key = log_key(ORIGIN, bytes.fromhex(made.stdout.strip()))
            yield House(office, infrastructure, crls, token, key, with_grpc, without_grpc)
    finally:
        crls.close()


class LogProcess:
    """The office's log process."""

    def __init__(self, folder: Path, house: House, signer_port: int, points: Failpoints) -> None:
        folder.mkdir()
        self.public, self.log = folder / "public", folder / "ledger.log"
        self._house, self._points = house, points
        self._config = folder / "ledger.toml"
        self._port = free_port()
        tls = house.infrastructure.identity("ledger", service_uri("ledger"))
        values: dict[str, Any] = {
            "origin": ORIGIN,
            "signer_target": f"127.0.0.1:{signer_port}",
            "public_folder": self.public,
            "state_folder": folder / "state",
            "interval_s": 0.05,
            "listen": {"port": self._port},
            "token": house.log_token.model_dump(mode="json", exclude_none=True),
            "tls": tls.model_dump(mode="json", exclude_none=True),
        }
        write_toml(self._config, values)
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it serves."""
        command = [sys.executable, *self._house.with_grpc.program("ledger", str(self._points.path)), "--config", str(self._config)]
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.log.read_text("utf-8")

    def died(self) -> int:
        """Waits for its end; the status."""
        assert self.process is not None and self.process.stdout is not None
        status = self.process.wait(TIMEOUT_S)
        self.process.stdout.close()
        self.process = None
        return status

    def stop(self) -> int:
        """Ends it as an operator would."""
        if self.process is None:
            return 0
        self.process.terminate()
        return self.died()

    @property
    def checkpoint(self) -> bytes | None:
        """The checkpoint as it is published at this moment."""
        with contextlib.suppress(FileNotFoundError):
            return (self.public / "checkpoint").read_bytes()
        return None


class Scene:
    """One office over one database."""

    def __init__(self, folder: Path, house: House, database_url: str, variation: Variation = AS_IT_IS, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.house, self.variation = folder, house, variation
        self.points = Failpoints.create(folder / "failpoints")
        self._metrics_port = free_port()
        self.wrapped = WrappedModule.build(folder / "wrapped")
        assert house.office.token is not None
        self.office = _through(house.office, self.wrapped)
        chosen = {
            "workers": {"bulk": WORKERS, "interactive": 0},
            "limits": {"lease_s": LEASE_S, "hsm_s": HSM_S},
            "sandbox": {"workers": 1},
            "metrics": {"port": self._metrics_port},
            **settings,
        }
        self.station = Station(folder / "signer", self.office, house.infrastructure, house.crls, database_url, free_port(), chosen)
        self.log = LogProcess(folder / "log", house, self.station.port, self.points)
        self.starts = 0

    def open(self) -> None:
        """Seeds the register and starts everything."""
        self._seed()
        self.start()
        self.log.start()

    def open_signer(self) -> None:
        """The same without the log process, for tests that look at the signer alone."""
        self._seed()
        self.start()

    def _seed(self) -> None:
        folder, office = self.folder, self.office
        (folder / "attachments").mkdir()
        (folder / "attachments" / "picture.pdf").write_bytes(office.picture)
        (folder / "seed.json").write_text(json.dumps(office.seed()), "utf-8")
        told: list[str | Path] = ["--config", self.station.config, "--seed", folder / "seed.json", "--attachments", folder / "attachments"]
        done = subprocess.run(
            [sys.executable, *self.house.with_grpc.program("ceremony"), *told],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Starts the signer, for the first time or again."""
        self.starts += 1
        worker = self.house.without_grpc.program("worker", str(self.points.path), self.variation.encode())
        self.station.start(*self.house.with_grpc.program("front", str(self.points.path), *worker, "--"))

    def close(self) -> None:
        """Ends everything that still runs."""
        self.points.disarm("signer")
        self.points.disarm("ledger")
        if self.points.front:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.points.front, signal.SIGCONT)
        self.log.stop()
        self.station.stop()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric of the signer, as its front serves it, over all series that have these labels."""
        families = text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{self._metrics_port}/metrics").text)
        wanted = {f"vermilion_{door}{name}{end}" for door in ("signer_", "") for end in ("", "_total")}
        samples = [sample for family in families for sample in family.samples if sample.name in wanted]
        return float(sum(one.value for one in samples if labels.items() <= one.labels.items()))

    def unready(self) -> set[str]:
        """The parts that the front reports as failing."""
        parts = httpx.get(f"http://127.0.0.1:{self._metrics_port}/readyz").json()["parts"]
        return {name for name, told in parts.items() if told["status"] != "ok"}

    @property
    def signer_lives(self) -> bool:
        """Whether the front does."""
        return self.station.process is not None and self.station.process.poll() is None and lives(self.points.front)

    def workers(self) -> list[int]:
        """Pids of the workers that live, oldest first."""
        group = self.points.front
        return [pid for pid in sorted(_group(group)) if pid != group and "tests.support.nursery" in _command(pid)]

    def zygotes(self) -> list[int]:
        """Pids of the sandboxes' processes, children included."""
        return [pid for pid in sorted(_group(self.points.front)) if "sealcore.platform.sandbox" in _command(pid)]

    def kill(self, pid: int) -> bool:
        """SIGKILL to one process; whether it was there, and is not any more."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            return bool(select.select([descriptor], [], [], 10)[0])
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)

    def frozen(self) -> int:
        """Waits until a process is frozen at its failpoint; its pid."""
        deadline = time.monotonic() + TIMEOUT_S
        while (pid := self.points.fired("signer")) is None or _state(pid) != "T":
            assert time.monotonic() < deadline, "nobody came to the failpoint"
            time.sleep(0.005)
        return pid

    @staticmethod
    def wake(pid: int) -> None:
        """Lets a frozen process go on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def kill_all(self) -> None:
        """The signer whole, at once."""
        os.killpg(self.points.front, signal.SIGKILL)

    def was_killed(self, pid: int) -> bool:
        """Whether a process that was forked for us has ended by SIGKILL; waits for its parent to say so."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for one in self.house.ended():
                if one.pid == pid:
                    return one.signal == signal.SIGKILL
            time.sleep(0.005)
        return False


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _through(office: Office, wrapped: WrappedModule) -> Office:
    """The same office, its token reached through the wrapping module."""
    assert office.token is not None
    other = object.__new__(Office)
    other.__dict__.update(office.__dict__, token=wrapped.settings(office.token))
    return other


def _group(group: int) -> list[int]:
    """The processes of a process group that have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] != "Z":
                    found.append(int(folder.name))
    return found


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    return ""


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    return ""
