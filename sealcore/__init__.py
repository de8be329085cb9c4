"""What every Vermilion service shares: HSM access, approvals, ledger arithmetic, configuration, errors, wire helpers."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"  # of all that is released together; the package, every service and the command line say this one
