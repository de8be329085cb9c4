"""Notices when the wall clock is set while the process runs."""

from __future__ import annotations

from typing import Final

from sealcore.clock import Clock
from sealcore.platform.log import get as get_log
from signer.metrics import SignerMetrics

LEAST_JUMP_S: Final = 1.0


class ClockJumps:
    """Compares the wall clock with the monotonic one. After a jump, leases and tokens end earlier or later than they seem to."""

    def __init__(self, clock: Clock, metrics: SignerMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._log = get_log("engine")
        self._offset_s = self._measured_s()

    def look(self) -> None:
        """Logs and counts a jump since the last look."""
        offset_s = self._measured_s()
        jump_s = offset_s - self._offset_s
        if abs(jump_s) > LEAST_JUMP_S:
            self._log.warning("the clock was set", seconds=round(jump_s, 3))
            self._metrics.clock_jumps.inc()
            self._offset_s = offset_s

    def _measured_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic_s()
