"""What strangers may take of a service's HTTP front. The defaults were measured (docs/security.md, "Slow and many peers")."""

from __future__ import annotations

from pydantic import Field, model_validator

from sealcore.platform.config import Block

KIBIBYTE = 1024


class HttpLimits(Block):
    """Limits of one HTTP listener. Times are in seconds, and whole: connections are looked at once a second.

    connections         open at the same time; fewer where the process may not open four times as many files
    connections_of_one  of those, from one IPv4 address or one IPv6 /64
    handshake_s         for TLS
    head_s              from the first byte of a request's head, or from the connection, to the head's end
    head_bytes          of a head, and of what follows a chunked body
    headers             lines of a head
    pipelined           requests that wait behind the one being answered
    body_s              from the end of the head to the end of the body
    body_rate           bytes a second that a body has to bring on average, once ``grace_s`` are over
    grace_s             before rates count
    idle_s              between two requests of a connection
    answer_s            for an answer to be taken by its reader
    stalled_s           without the reader taking anything of it
    unread_bytes        of answers that readers have not taken yet, of all connections together
    """

    connections: int = Field(default=1024, ge=4)
    connections_of_one: int = Field(default=128, ge=2)
    handshake_s: int = Field(default=10, ge=1)
    head_s: int = Field(default=10, ge=1)
    head_bytes: int = Field(default=64 * KIBIBYTE, ge=KIBIBYTE)
    headers: int = Field(default=128, ge=8)
    pipelined: int = Field(default=16, ge=0)
    body_s: int = Field(default=120, ge=1)
    body_rate: int = Field(default=KIBIBYTE, ge=0)
    grace_s: int = Field(default=10, ge=1)
    idle_s: int = Field(default=15, ge=1)
    answer_s: int = Field(default=120, ge=1)
    stalled_s: int = Field(default=20, ge=1)
    unread_bytes: int = Field(default=64 * KIBIBYTE * KIBIBYTE, ge=KIBIBYTE * KIBIBYTE)

    @model_validator(mode="after")
    def _shared(self) -> HttpLimits:
        if self.connections_of_one > self.connections:
            raise ValueError("connections_of_one is a share of connections")
        return self


FOR_OPERATORS = HttpLimits(connections=64, connections_of_one=32)
"""Of ``/metrics``, ``/healthz``, ``/readyz``: a listener of their own, so that strangers' connections keep no probe out."""
