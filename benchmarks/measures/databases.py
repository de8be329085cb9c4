"""The same load on PostgreSQL and on SQLite: two offices, both durable, in turn."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figure import PER_S, Figure
from benchmarks.postgresql import Cluster

ALGORITHM = "rsa2048"


class Databases:
    """``postgresql.of_sqlite``."""

    name = "postgresql.of_sqlite"

    def measure(self, bench: Bench) -> list[Figure]:
        """Documents a second of the mix, RSA-2048."""
        options, sqlite = bench.options, bench.office
        ratios, rates = [], []
        with Cluster() as cluster, bench.new_office("postgresql", database_url=cluster.database("signer")) as postgresql:
            bench.note_durability(postgresql)
            with bench.client(sqlite) as here, bench.client(postgresql) as there:
                for number in range(options.runs):
                    on_sqlite = here.run(ALGORITHM, "mix", seconds=options.seconds).sent.per_s
                    sqlite.quiet()
                    rates.append(there.run(ALGORITHM, "mix", seconds=options.seconds).sent.per_s)
                    postgresql.quiet()
                    ratios.append(rates[-1] / on_sqlite)
                    bench.say(
                        f"databases {number + 1}/{options.runs}: PostgreSQL {rates[-1]:,.0f}/s, SQLite {on_sqlite:,.0f}/s: {ratios[-1]:.2f}"
                    )
        return [Figure.of(self.name, ratios), Figure.of("postgresql.documents", rates, PER_S)]
