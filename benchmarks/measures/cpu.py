"""Server CPU a small document, in milliseconds: all that is not the HSM's own, by process and, as the signer's metrics say, by stage."""

from __future__ import annotations

from benchmarks.bench import Bench, Run
from benchmarks.documents import SMALL
from benchmarks.figure import MS, Figure

ALGORITHM = "rsa2048"


class CpuPerDocument:
    """``cpu_ms_per_document``, ``….front`` and ``….workers``, ``….hsm`` (the pair's own), ``….stage.NAME``.

    The first is what the kernel counted for front, workers and sandboxes together, less what a pair of signatures costs in the
    yardstick's processes. Stages ``sign`` and ``timestamp`` as the metrics have them contain the HSM.
    """

    name = "cpu_ms_per_document"

    def measure(self, bench: Bench) -> list[Figure]:
        """The small class with RSA-2048; the kind of key changes the HSM's part alone."""
        options, office = bench.options, bench.office
        runs: list[Run] = []
        with bench.client(office) as client, office.limit(ALGORITHM) as limit:
            for number in range(options.runs):
                runs.append(client.run(ALGORITHM, SMALL.name, seconds=options.seconds, limit=limit))
                bench.say(f"CPU {number + 1}/{options.runs}: {_besides_hsm(runs[-1]):.3f} ms a document besides the HSM")
        figures = [Figure.of(self.name, [_besides_hsm(run) for run in runs], MS)]
        figures += [
            Figure.of(f"{self.name}.{part}", [run.cpu_s.get(part, 0.0) / run.sent.documents * 1000 for run in runs], MS)
            for part in sorted({part for run in runs for part in run.cpu_s})
        ]
        figures.append(Figure.of(f"{self.name}.hsm", [_hsm(run) for run in runs], MS))
        stages = [name for name in runs[0].stages if all(run.stages[name].documents > 0 for run in runs)]
        return figures + [
            Figure.of(f"{self.name}.stage.{name}", [run.stages[name].cpu_s / run.sent.documents * 1000 for run in runs], MS)
            for name in stages
        ]


def _hsm(run: Run) -> float:
    assert run.limit is not None
    return run.limit.cpu_s * 1000


def _besides_hsm(run: Run) -> float:
    return run.cpu_s_each * 1000 - _hsm(run)
