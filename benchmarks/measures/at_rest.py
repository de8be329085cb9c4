"""What an office costs that nobody asks for anything: the memory and the CPU of all its services, as they are once started."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from benchmarks import processes
from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.office import BenchOffice

MEGABYTE: Final = 1_000_000
WATCHED_S: Final = 30.0  # what comes once in ten seconds should count three times; the kernel counts CPU in hundredths of a second
WATCHED_QUICK_S: Final = 2.0


class AtRest:
    """``office.rest_mb`` (10^6 bytes, PSS) and ``office.rest_cpu`` (per cent of one core), ``….SERVICE`` of each; ``office.processes``.

    An office of its own, with as many bulk workers as cores, that has sealed nothing: what other measures left in memory is no rest.
    """

    name = "office"

    def measure(self, bench: Bench) -> list[Figure]:
        """Waits until the start is over, then looks on."""
        watched_s = WATCHED_QUICK_S if bench.options.quick else WATCHED_S
        memory, cpu = list[Mapping[str, float]](), list[Mapping[str, float]]()
        with bench.new_office("rest") as office:
            office.quiet()
            for number in range(bench.options.runs):
                cpu.append(_cpu_percent(office, watched_s))
                memory.append({name: processes.memory_bytes(pid) / MEGABYTE for name, pid in office.pids().items()})
                said = f"{sum(memory[-1].values()):.0f} MB, {sum(cpu[-1].values()):.1f} % of a core"
                bench.say(f"at rest {number + 1}/{bench.options.runs}: {said}")
            count = sum(processes.count(pid) for pid in office.pids().values())
        return [
            *_figures("office.rest_mb", memory, "MB"),
            *_figures("office.rest_cpu", cpu, "%"),
            Figure.of("office.processes", [count], ""),
        ]


def _figures(name: str, runs: list[Mapping[str, float]], unit: str) -> list[Figure]:
    parts = [Figure.of(f"{name}.{service}", [run[service] for run in runs], unit) for service in runs[0]]
    return [Figure.of(name, [sum(run.values()) for run in runs], unit), *parts]


def _cpu_percent(office: BenchOffice, watched_s: float) -> Mapping[str, float]:
    before, began_s = _spent(office), time.monotonic()
    time.sleep(watched_s)
    after, passed_s = _spent(office), time.monotonic() - began_s
    return {name: (spent - before[name]) / passed_s * 100 for name, spent in after.items()}


def _spent(office: BenchOffice) -> dict[str, float]:
    return {name: sum(processes.cpu_seconds(pid).values()) for name, pid in office.pids().items()}
