"""How many inputs a property test tries whose inputs are dear: few in the suite, all of them in ``make fuzz``, over and over."""

from __future__ import annotations

import os
from typing import Final

AT_LENGTH: Final = bool(os.environ.get("FUZZ"))


def examples(suite: int, at_length: int) -> int:
    """For ``max_examples``."""
    return at_length if AT_LENGTH else suite
