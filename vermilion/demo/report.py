"""report.json: what came of every document (docs/schemas/demo-report.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vermilion.use_cases.sealing import Result

MARKER = ".made-by-vermilion-demo"  # lets the next run clear the folder without ever touching somebody's files


@dataclass(frozen=True)
class Counts:
    """The numbers on top of the report."""

    documents: int
    sealed: int
    refused: int
    valid: int


def write(results: Sequence[Result], file: Path) -> Counts:
    """Writes the report; its counts."""
    sealed = sum(one.outcome == "sealed" for one in results)
    counts = Counts(len(results), sealed, len(results) - sealed, sum(one.verdict == "valid" for one in results))
    body = {
        "documents": counts.documents,
        "sealed": counts.sealed,
        "refused": counts.refused,
        "valid": counts.valid,
        "results": [one.as_json() for one in results],
    }
    file.write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return counts
