"""Settings of the sandbox service (``python -m sandbox --config FILE``)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sealcore.platform.config import Block


class CallerSettings(Block):
    """A service that calls.

    owner_of  a folder: whoever owns it may call, and nobody else (root neither)
    at_once   documents of it that are read at one time; it keeps to bounds of its own, so this is for one that has been taken over
    waiting   how many may wait for that; more are turned away with OVERLOADED
    """

    owner_of: Path
    at_once: int = Field(default=32, ge=1, le=256)
    waiting: int = Field(default=256, ge=0, le=256)


class SandboxServiceSettings(Block):
    """The whole configuration.

    folder  where the callers' sockets are, each named like its caller
    """

    folder: Path
    signer: CallerSettings
    verify: CallerSettings
