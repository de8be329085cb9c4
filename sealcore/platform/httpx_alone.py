"""httpx without its program for the terminal (``sealcore.platform.spared``); services import it from here."""

from __future__ import annotations

from sealcore.platform.spared import without_terminal

with without_terminal():
    import httpx

__all__ = ["httpx"]
