"""The ``vermilion`` command as a nursery (``tests/crash/nursery.py``) brings it up: a process of its own, without the second of imports."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import verify.files
import verify.sandbox
import verify.verifier  # noqa: F401
import vermilion.cli
import vermilion.demo
import vermilion.extending


def main(_name: str, arguments: Sequence[str]) -> int:
    """Runs the command in the folder and the environment that stand before its arguments."""
    place, *rest = arguments
    folder, environment = json.loads(place)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    vermilion.cli.configure("vermilion", "CRITICAL")  # as its own ``main`` does
    return vermilion.cli.run(rest)
