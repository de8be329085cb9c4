"""Another process that works on a signer's database: ``programs/storing.py``, as a test speaks to it."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.signer.station import PROGRAMS

TIMEOUT_S = 120


class Storing:
    """A running process; what it is told is answered in order. Ends with the ``with`` block."""

    def __init__(self, url: str, instance: str, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "storing.py"), url, instance],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def tell(self, name: str, *arguments: Any, **keywords: Any) -> None:
        """Sends an order and does not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(base64.b64encode(pickle.dumps((name, arguments, keywords))) + b"\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """The answer to the oldest order that has none yet: ("refused", code), ("sealed", suffix, place, repeated) or what it is."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process has ended"
        return pickle.loads(base64.b64decode(line))

    def do(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Sends an order and waits for its answer."""
        self.tell(name, *arguments, **keywords)
        return self.answer()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(TIMEOUT_S if fault is None else 1)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()
