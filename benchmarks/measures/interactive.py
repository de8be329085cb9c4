"""How long one document takes while a bulk stream saturates the core."""

from __future__ import annotations

import statistics
import time

from benchmarks.bench import Bench, Client
from benchmarks.figure import MS, RATIO, Figure, percentile

ALGORITHM = "rsa2048"
CALLS, IDLE_CALLS, QUICK_CALLS = 300, 100, 20
SATURATED_AFTER_S, POLL_S = 1.0, 0.01
EXPECTED_CALL_S, LEAST_S = 0.06, 10.0  # generous: what is left of the stream is not sent
SHARES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}


class Interactive:
    """``interactive.p99_ms`` and ``interactive.p99_of_idle`` (over the idle median); the caller has a process and connection of its own."""

    name = "interactive"

    def measure(self, bench: Bench) -> list[Figure]:
        """Calls one after the other, first with nothing else going on, then beside the stream."""
        options, office = bench.options, bench.office
        calls, idle_calls = (QUICK_CALLS, QUICK_CALLS) if options.quick else (CALLS, IDLE_CALLS)
        idles, busy = [], []
        with bench.client(office) as bulk, bench.client(office) as caller:
            caller.remote.call("prepare_calls", caller.order(ALGORITHM, "small", (calls + idle_calls) * options.runs))
            for number in range(options.runs):
                _prepare(bulk, max(LEAST_S, calls * EXPECTED_CALL_S))
                office.quiet()
                idles.append(statistics.median(caller.remote.call("calls", idle_calls)) * 1000)
                seconds = _beside(bulk, caller, calls)
                if len(seconds) < (1 if options.quick else calls):
                    raise RuntimeError(f"only {len(seconds)} of {calls} calls came to their end beside the bulk stream")
                busy.append({name: percentile(seconds, share) * 1000 for name, share in SHARES.items()})
                bench.say(
                    f"interactive {number + 1}/{options.runs}: idle median {idles[-1]:.1f} ms, beside bulk "
                    + ", ".join(f"{name} {value:.1f} ms" for name, value in busy[-1].items())
                )
        p99 = [one["p99"] for one in busy]
        return [
            Figure.of("interactive.p99_ms", p99, MS),
            Figure.of("interactive.p99_of_idle", [value / idle for value, idle in zip(p99, idles, strict=True)], RATIO),
            Figure.of("interactive.idle_ms", idles, MS),
            *(Figure.of(f"interactive.{name}_ms", [one[name] for one in busy], MS) for name in ("p50", "p90")),
        ]


def _prepare(bulk: Client, seconds: float) -> None:
    documents = bulk.documents_for(ALGORITHM, "mix", seconds)
    bulk.remote.call("prepare", bulk.order(ALGORITHM, "mix", documents))


def _beside(bulk: Client, caller: Client, calls: int) -> list[float]:
    """The seconds of the calls that ended while the stream ran; fewer than ``calls`` when it did not outlast them."""
    bulk.remote.begin("send")
    try:
        time.sleep(SATURATED_AFTER_S)
        caller.remote.begin("calls", calls)
        while not caller.remote.ended(POLL_S):
            if bulk.remote.ended(0):
                caller.stop.set()
        seconds: list[float] = caller.remote.result()
    finally:
        bulk.stop.set()
        bulk.remote.result()
        bulk.stop.clear()
        caller.stop.clear()
    return seconds
