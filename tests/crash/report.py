"""What a run of kills adds up to, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table

from tests.crash.harness import Tally
from tests.crash.observers import Counted


@dataclass(frozen=True)
class Result:
    """One season: which database, which seed, what was killed, what the observers counted."""

    database: str
    seed: str
    tally: Tally
    counted: Counted


def kills_table(tally: Tally) -> Table:
    """Kills by process and step. *Missed*: the step was not reached while it was armed, or the process had ended already."""
    table = Table(title=f"{tally.total} kills", title_justify="left")
    table.add_column("process")
    table.add_column("at")
    table.add_column("kills", justify="right")
    table.add_column("missed", justify="right")
    rows = sorted({*tally.kills, *tally.missed})
    for process, group in groupby(rows, key=lambda row: row[0]):
        steps = list(group)
        for number, row in enumerate(steps):
            missed = tally.missed[row]
            table.add_row(process if number == 0 else "", row[1], str(tally.kills[row]), str(missed) if missed else "")
        if len(steps) > 1:
            table.add_row("", "[dim]together[/dim]", f"[dim]{sum(tally.kills[row] for row in steps)}[/dim]", "", end_section=True)
    return table


def summary(results: Sequence[Result]) -> RenderableType:
    """Everything: kills, what was counted for each database, and every broken promise."""
    whole = Tally()
    for result in results:
        whole.add(result.tally)
    note = "again: releases of bytes released before · calls: of the HSM with seal keys · most: attempts of one use"
    counted = Table(title="what the observers counted", caption=note, title_justify="left", caption_justify="left")
    for name in ("database", "kills", "starts", "sealed", "releases", "again", "entries", "attempts", "calls", "most"):
        counted.add_column(name, justify="left" if name == "database" else "right")
    for database in sorted({result.database for result in results}):
        own = [result for result in results if result.database == database]
        of = [result.counted for result in own]
        counted.add_row(
            database,
            str(sum(one.tally.total for one in own)),
            str(sum(one.tally.starts for one in own)),
            str(sum(one.tally.documents for one in own)),
            str(sum(one.released for one in of)),
            str(sum(one.repeated for one in of)),
            str(sum(one.entries for one in of)),
            str(sum(sum(one.attempts.values()) for one in of)),
            str(sum(signed.begun for one in of for signed in one.signatures.values())),
            str(max(one.most_attempts for one in of)),
        )
    findings = [(result, finding) for result in results for finding in result.counted.findings]
    if not findings:
        return Group(kills_table(whole), counted, "[green]no promise was broken[/green]")
    broken = Table(title="broken promises", title_justify="left")
    for name in ("database", "seed", "promise", "where"):
        broken.add_column(name)
    for result, finding in findings:
        broken.add_row(result.database, result.seed, finding.promise, finding.detail)
    return Group(kills_table(whole), counted, broken)


def in_short(result: Result) -> str:
    """A few lines for the log of a test run."""
    tally, counted = result.tally, result.counted
    lines = [f"{result.database}: {tally.total} kills ({tally.missed.total()} missed), {tally.starts} starts of the signer"]
    for process, group in groupby(sorted(tally.kills), key=lambda row: row[0]):
        steps = {step: tally.kills[process, step] for _, step in group}
        lines.append(f"  {process} {sum(steps.values())}: {', '.join(f'{step} {count}' for step, count in steps.items())}")
    calls = sum(signed.begun for signed in counted.signatures.values())
    lines.append(
        f"  counted: {counted.released} releases ({counted.repeated} of them again), {counted.entries} entries, {calls} HSM calls"
        f" ≤ {sum(counted.attempts.values())} attempts (at most {counted.most_attempts} a use), {counted.checkpoints} checkpoints,"
        f" {len(counted.findings)} broken promises"
    )
    return "\n".join(lines)
