"""What the signer holds while it seals one document of 200 MB that comes in chunks, over the document's size."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figure import RATIO, Figure
from benchmarks.processes import MemoryPeak

ALGORITHM = "rsa2048"
SIZE_BYTES, QUICK_BYTES = 200_000_000, 20_000_000
SECONDS = "s"


class Large:
    """``large.rss_of_size``. The signer is started anew for each run, so that nothing is left from the one before."""

    name = "large.rss_of_size"

    def measure(self, bench: Bench) -> list[Figure]:
        """Most memory that was seen, less what was held after a first small load."""
        options, office = bench.options, bench.office
        size_bytes = QUICK_BYTES if options.quick else SIZE_BYTES
        ratios, seconds = [], []
        for number in range(options.runs):
            office.restart_signer()
            with bench.client(office) as client:
                client.documents_for(ALGORITHM, "mix", options.seconds)  # a warm-up: what is loaded once is not the document's
                client.remote.call("prepare_huge", office.seal(ALGORITHM).kind, size_bytes, bench.series())
                office.quiet()
                with MemoryPeak(*office.sealing_pids()) as memory:
                    sent = client.remote.call("send")
            if sent.documents != 1:
                raise RuntimeError(f"the large document was refused: {sent.refused}")
            ratios.append((memory.peak_bytes - memory.before_bytes) / size_bytes)
            seconds.append(sent.elapsed_s)
            bench.say(
                f"large {number + 1}/{options.runs}: {size_bytes / 1e6:,.0f} MB in {seconds[-1]:.1f} s, {ratios[-1]:.2f} times its size"
            )
        return [Figure.of(self.name, ratios, RATIO), Figure.of("large.seconds", seconds, SECONDS)]
