"""The last lines: what was refused and why, where the results are, what to try next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sealcore.errors import REGISTRY, Code
from vermilion.demo.report import Counts
from vermilion.demo.story import heading
from vermilion.messages import text
from vermilion.sealing import Result, by_code
from vermilion.terminal import duration, say, show_pairs

SHOWN_FILES = 3


def refusals(results: Sequence[Result]) -> None:
    """Refused documents grouped by code, with the way out."""
    groups = by_code(results)
    if not groups:
        return
    heading("refused")
    for code, count in groups:
        members = [one for one in results if one.code == code]
        say("demo.refused.group", "invalid", code=code, count=count)
        for one in members[:SHOWN_FILES]:
            say("demo.refused.file", file=one.file, reason=one.reason)
        if count > SHOWN_FILES:
            say("demo.refused.more", "quiet", count=count - SHOWN_FILES)
        say("demo.refused.way_out", "quiet", way_out=REGISTRY[Code(code)].way_out)


def results(counts: Counts, out: Path, found: Sequence[Result], elapsed_s: float) -> None:
    """Where everything is, and what to try next."""
    heading("results")
    values: dict[str, Any] = {"documents": counts.documents, "sealed": counts.sealed, "refused": counts.refused, "valid": counts.valid}
    say("demo.results.counts", time=duration(elapsed_s), **values)
    say("demo.results.where", out=out)
    names = sorted((one.path.name for one in found if one.path), key=len)
    say("blank")
    say("demo.next", "title")
    verify = [(f"vermilion verify '{out}/demo/{names[0]}'", text("demo.next_verify"))] if names else []
    show_pairs(
        [
            *verify,
            (f"vermilion verify {out}/specimens/*.pdf", text("demo.next_specimens")),
            ("vermilion up", text("demo.next_up")),
            ("vermilion forms list", text("demo.next_forms")),
            ("make demo DOCUMENTS=folder", text("demo.next_own")),
        ]
    )
    say("demo.next_program", "quiet")
