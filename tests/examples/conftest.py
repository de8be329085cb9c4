"""The running office, for the example programs."""

from tests.cli.conftest import office

__all__ = ["office"]
