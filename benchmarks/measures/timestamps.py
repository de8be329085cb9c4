"""RFC 3161 tokens a second over HTTP, asked for by wrk (a load generator in C), over the P-256 signatures that the same token gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from asn1crypto import algos, tsp

from benchmarks.bench import Bench
from benchmarks.figure import PER_S, Figure
from benchmarks.office import BenchOffice
from benchmarks.signing import Limit
from sealcore.platform.config import load
from timestamp.settings import TimestampSettings

CONNECTIONS, THREADS = 16, 1
_SCRIPT = """\
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/timestamp-query"
wrk.body = file:read("*a")
file:close()
"""


class Timestamps:
    """``tsa.of_limit``. The yardstick has as many processes as the service."""

    name = "tsa.of_limit"

    def measure(self, bench: Bench) -> list[Figure]:
        """Limit, load, limit, in turn."""
        wrk = shutil.which("wrk")
        if wrk is None:
            raise FileNotFoundError("wrk is not installed: run `make bench`, whose setup installs it")
        options, office = bench.options, bench.office
        settings = load(office.layout.config("timestamp"), TimestampSettings)
        rates, limits = [], []
        with TemporaryDirectory() as folder, Limit(settings.token, (settings.key_label,), _processes(office)) as limit:
            script = _script(Path(folder))
            for number in range(options.runs):
                office.quiet()
                before = limit.measure(options.seconds / 2)
                rates.append(_load(wrk, script, office.office.url("timestamp"), options.seconds))
                limits.append((before.per_s + limit.measure(options.seconds / 2).per_s) / 2)
                bench.say(f"timestamps {number + 1}/{options.runs}: {rates[-1]:,.0f}/s, limit {limits[-1]:,.0f}/s")
        return [
            Figure.of(self.name, [rate / limit for rate, limit in zip(rates, limits, strict=True)]),
            Figure.of("tsa.tokens", rates, PER_S),
            Figure.of("tsa.hsm_limit", limits, PER_S),
        ]


def _processes(office: BenchOffice) -> int:
    """How many processes of the service hold the token: it, or the workers that it started."""
    workers = [one for one in psutil.Process(office.pid("timestamp")).children() if "timestamp.worker" in one.cmdline()]
    return max(1, len(workers))


def _script(folder: Path) -> Path:
    """A request with a nonce that wants the certificate, as most clients ask."""
    imprint = tsp.MessageImprint({"hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}), "hashed_message": bytes(range(32))})
    body, script = folder / "request.tsq", folder / "post.lua"
    body.write_bytes(tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "nonce": 2**63 + 1, "cert_req": True}).dump())
    script.write_text(_SCRIPT.format(body=body), "utf-8")
    return script


def _load(wrk: str, script: Path, url: str, seconds: float) -> float:
    """Answers a second; RuntimeError when one of them was no success."""
    command = [wrk, f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), url + "/"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if rate is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"the timestamp service did not answer well under load:\n{said}")
    return float(rate[1])
