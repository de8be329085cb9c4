"""How much of the HSM's speed reaches the client: sealed documents a second over the HSM limit, for the mix and for each class."""

from __future__ import annotations

from benchmarks.bench import Bench, Run
from benchmarks.documents import KINDS
from benchmarks.figure import MS, PER_S, Figure

CLASS_SHARE = 0.5  # a class is measured for half as long as the mix


class OfLimit:
    """``rsa2048.of_limit`` or ``p256.of_limit``."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self.name = f"{algorithm}.of_limit"

    def measure(self, bench: Bench) -> list[Figure]:
        """The mix and the classes in turn, so that what disturbs one run disturbs all of them alike."""
        options, office = bench.options, bench.office
        runs: dict[str, list[Run]] = {what: [] for what in ("mix", *(kind.name for kind in KINDS))}
        with bench.client(office) as client, office.limit(self._algorithm) as limit:
            for number in range(options.runs):
                for what, done in runs.items():
                    seconds = options.seconds if what == "mix" else options.seconds * CLASS_SHARE
                    run = client.run(self._algorithm, what, seconds=seconds, limit=limit)
                    done.append(run)
                    bench.say(
                        f"{self._algorithm} {what} {number + 1}/{options.runs}: {run.sent.documents:,} documents at {run.sent.per_s:,.0f}/s, "
                        f"limit {run.limit.per_s if run.limit else 0:,.0f}/s: {run.of_limit:.2f}"
                    )
        return [figure for what, done in runs.items() for figure in self._figures(what, done)]

    def _figures(self, what: str, runs: list[Run]) -> list[Figure]:
        prefix = self._algorithm if what == "mix" else f"{self._algorithm}.{what}"
        limits = [run.limit.per_s for run in runs if run.limit is not None]
        return [
            Figure.of(f"{prefix}.of_limit", [run.of_limit for run in runs]),
            Figure.of(f"{prefix}.documents", [run.sent.per_s for run in runs], PER_S),
            Figure.of(f"{prefix}.hsm_limit", limits, PER_S),
            Figure.of(f"{prefix}.client_cpu", [run.sent.cpu_s / run.sent.documents * 1000 for run in runs], MS),
        ]
