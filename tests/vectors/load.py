"""The published vectors as tests read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def vectors(name: str) -> Any:
    """The content of one vector file."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
