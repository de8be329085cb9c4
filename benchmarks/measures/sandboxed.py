"""Documents that take the sandbox: how many are sealed a second, and what one of them costs, by process."""

from __future__ import annotations

from benchmarks import strangers
from benchmarks.bench import Bench
from benchmarks.figure import MS, PER_S, Figure

ALGORITHM = "rsa2048"


class Sandboxed:
    """``sandboxed.documents_per_s``; ``sandboxed.cpu_ms`` is the signer's CPU a document with the HSM's, ``….PART`` shows where."""

    name = "sandboxed.documents_per_s"

    def measure(self, bench: Bench) -> list[Figure]:
        """Real documents that the lean writer does not take, over and over, with RSA-2048."""
        options = bench.options
        bench.say(f"documents of {strangers.folder()}")
        runs = []
        with bench.client(bench.office) as client:
            for number in range(options.runs):
                runs.append(client.run(ALGORITHM, strangers.NAME, seconds=options.seconds))
                parts = ", ".join(f"{part} {spent / runs[-1].sent.documents * 1000:.2f}" for part, spent in runs[-1].cpu_s.items())
                bench.say(f"sandboxed {number + 1}/{options.runs}: {runs[-1].sent.per_s:,.0f}/s; CPU ms a document: {parts}")
        figures = [Figure.of(self.name, [run.sent.per_s for run in runs], PER_S)]
        figures.append(Figure.of("sandboxed.cpu_ms", [run.cpu_s_each * 1000 for run in runs], MS))
        return figures + [
            Figure.of(f"sandboxed.cpu_ms.{part}", [run.cpu_s.get(part, 0.0) / run.sent.documents * 1000 for run in runs], MS)
            for part in sorted({part for run in runs for part in run.cpu_s})
        ]
