"""uvicorn's fast HTTP protocol with bounds for strangers: its parser (llhttp) accepts heads of any size and waits for them for any time."""

from __future__ import annotations

from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sealcore.platform.periodic import AsyncPeriodic

HEAD_LIMIT_BYTES: Final = 64 * 1024  # as h11 has it; also for what follows a chunked body
HEAD_LOOKS: Final = 10  # so often a connection may be seen with an unfinished head
LOOK_S: Final = 1.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What is neither a whole head nor a piece of a body counts against the bounds."""

    def connection_made(self, transport: Any) -> None:
        """The first head is awaited from now on."""
        self._unread_bytes, self._looks, self._in_head = 0, 0, True
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Ends the connection when a head (or a trailer) grows too large."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._looks, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It is whole."""
        self._unread_bytes, self._in_head = 0, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """What the application bounds itself."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Trailers included."""
        self._unread_bytes = 0
        super().on_message_complete()

    def look(self) -> None:
        """Closes the connection when it has been in a head for too long. Looks are counted, not seconds: after each, what a client has

        sent meanwhile is read before the next, so that a process that was held up does not take it out on its clients.
        """
        self._looks += 1
        if self._in_head and self._looks > HEAD_LOOKS:
            self.transport.close()


async def end_slow_connections(server: uvicorn.Server) -> None:
    """Runs for as long as the server does."""

    async def look() -> None:
        for connection in list(server.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.look()

    await AsyncPeriodic("slow-connections", look, LOOK_S).run()
