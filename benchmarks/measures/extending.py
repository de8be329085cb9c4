"""Long-term proof: released files extended to B-LTA a second, and over pyHanko's own extension of the same files."""

from __future__ import annotations

import shutil

from benchmarks.bench import Bench
from benchmarks.extending import Extended, Ours
from benchmarks.figure import MS, PER_S, Figure
from benchmarks.peers.extending_with_pyhanko import PyHankoExtension
from benchmarks.remote import Remote

ALGORITHM = "rsa2048"
FILES, QUICK_FILES = 60, 10  # of the mix


class Extending:
    """``extend.documents_per_s`` and ``extend.vs_pyhanko``. Each in one process; evidence and timestamps come from the office over HTTP."""

    name = "extend"

    def measure(self, bench: Bench) -> list[Figure]:
        """Ours and pyHanko's in turn; at the end the levels of what pyHanko made are looked at, so that both did the same work."""
        options, office = bench.options, bench.office
        folder = office.layout.state / "extending"
        released = folder / "released"
        released.mkdir(parents=True)
        ours, theirs = list[Extended](), list[Extended]()
        with bench.client(office) as client:
            files = client.remote.call("sealed_files", client.order(ALGORITHM, "mix", QUICK_FILES if options.quick else FILES), released)
        office.quiet()  # so that answers about the certificates are younger than the seals
        with (
            Remote(Ours, office.layout.state, files, folder / "ours") as us,
            Remote(PyHankoExtension, office.layout.root_certificate, office.office.url("timestamp"), files, folder / "theirs") as peer,
        ):
            for number in range(options.runs):
                ours.append(us.call("extend_for", options.seconds))
                theirs.append(peer.call("extend_for", options.seconds))
                bench.say(
                    f"extending {number + 1}/{options.runs}: {ours[-1].per_s:,.0f}/s ({ours[-1].cpu_s * 1000:.1f} ms CPU) against "
                    f"pyHanko's {theirs[-1].per_s:,.1f}/s ({theirs[-1].cpu_s * 1000:.1f} ms): {ours[-1].per_s / theirs[-1].per_s:.1f}"
                )
            levels = us.call("levels", peer.call("sample"))
        if set(levels) != {"B-LTA"}:
            raise RuntimeError(f"what pyHanko extended is at {', '.join(levels)}: the two do not do the same work")
        shutil.rmtree(folder)
        return [
            Figure.of("extend.documents_per_s", [one.per_s for one in ours], PER_S),
            Figure.of("extend.vs_pyhanko", [mine.per_s / its.per_s for mine, its in zip(ours, theirs, strict=True)]),
            Figure.of("extend.cpu_ms", [one.cpu_s * 1000 for one in ours], MS),
            Figure.of("extend.pyhanko_documents_per_s", [one.per_s for one in theirs], PER_S),
            Figure.of("extend.pyhanko_cpu_ms", [one.cpu_s * 1000 for one in theirs], MS),
        ]
