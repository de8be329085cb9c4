"""Failpoints inside the sandbox: in the child that prepares one document. The zygote loads this module before it forks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import signer.pipeline.sandbox
from sealcore.platform.sandbox import ForkServer
from tests.crash.failpoints import Failpoints

_VARIABLE: Final = "FAILPOINTS"
STEPS: Final = ("received", "prepared")


def use_failpoints(place: Path) -> None:
    """From now on the sandboxes of this worker look at the table, and are not started before a document needs one."""
    os.environ[_VARIABLE] = str(place)

    def made(_function: str, **options: Any) -> ForkServer:
        options["shared"] = None  # the front's has no failpoints
        return ForkServer("tests.crash.sandboxed:prepare_parts", **options)

    signer.pipeline.sandbox.ForkServer = made  # type: ignore[assignment]
    signer.pipeline.sandbox.Sandbox.start = lambda _self: None  # type: ignore[method-assign]


_reached: Callable[[str], None] = Failpoints(Path(os.environ[_VARIABLE])).of("sandbox") if _VARIABLE in os.environ else lambda _step: None


def prepare_parts(parts: list[bytes]) -> Sequence[bytes]:
    """As ``signer.pipeline.sandbox.prepare_parts``, with its steps named."""
    _reached("received")
    answer = signer.pipeline.sandbox.prepare_parts(parts)
    _reached("prepared")
    return answer
