"""The HTTP server of tests that serve files or answers to the programs under test."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer
from typing import Any


class HttpServer(ThreadingHTTPServer):
    """Answers each request in a thread of its own; a peer that leaves early is no fault."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a connection that the peer ended.

        Python 3.11 parses the source to print a traceback, and two threads that parse at once fail with a SystemError: a traceback
        printed here made tests fail that read source at that moment.
        """
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def serve_forever(self, poll_interval: float = 0.05) -> None:
        """``shutdown`` waits for as long as this, in seconds."""
        super().serve_forever(poll_interval)
