"""A long run that was broken off goes on behind the seasons that were counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.crash.harness import Tally
from tests.crash.observers import Counted, Finding
from tests.crash.record import Record
from tests.crash.report import Result
from tests.hsm.wrapping import Signatures

COUNTED = Counted(
    entries=898,
    released=1116,
    repeated=259,
    attempts={"seal.contract": 1043},
    signatures={"seal.contract": Signatures(1000, 990, 988)},
    most_attempts=3,
    checkpoints=40,
    findings=(),
)
SEASON = Result("SQLite", "dice/0", Tally(Counter({("worker", "commit begins"): 3}), Counter({("front", "relayed"): 1}), 890, 27), COUNTED)
BROKEN = replace(SEASON, seed="dice/1", counted=replace(COUNTED, findings=(Finding("no use is released twice", "公章 7"),)))


def test_seasons_are_read_as_they_were_counted(tmp_path: Path) -> None:
    record = Record(tmp_path / "crash" / "dice.jsonl")
    assert record.seasons() == []
    record.begin([])
    record.add(SEASON)
    record.add(BROKEN)
    assert record.seasons() == [SEASON, BROKEN]
    record.begin([SEASON])
    assert record.seasons() == [SEASON]


def test_a_season_that_was_cut_off_as_it_was_written_is_none(tmp_path: Path) -> None:
    record = Record(tmp_path / "dice.jsonl")
    record.begin([SEASON, BROKEN])
    whole = record.file.read_bytes()
    record.file.write_bytes(whole[:-20])
    assert record.seasons() == [SEASON]
    record.begin(record.seasons())
    record.add(BROKEN)
    assert record.file.read_bytes() == whole
