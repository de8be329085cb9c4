"""The plans that come with the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vermilion.planning.model import Plan

_INSTALLED: Final = Path(__file__).resolve().parents[1] / "examples"
FOLDER: Final = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "examples"  # in a checkout, beside the packages
DEMO: Final = FOLDER / "offices" / "wenheng.toml"
DEMO_CLIENT: Final = "demo-backend"


def demo() -> Plan:
    """The plan of the demo's office, which tests and benchmarks use too."""
    from vermilion.planning import reading  # noqa: PLC0415  (what judges a plan: a second that other commands need not wait)

    return reading.load(DEMO).plan
