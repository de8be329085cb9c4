"""A circuit breaker: a TSA that has failed is not asked for a while; then one request tries it before any other."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sealcore.clock import Clock
from sealcore.errors import Code

UNTRUE: Final = frozenset(
    {
        *(Code.TSA_WRONG_NONCE, Code.TSA_WRONG_IMPRINT, Code.TSA_WRONG_POLICY, Code.TSA_WRONG_TIME),
        *(Code.TSA_SIGNATURE_INVALID, Code.TSA_UNTRUSTED),
    }
)
"""Codes of wrong answers, which are worse than none: somebody may be forging them."""


class Standing(StrEnum):
    """Whether a TSA is asked (the state of the circuit breaker)."""

    ASKED = "asked"
    TRIED = "tried"  # its pause is over; the next request decides
    RESTS = "rests"


class Rest:
    """The rest of one TSA. Used by one thread at a time.

    patience    failures in a row until it rests; an untrue answer does it at once
    rest_s      after failures;  distrust_s  after an untrue answer
    """

    def __init__(self, clock: Clock, *, patience: int, rest_s: float, distrust_s: float) -> None:
        self._clock = clock
        self._patience = patience
        self._rest_s = rest_s
        self._distrust_s = distrust_s
        self._failures = 0
        self._until_s: float | None = None
        self._reason = ""

    @property
    def standing(self) -> Standing:
        """The state now."""
        if self._until_s is None:
            return Standing.ASKED
        return Standing.RESTS if self._clock.monotonic_s() < self._until_s else Standing.TRIED

    @property
    def why(self) -> str:
        """For how long it still rests, and after what."""
        left_s = 0.0 if self._until_s is None else max(0.0, self._until_s - self._clock.monotonic_s())
        return f"it rests for {left_s:.0f} s after {self._reason}"

    def succeeded(self) -> None:
        """A right answer: the rest is over, unless an untrue answer of another request has just begun one."""
        if self.standing is not Standing.RESTS:
            self._failures, self._until_s = 0, None

    def failed(self, code: Code) -> None:
        """Counts a failure. In a rest only an untrue answer, which lasts longer, changes anything; a try that fails begins another."""
        standing = self.standing
        self._failures += 1
        if code in UNTRUE:
            self._begin(self._distrust_s, code)
        elif standing is Standing.TRIED or (standing is Standing.ASKED and self._failures >= self._patience):
            self._begin(self._rest_s, code)

    def _begin(self, seconds: float, code: Code) -> None:
        self._until_s, self._reason = self._clock.monotonic_s() + seconds, str(code)
