"""How much of what is sealed goes the lean way, over real documents."""

from __future__ import annotations

from benchmarks import strangers
from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.ways import ways
from signer.pdf.samples import samples
from signer.pipeline.sandbox import Sandbox


class Lean:
    """``lean.share``: without a mark and with one; the classes of all others are said."""

    name = "lean.share"

    def measure(self, bench: Bench) -> list[Figure]:
        """Counted, so nothing has to be repeated; no office is needed."""
        files = sorted(strangers.folder().glob("*.pdf"))
        bench.say(f"{len(files)} documents of {strangers.folder()}")
        shares = []
        sandbox = Sandbox(largest_document_bytes=strangers.LARGEST_BYTES, workers=1)
        try:
            for look, plan in (("invisible", samples()[0][1]), ("with a mark", samples()[1][1])):
                told = ways((file.read_bytes() for file in files), plan, sandbox.run)
                shares.append(told.share)
                others = "; ".join(f"{count} {name}" for name, count in told.others.most_common())
                bench.say(f"{look}: {told.lean} of {told.sealed} sealed are lean; {others or 'no others'}; {told.refused} refused")
        finally:
            sandbox.close()
        return [Figure.of(self.name, shares)]
