"""Two workers over one, with one client on one connection."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figure import PER_S, Figure

ALGORITHM = "rsa2048"


class Scaling:
    """``scaling.two_workers``."""

    name = "scaling.two_workers"

    def measure(self, bench: Bench) -> list[Figure]:
        """Documents a second of the mix; the signer is started anew for each run, with one bulk worker and with two."""
        options, office = bench.options, bench.office
        rates: dict[int, list[float]] = {1: [], 2: []}
        try:
            for number in range(options.runs):
                for workers, done in rates.items():
                    office.restart_signer(bulk_workers=workers)
                    with bench.client(office) as client:
                        done.append(client.run(ALGORITHM, "mix", seconds=options.seconds).sent.per_s)
                bench.say(f"scaling {number + 1}/{options.runs}: one worker {rates[1][-1]:,.0f}/s, two {rates[2][-1]:,.0f}/s")
        finally:
            office.restart_signer()
        return [
            Figure.of(self.name, [two / one for one, two in zip(rates[1], rates[2], strict=True)]),
            Figure.of("scaling.one_worker_documents", rates[1], PER_S),
            Figure.of("scaling.two_workers_documents", rates[2], PER_S),
        ]
