"""Whether a document costs more when the ledger has grown: CPU of the signer a document, with a long ledger and with a short one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from benchmarks.bench import Bench
from benchmarks.figure import MS, Figure
from benchmarks.office import BenchOffice
from sealcore.platform import db
from sealcore.platform.ledger.store import Draft, append
from sealcore.protocol.ledger_entry import Entry

ALGORITHM = "rsa2048"
SHORT, LONG, QUICK_LONG = 1_000, 1_000_000, 5_000
BATCH = 5_000
BEGAN_US = 1_767_225_600_000_000  # 2026-01-01


class Growth:
    """``ledger.growth``. The ledgers are filled with audit entries before their offices open."""

    name = "ledger.growth"

    def measure(self, bench: Bench) -> list[Figure]:
        """The HSM's own part is taken off both, since it would hide a difference."""
        options = bench.options
        long = QUICK_LONG if options.quick else LONG
        # verification reads the log ahead, which takes it minutes with a long one and has no part in sealing
        offices = [bench.new_office(name, without=("verify",)) for name in ("ledger-short", "ledger-long")]
        for office, entries in zip(offices, (SHORT, long), strict=True):
            bench.say(f"filling a ledger with {entries:,} entries …")
            fill(office, entries)
        costs: list[list[float]] = [[], []]
        with (
            offices[0] as short_one,
            offices[1] as long_one,
            bench.client(short_one) as first,
            bench.client(long_one) as second,
            short_one.limit(ALGORITHM) as limit,
        ):
            for number in range(options.runs):
                for client, office, done in ((first, short_one, costs[0]), (second, long_one, costs[1])):
                    run = client.run(ALGORITHM, "small", seconds=options.seconds, limit=limit)
                    assert run.limit is not None
                    done.append((run.cpu_s_each - run.limit.cpu_s) * 1000)
                    office.quiet()
                bench.say(f"ledger {number + 1}/{options.runs}: {costs[0][-1]:.3f} ms with {SHORT:,}, {costs[1][-1]:.3f} ms with {long:,}")
        return [
            Figure.of(self.name, [after / before for before, after in zip(*costs, strict=True)]),
            Figure.of("ledger.cpu_ms_short", costs[0], MS),
            Figure.of("ledger.cpu_ms_long", costs[1], MS),
        ]


def fill(office: BenchOffice, entries: int) -> None:
    """Appends so many entries straight through the ledger's store, in batches of one transaction each."""
    engine = db.connect(office.settings.database.url)
    try:
        for start in range(0, entries, BATCH):
            with db.write(engine) as connection:
                append(connection, list(_drafts(range(start, min(start + BATCH, entries)))))
    finally:
        engine.dispose()


def _drafts(numbers: Iterable[int]) -> Iterable[Draft]:
    for number in numbers:
        digest = hashlib.sha256(b"%d" % number).digest()
        entry = Entry(kind="audit", time_us=BEGAN_US + number, subject_sha256=digest)
        yield Draft.committing(entry, {"form": f"BENCH-2026-{number % 10**6:06d}"})
