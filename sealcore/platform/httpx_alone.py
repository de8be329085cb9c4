"""httpx without its program for the terminal (``sealcore.platform.terminal_free``); services import it from here."""

from __future__ import annotations

from sealcore.platform.terminal_free import without_terminal

with without_terminal():
    import httpx

__all__ = ["httpx"]
