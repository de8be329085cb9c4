"""Identifiers: UUIDv7 (RFC 9562 §5.7) for seals, tokens, people and clients; SAN URIs for whoever calls."""

from __future__ import annotations

import secrets
import time
import uuid

SERVICE_PREFIX = "https://vermilion.internal/service/"
CLIENT_PREFIX = "https://vermilion.internal/client/"
OPERATOR_PREFIX = "https://vermilion.internal/operator/"


def uuid7() -> str:
    """A new UUIDv7 in its canonical lower-case form: 48 bits of milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    # From the system's random source: the id of a token or form must not be guessed from one
    # that was seen.
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def service_uri(name: str) -> str:
    """SAN URI of one of our services, e.g. ``https://vermilion.internal/service/signer``. A name, not an address: nothing fetches it."""
    return SERVICE_PREFIX + name


def client_uri(client_id: str) -> str:
    """SAN URI of a client system."""
    return CLIENT_PREFIX + client_id


def operator_uri(name: str) -> str:
    """SAN URI of an operator's workstation; operates, never seals."""
    return OPERATOR_PREFIX + name
