"""Who is at the other end of an mTLS connection, and whether it may do what it asks: the same over gRPC and HTTP.

A caller is its SAN URI. Chains are checked by TLS against the infrastructure CA alone; here the certificate's serial is
held against the CRL at every call, because a connection outlives a revocation (docs/protocol.md, "Keys and trust").
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cryptography import x509

from sealcore.errors import Code, VermilionError
from sealcore.ids import CLIENT_PREFIX, OPERATOR_PREFIX, SERVICE_PREFIX


class Revocations(Protocol):
    """Answers whether a certificate of the infrastructure CA is revoked; raises REVOCATION_UNAVAILABLE when it cannot know."""

    def is_revoked(self, serial: int) -> bool: ...

    def is_on_hold(self, serial: int) -> bool:
        """Whether a certificate that counts as revoked is only on hold, which can be lifted."""
        ...


@dataclass(frozen=True)
class Peer:
    """Who is at the other end: the SAN URI and serial of the certificate, and its notAfter in seconds since the epoch."""

    uri: str
    serial: int
    ends_s: float = float("inf")

    @property
    def roles(self) -> frozenset[str]:
        """What the allow-lists may call this peer."""
        if self.uri.startswith(CLIENT_PREFIX):
            return frozenset({"client", "any"})
        if self.uri.startswith(OPERATOR_PREFIX):
            return frozenset({"operator", "any"})
        if self.uri.startswith(SERVICE_PREFIX):
            return frozenset({"service:" + self.uri.removeprefix(SERVICE_PREFIX), "any"})
        return frozenset()


@lru_cache(maxsize=1024)
def peer_of_pem(pem: bytes) -> Peer:
    """The peer a certificate names; UNAUTHENTICATED unless it carries exactly one SAN URI."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        # Exactly one: with two, each check could go by another.
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        raise VermilionError(Code.UNAUTHENTICATED, "the client certificate does not name its holder by one SAN URI") from None
    return Peer(uri, certificate.serial_number, certificate.not_valid_after_utc.timestamp())


def authorise(pem: bytes | None, allowed: frozenset[str], revocations: Revocations) -> Peer:
    """The peer, when it may do this; raises UNAUTHENTICATED, CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED or PERMISSION_DENIED."""
    if pem is None:
        raise VermilionError(Code.UNAUTHENTICATED, "no client certificate was presented")
    peer = peer_of_pem(pem)
    require_in_force(peer, revocations)
    # After the certificate's standing: whoever was revoked is not told what they might have
    # been allowed.
    if not peer.roles & allowed:
        raise VermilionError(Code.PERMISSION_DENIED, f"{peer.uri} may not call this method")
    return peer


def require_in_force(peer: Peer, revocations: Revocations) -> None:
    """Raises CERTIFICATE_REVOKED or CERTIFICATE_EXPIRED: a connection outlives both."""
    if revocations.is_revoked(peer.serial):
        if revocations.is_on_hold(peer.serial):
            reason = f"the certificate of {peer.uri} is on hold; once the office releases it (`vermilion ca release {peer.serial:x}`) it counts again"
            raise VermilionError(Code.CERTIFICATE_REVOKED, reason, rule="A certificate on hold opens nothing until it is released.")
        raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate of {peer.uri} is revoked")
    if peer.ends_s < time.time():
        raise VermilionError(Code.CERTIFICATE_EXPIRED, f"the certificate of {peer.uri} has expired")
