"""The same world, later."""

from __future__ import annotations

from tests.longterm.world import World

HOUR_S = 3600.0


def later(world: World, seconds: float = HOUR_S) -> None:
    """Time goes by, and the CAs publish."""
    world.clock.advance(seconds)
    world.publish()
