"""Whether the signer's memory grows: after 200,000 seals over after the first tenth of them."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figure import RATIO, Figure
from benchmarks.processes import memory_bytes

ALGORITHM = "p256"  # the faster key; memory does not know the difference
PART_DOCUMENTS = 10_000
MEBIBYTE = 1024 * 1024


class Soak:
    """``soak.rss_growth``: of front, workers and sandboxes together. One long run; ``make soak``."""

    name = "soak.rss_growth"

    def measure(self, bench: Bench) -> list[Figure]:
        """Loads of the mix until all are sealed; memory is looked at when the office has come to rest."""
        office, total = bench.office, bench.options.soak_documents
        first, sealed, held = total // 10, 0, list[tuple[int, int]]()
        with bench.client(office) as client:
            while sealed < total:
                part = min(PART_DOCUMENTS, first - sealed if sealed < first else total - sealed)
                client.remote.call("prepare", client.order(ALGORITHM, "mix", part))
                sent = client.remote.call("send")
                if sent.documents != part:
                    raise RuntimeError(f"the signer refused documents: {sent.refused}")
                sealed += part
                office.quiet()
                held.append((sealed, memory_bytes(*office.sealing_pids())))
                bench.say(f"soak: {sealed:,} of {total:,} sealed, {sent.per_s:,.0f}/s, {held[-1][1] / MEBIBYTE:,.0f} MiB")
        at_first = next(size for done, size in held if done == first)
        at_end = held[-1][1]
        return [
            Figure.of(self.name, [at_end / at_first], RATIO),
            Figure.of("soak.memory_first", [at_first / MEBIBYTE], "MiB"),
            Figure.of("soak.memory_last", [at_end / MEBIBYTE], "MiB"),
        ]
