"""Every measure and every aim, put together in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.figure import Aim, Figure
from benchmarks.measures.at_rest import AtRest
from benchmarks.measures.cpu import CpuPerDocument
from benchmarks.measures.databases import Databases
from benchmarks.measures.extending import Extending
from benchmarks.measures.growth import Growth
from benchmarks.measures.hsm import Hsm
from benchmarks.measures.interactive import Interactive
from benchmarks.measures.large import Large
from benchmarks.measures.lean import Lean
from benchmarks.measures.of_limit import OfLimit
from benchmarks.measures.peers import Peers
from benchmarks.measures.sandboxed import Sandboxed
from benchmarks.measures.scaling import Scaling
from benchmarks.measures.soak import Soak
from benchmarks.measures.timestamps import Timestamps
from benchmarks.measures.vs_pyhanko import VersusPyHanko


class Measure(Protocol):
    """Something that measures one line of the table, with the figures that belong to it."""

    name: str

    def measure(self, bench: Bench) -> list[Figure]:
        """Runs and figures."""


MEASURES: Sequence[Measure] = (
    Hsm(),
    OfLimit("rsa2048"),
    OfLimit("p256"),
    VersusPyHanko("rsa2048"),
    VersusPyHanko("p256"),
    CpuPerDocument(),
    Databases(),
    Interactive(),
    Scaling(),
    Growth(),
    Large(),
    Lean(),
    Sandboxed(),
    Timestamps(),
    Extending(),
    AtRest(),
)
ON_DEMAND: Sequence[Measure] = (Soak(), Peers())  # only when named: long, and with further programs

AIMS: Sequence[Aim] = (
    Aim("rsa2048.of_limit", "≥", 0.80),
    Aim("p256.of_limit", "≥", 0.40),
    Aim("rsa2048.vs_pyhanko", "≥", 20),
    Aim("p256.vs_pyhanko", "≥", 50),
    Aim("cpu_ms_per_document", "≤", 0.18),
    Aim("postgresql.of_sqlite", "≥", 0.9),
    Aim("interactive.p99_ms", "≤", 50),
    Aim("interactive.p99_of_idle", "≤", 10),
    Aim("scaling.two_workers", "≥", 1.7),
    Aim("ledger.growth", "≤", 1.1),
    Aim("large.rss_of_size", "≤", 2.5),
    Aim("lean.share", "≥", 0.95),
    Aim("sandboxed.documents_per_s", "≥", 150),
    Aim("tsa.of_limit", "≥", 0.33),
    Aim("extend.vs_pyhanko", "≥", 5),
    Aim("office.rest_mb", "≤", 600),
    Aim("office.rest_cpu", "≤", 2),
    Aim("soak.rss_growth", "≤", 1.05),
    Aim("peers.rsa2048", "≥", 1.3),
    Aim("peers.p256", "≥", 2.0),
)


def chosen(names: Sequence[str]) -> list[Measure]:
    """The measures of these names, or all but the long ones; KeyError names one that is not there.

    A part of a name stands for all that begin with it (``p256``), and a figure for the measure that makes it (``interactive.p99_ms``).
    """
    if not names:
        return list(MEASURES)
    found: dict[str, Measure] = {}
    for name in names:
        matches = [one for one in (*MEASURES, *ON_DEMAND) if f"{one.name}.".startswith(f"{name}.") or name.startswith(f"{one.name}.")]
        if not matches:
            raise KeyError(name)
        found |= {one.name: one for one in matches}
    return list(found.values())
