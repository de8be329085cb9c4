"""What the crash tests share."""

from __future__ import annotations

from tests.crash.fixtures import house, scenes

__all__ = ["house", "scenes"]
