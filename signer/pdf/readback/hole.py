"""The hole of an update, which the signature's CMS goes into."""

from __future__ import annotations

from typing import NamedTuple


class Hole(NamedTuple):
    """From ``<`` to behind ``>``; offsets in the update."""

    start: int
    end: int
