"""The compiled core (``crates/``): what happens to every byte of a document, where it could be built.

Where it could not (no Rust, no crates), everything works all the same: documents go the general way, only slower. ``AVAILABLE`` says which
of the two it is, ``doctor`` and each service that uses it say it, too. ``VERMILION_WITHOUT_CORE=1`` in the environment leaves it out.

Import names from ``sealcore.compiled.core`` where ``AVAILABLE`` is true, and nowhere else.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Final

SWITCH: Final = "VERMILION_WITHOUT_CORE"


def _why_not() -> str | None:
    if os.environ.get(SWITCH) == "1":
        return f"{SWITCH}=1 leaves it out"
    if importlib.util.find_spec("sealcore.compiled.core") is None:
        return "it is not built: `make setup`, or a wheel made anew, builds it where Rust is at hand"
    try:
        importlib.import_module("sealcore.compiled.core")
    except ImportError as fault:
        return f"it does not load: {fault}"
    return None


WHY_NOT: Final = _why_not()
"""Why there is no compiled core here; None where there is."""
AVAILABLE: Final = WHY_NOT is None
