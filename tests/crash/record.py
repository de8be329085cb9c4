"""The seasons that a long run has behind it, on disk: a run that was broken off goes on behind them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.crash.harness import Tally
from tests.crash.observers import Counted, Finding
from tests.crash.report import Result
from tests.hsm.wrapping import Signatures


class Record:
    """A file with a line for each season."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def seasons(self) -> list[Result]:
        """What is there; a line that was cut off as it was written is none."""
        lines = self.file.read_text("utf-8").splitlines(keepends=True) if self.file.exists() else []
        return [_read(line) for line in lines if line.endswith("\n")]

    def begin(self, seasons: Sequence[Result]) -> None:
        """The file has these and no others."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("".join(map(_written, seasons)), "utf-8")

    def add(self, season: Result) -> None:
        """One more, durably."""
        with self.file.open("a", encoding="utf-8") as out:
            out.write(_written(season))
            out.flush()
            os.fsync(out.fileno())


def _written(result: Result) -> str:
    tally, counted = result.tally, result.counted
    kills = {name: [[*step, count] for step, count in getattr(tally, name).items()] for name in ("kills", "missed")}
    told = {"database": result.database, "seed": result.seed, **kills, "documents": tally.documents, "starts": tally.starts}
    return json.dumps({**told, "counted": asdict(counted)}, ensure_ascii=False) + "\n"


def _read(line: str) -> Result:
    told = json.loads(line)
    kills, missed = (Counter({(process, step): count for process, step, count in told[name]}) for name in ("kills", "missed"))
    counted = told["counted"]
    counted["signatures"] = {label: Signatures(**each) for label, each in counted["signatures"].items()}
    counted["findings"] = tuple(Finding(**each) for each in counted["findings"])
    return Result(told["database"], told["seed"], Tally(kills, missed, told["documents"], told["starts"]), Counted(**counted))
