"""Whose share something counts against: one IPv4 address, or one IPv6 /64, which is what a subscriber is given (RFC 6177)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

NOBODY: Final = "unknown"  # a peer without an internet address, such as a Unix socket's: all of them are one
_SUBSCRIBER_BITS: Final = 64


@lru_cache(maxsize=4096)
def share_of(host: str) -> str:
    """The address that ``host`` is counted as. An IPv4 address in IPv6 clothes (``::ffff:192.0.2.1``) is that IPv4 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return NOBODY
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, _SUBSCRIBER_BITS), strict=False))


def share_of_rpc(peer: str) -> str:
    """As ``share_of``, for how gRPC names a peer: ``ipv4:192.0.2.1:443``, ``ipv6:%5B2001:db8::1%5D:443``."""
    family, _, rest = unquote(peer).partition(":")
    return share_of(rest.rpartition(":")[0].strip("[]")) if family in ("ipv4", "ipv6") else NOBODY
