"""What the HSM limit is made of: CPU of one signature in the token, as the signer asks for it, beside OpenSSL's bare operation."""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.signing import Limit
from vermilion.operation.service_settings import SIGNER_TSA

US = "µs"
OPENSSL = {"rsa2048": "rsa2048", "p256": "ecdsap256"}  # as `openssl speed` calls what the seals' keys are
SHARE = 0.25  # of the seconds of a load, for each
_RATE = re.compile(r"^\+F\d:[^:]*:\d+:([0-9.]+):", re.MULTILINE)  # signatures a second of CPU


class Hsm:
    """``hsm.rsa2048.of_openssl``, ``hsm.p256.of_openssl``: how much of a signature's CPU is the signature itself."""

    name = "hsm"

    def measure(self, bench: Bench) -> list[Figure]:
        """One process each, in turn; CPU, so that it matters little what else the machine does."""
        options, office = bench.options, bench.office
        seconds = max(1, round(options.seconds * SHARE))
        token, pairs, bare = dict[str, list[float]](), dict[str, list[float]](), dict[str, list[float]]()
        with ExitStack() as stack:
            labels = {algorithm: office.seal(algorithm).label for algorithm in OPENSSL}
            alone = {name: stack.enter_context(Limit(office.settings.token, (label,), 1)) for name, label in labels.items()}
            both = {name: stack.enter_context(Limit(office.settings.token, (label, SIGNER_TSA), 1)) for name, label in labels.items()}
            for number in range(options.runs):
                for name, known in OPENSSL.items():
                    token.setdefault(name, []).append(alone[name].measure(seconds).cpu_s * 1e6)
                    pairs.setdefault(name, []).append(both[name].measure(seconds).cpu_s * 1e6)
                    bare.setdefault(name, []).append(1e6 / _openssl_per_s(known, seconds))
                said = ", ".join(f"{name} {token[name][-1]:,.0f} µs, OpenSSL {bare[name][-1]:,.0f} µs" for name in OPENSSL)
                bench.say(f"hsm {number + 1}/{options.runs}: {said}")
        return [figure for name in OPENSSL for figure in _figures(name, token[name], pairs[name], bare[name])]


def _figures(name: str, token: list[float], pairs: list[float], bare: list[float]) -> list[Figure]:
    return [
        Figure.of(f"hsm.{name}.of_openssl", [theirs / ours for theirs, ours in zip(bare, token, strict=True)]),
        Figure.of(f"hsm.{name}.signature", token, US),
        Figure.of(f"hsm.{name}.pair", pairs, US),
        Figure.of(f"hsm.{name}.openssl", bare, US),
    ]


def _openssl_per_s(algorithm: str, seconds: int) -> float:
    """Signatures a second of CPU; RuntimeError where `openssl speed` says something else."""
    command = ["openssl", "speed", "-mr", "-seconds", str(seconds), algorithm]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if (rate := _RATE.search(said)) is None:
        raise RuntimeError(f"openssl speed said no rate:\n{said}")
    return float(rate[1])
