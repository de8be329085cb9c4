"""Requests that go to the HSM as one batch."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from sealcore.hsm.watch import Watched
from tests.timestamp.conftest import MakeUnit
from timestamp.request import TimestampRequest
from timestamp.stamping import Outcome, Stamping
from timestamp.template import imprint

REQUESTS = 5


def test_who_cannot_be_told_its_outcome_keeps_nobody_else_from_theirs(make_unit: MakeUnit) -> None:
    told: list[Outcome] = []
    faults: list[dict[str, Any]] = []

    async def run() -> None:
        loop, all_told = asyncio.get_running_loop(), asyncio.Event()

        def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            faults.append(context)

        loop.set_exception_handler(note)

        def no_memory(_outcome: Outcome) -> None:
            raise MemoryError

        def settle(outcome: Outcome) -> None:
            told.append(outcome)
            if len(told) == REQUESTS - 1:
                all_told.set()

        stamping = Stamping(make_unit(), Watched(30.0, 1, lambda _hung: None), threads=1)
        try:
            for number in range(REQUESTS):
                stamping.ask(TimestampRequest(imprint("sha256", os.urandom(32)), None, False), no_memory if number == 1 else settle)
            await asyncio.wait_for(all_told.wait(), 30)
        finally:
            stamping.close()

    asyncio.run(run())
    assert all(isinstance(outcome, bytes) for outcome in told)
    assert [type(fault["exception"]) for fault in faults] == [MemoryError]
