"""The running office, shared with the tests of the command line."""

from __future__ import annotations

from tests.cli.conftest import office

__all__ = ["office"]
