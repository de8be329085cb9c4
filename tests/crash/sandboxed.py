"""Failpoints inside the sandbox: in the child that prepares one document. The zygote loads this module before it forks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import signer.pipeline.sandbox
from sealcore.platform.sandbox import ForkServer, Job
from tests.crash.failpoints import Failpoints

_VARIABLE: Final = "FAILPOINTS"
STEPS: Final = ("received", "prepared")


def use_failpoints(place: Path) -> None:
    """From now on the sandboxes of this worker look at the table, and are not started before a document needs one."""

    class WithFailpoints(ForkServer):
        def __init__(self, job: Job, **_options: Any) -> None:
            super().__init__(replace(job, function="tests.crash.sandboxed:prepare_parts"))

        def _environment(self) -> dict[str, str]:
            return super()._environment() | {_VARIABLE: str(place)}

    signer.pipeline.sandbox.ForkServer = WithFailpoints  # type: ignore[attr-defined]
    signer.pipeline.sandbox.Sandbox.start = lambda self: None  # type: ignore[method-assign]


_reached: Callable[[str], None] = Failpoints(Path(os.environ[_VARIABLE])).of("sandbox") if _VARIABLE in os.environ else lambda _step: None


def prepare_parts(parts: list[bytes]) -> Sequence[bytes]:
    """As ``signer.pipeline.sandbox.prepare_parts``, with its steps named."""
    _reached("received")
    answer = signer.pipeline.sandbox.prepare_parts(parts)
    _reached("prepared")
    return answer
