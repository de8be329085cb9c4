"""Sealing a batch at the command line: progress with rate and time left, and what came of each document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vermilion import client
from vermilion.messages import text
from vermilion.use_cases.progress import Follow


@dataclass(frozen=True)
class Result:
    """One document of a run, as reports show it. ``verdict`` is there once the sealed file was verified."""

    file: str
    outcome: str
    code: str | None
    reason: str | None
    warnings: tuple[str, ...]
    ledger_index: int | None
    path: Path | None = None
    verdict: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As in report.json (docs/schemas/demo-report.json)."""
        return {
            "file": self.file,
            "outcome": self.outcome,
            "code": self.code,
            "reason": self.reason,
            "warnings": list(self.warnings),
            "verdict": self.verdict,
            "ledger_index": self.ledger_index,
        }


def results_of(outcomes: Iterable[client.Outcome]) -> list[Result]:
    """The outcomes of the client library as results, in their order; a sealed file under the name that it got."""
    return [
        Result(
            one.path.name if one.path else one.name,
            one.outcome,
            str(one.code) if one.code else None,
            one.reason,
            one.warnings,
            one.ledger_index,
            one.path,
        )
        for one in outcomes
    ]


def seal_with_progress(
    office: client.Office,
    form: client.Form,
    documents: Sequence[client.Document],
    out: Path,
    *,
    placement: Any = None,
) -> list[client.Outcome]:
    """Seals the documents of an approved form into ``out``, showing how far it is; refusals are the caller's to tell."""
    with Follow(text("seal.progress"), len(documents), refusals=False) as follow:
        return office.seal(form, documents, out, placement=placement, progress=follow.progress, ended=follow.ended)


def by_code(results: Iterable[Result]) -> list[tuple[str, int]]:
    """Refusals by their code, the most frequent first."""
    return Counter(one.code or "INTERNAL" for one in results if one.outcome == "refused").most_common()
