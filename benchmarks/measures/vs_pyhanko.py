"""Our documents a second and core over pyHanko's on one core: the same mix, token and keys."""

from __future__ import annotations

from benchmarks import processes
from benchmarks.bench import Bench
from benchmarks.figure import PER_S, Figure
from benchmarks.peers.with_pyhanko import PyHanko
from benchmarks.remote import Remote
from vermilion.operation.service_settings import SIGNER_TSA


class VersusPyHanko:
    """``rsa2048.vs_pyhanko`` or ``p256.vs_pyhanko``."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self.name = f"{algorithm}.vs_pyhanko"

    def measure(self, bench: Bench) -> list[Figure]:
        """Ours with client and all on every core, divided by the cores; pyHanko alone in one process."""
        options, office = bench.options, bench.office
        seal = office.seal(self._algorithm)
        picture = office.layout.pki / "pictures" / f"{seal.kind}.pdf"
        ours, theirs = [], []
        with (
            bench.client(office) as client,
            Remote(PyHanko, office.settings.token, (seal.label, SIGNER_TSA), office.layout.pki, picture) as peer,
        ):
            peer.call("prepare", client.order(self._algorithm, "mix", client.documents_for(self._algorithm, "mix", 1)))
            for number in range(options.runs):
                run = client.run(self._algorithm, "mix", seconds=options.seconds)
                office.quiet()
                ours.append(run.sent.per_s / processes.cores())
                theirs.append(peer.call("sign_for", options.seconds).per_s)
                bench.say(
                    f"{self._algorithm} pyHanko {number + 1}/{options.runs}: {ours[-1]:,.0f}/s a core against {theirs[-1]:,.1f}/s: "
                    f"{ours[-1] / theirs[-1]:.1f}"
                )
        return [
            Figure.of(self.name, [mine / its for mine, its in zip(ours, theirs, strict=True)]),
            Figure.of(f"{self._algorithm}.pyhanko_documents", theirs, PER_S),
        ]
