"""The life of a service: parts start in order, drain, and stop in reverse, whatever one of them does."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from sealcore.errors import Code, VermilionError
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.service import Composed, Part, Steps

LONG_S: Final = 60.0  # far longer than a test: nothing here waits for it


class Told:
    """Parts that say what is done to them."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.monitoring = ObservabilityEndpoint(None, CollectorRegistry(), {})

    def part(self, name: str, *, start: Exception | None = None, stop: Exception | None = None) -> Part:
        return Steps(self._step(f"start {name}", start), self._step(f"stop {name}", stop))

    def _step(self, what: str, raises: Exception | None) -> Callable[[], None]:
        def step() -> None:
            self.steps.append(what)
            if raises is not None:
                raise raises

        return step

    def composed(self, *parts: Part) -> Composed:
        with ExitStack() as opened:
            opened.callback(self.steps.append, "close database")
            opened.callback(self.steps.append, "close token")
            return Composed(parts, self.monitoring, opened.pop_all())


def draining(told: Told) -> bool:
    return "service" in asyncio.run(told.monitoring.readiness.examine())


def test_parts_start_in_order_and_stop_in_reverse_and_what_they_need_is_given_back_last() -> None:
    told = Told()
    service = told.composed(told.part("delivery"), told.part("calls"))
    asyncio.run(service.start())
    assert told.steps == ["start delivery", "start calls"] and not draining(told)
    asyncio.run(service.stop())
    assert told.steps[2:] == ["stop calls", "stop delivery", "close token", "close database"] and draining(told)


def test_monitoring_says_that_the_service_drains_before_anything_stops() -> None:
    told, seen = Told(), list[bool]()
    service = told.composed(Steps(lambda: None, lambda: seen.append(draining(told))))
    asyncio.run(service.start())
    asyncio.run(service.stop())
    assert seen == [True]


def test_after_a_start_that_failed_midway_all_is_given_back() -> None:
    told = Told()
    fault = VermilionError(Code.CONFIGURATION_INVALID, "the port is taken")
    service = told.composed(told.part("delivery"), told.part("calls", start=fault), told.part("more"))
    with pytest.raises(VermilionError, match="the port is taken"):
        asyncio.run(service.start())
    assert told.steps == ["start delivery", "start calls"]
    asyncio.run(service.stop())
    assert {"stop delivery", "stop calls", "close token", "close database"} <= set(told.steps)


def test_a_part_whose_stop_fails_keeps_no_other_from_stopping() -> None:
    told = Told()
    service = told.composed(told.part("first"), told.part("second", stop=ValueError("unforeseen")), told.part("third"))
    asyncio.run(service.start())
    with pytest.raises(ValueError, match="unforeseen"):
        asyncio.run(service.stop())
    assert told.steps[3:] == ["stop third", "stop second", "stop first", "close token", "close database"]


def test_a_part_that_blocks_does_not_hold_up_the_event_loop() -> None:
    async def life() -> None:
        blocked, release = threading.Event(), threading.Event()

        def block() -> None:
            blocked.set()
            assert release.wait(LONG_S)

        service = Told().composed(Steps(lambda: None, block))
        await service.start()
        stopping = asyncio.create_task(service.stop())
        while not blocked.is_set():
            await asyncio.sleep(0)
        release.set()  # which nobody could, were the loop held up
        await stopping

    asyncio.run(life())


PROGRAM: Final = """
import sys
from contextlib import ExitStack
from prometheus_client import CollectorRegistry
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import Block
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.service import Composed, Steps, main

class Settings(Block):
    works: bool

def build(settings, *, clock):
    def start():
        if not settings.works:
            raise VermilionError(Code.HSM_UNAVAILABLE, "the token is away")
    opened = ExitStack()
    opened.callback(print, "given back", flush=True)
    return Composed([Steps(start, lambda: print("stopped", flush=True))], ObservabilityEndpoint(None, CollectorRegistry(), {}), opened)

sys.exit(main("small", Settings, build))
"""


def begun(folder: Path, settings: str) -> subprocess.Popen[str]:
    (folder / "small.toml").write_text(settings)
    command = [sys.executable, "-c", PROGRAM, "--config", str(folder / "small.toml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_in_order_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with begun(tmp_path, "works = true") as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said, _ = process.communicate(timeout=LONG_S)
    assert (said, process.returncode) == ("stopped\ngiven back\n", 0)


@pytest.mark.parametrize(
    ("settings", "why"),
    [("works = false", "HSM_UNAVAILABLE: the token is away"), ("works = 7", "CONFIGURATION_INVALID"), ("", "CONFIGURATION_INVALID")],
)
def test_a_start_that_fails_says_why_and_ends_with_status_1(tmp_path: Path, settings: str, why: str) -> None:
    with begun(tmp_path, settings) as process:
        said, complained = process.communicate(timeout=LONG_S)
    assert process.returncode == 1 and "ready" not in said
    assert complained.startswith(f"small: {why}")
