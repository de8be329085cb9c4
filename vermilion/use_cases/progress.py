"""A batch as it is sealed, before the eyes of whoever waits: how far, how fast, how long still, and each refusal as it comes.

On a terminal a bar with the counts below it; into a pipe, lines. A refusal says code, document, reason, rule and way out when its code
first comes; more of the same take one line each, and after ``MOST_ALIKE`` only the summary counts them.
"""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress as Bar
from rich.progress import TextColumn
from rich.text import Text

from vermilion.client import Outcome, Progress
from vermilion.messages import text
from vermilion.terminal import PLAIN_PROGRESS_S, bar, console, pace, pairs

MOST_ALIKE = 10  # refusals with one code that are told one by one
REFRESHES_A_SECOND = 8


class Follow:
    """Told by the client library; use it as a context manager around the run."""

    def __init__(self, what: str, total: int, *, refusals: bool = True) -> None:
        self._what, self._total, self._refusals = what, total, refusals
        self._out: Console = console()
        self._alike: Counter[str] = Counter()
        self._spoke_s = time.monotonic()
        self._waited = False
        self.ended_now = 0  # documents that came to their end in this run, not in an earlier one
        self._bar: Bar | None = None
        self._live: Live | None = None
        self._state = Text("")

    def __enter__(self) -> Self:
        if self._out.is_terminal:
            self._bar = Bar(*bar(self._out), TextColumn("{task.fields[pace]}", style="quiet"), console=self._out)
            self._task = self._bar.add_task(self._what, total=self._total, pace=text("progress.waiting"))
            self._live = Live(self._shown(), console=self._out, refresh_per_second=REFRESHES_A_SECOND)
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.__exit__(kind, fault, trace)

    def progress(self, now: Progress) -> None:
        """How far the batch is."""
        speed = pace(now.recent_rate or now.rate, now.total - now.done) if now.done < now.total else text("progress.finished")
        if self._bar is not None and self._live is not None:
            self._state = _state(now)
            self._bar.update(self._task, completed=now.done, pace=speed)
            self._live.update(self._shown())
            return
        waits = now.waiting is not None and not self._waited  # said once, at once
        if waits or time.monotonic() - self._spoke_s >= PLAIN_PROGRESS_S:
            self._spoke_s = time.monotonic()
            line = text("progress.line", what=self._what, done=f"{now.done:,}", total=f"{now.total:,}", pace=speed)
            self._out.print(Text.assemble(line, " · ", _state(now)), soft_wrap=True)
        self._waited = now.waiting is not None

    def ended(self, outcome: Outcome) -> None:
        """A document has come to its end."""
        self.ended_now += 1
        if outcome.outcome != "refused" or not self._refusals:
            return
        code = str(outcome.code)
        self._alike[code] += 1
        if self._alike[code] > MOST_ALIKE + 1:
            return
        if self._alike[code] == MOST_ALIKE + 1:
            self._out.print(Text(f"  {text('seal.more_alike', code=code)}", style="quiet"))
            return
        first = self._alike[code] == 1
        head = Text.assemble(("✗ ", "invalid"), (code, "invalid"), f"  {outcome.name}")
        self._out.print(head if first else Text.assemble(head, f"  {outcome.reason}"))
        if first:
            rows = (("error.what", outcome.reason), ("error.rule", outcome.rule), ("error.way_out", outcome.way_out))
            self._out.print(pairs([(text(key), value or "") for key, value in rows]))

    def _shown(self) -> Group:
        assert self._bar is not None
        return Group(self._bar, self._state)


def _state(now: Progress) -> Text:
    parts = Text.assemble("  ", (text("progress.sealed", count=f"{now.sealed:,}"), "valid"))
    if now.refused:
        parts.append(" · ").append(text("progress.refused", count=f"{now.refused:,}"), "invalid")
    if now.resumed:
        parts.append(" · ").append(text("progress.resumed", count=f"{now.resumed:,}"), "quiet")
    if now.waiting is not None:
        parts.append(" · ").append(text("progress.again", code=now.waiting.code, reason=now.waiting.reason), "undetermined")
    return parts
