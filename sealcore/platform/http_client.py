"""What a client of our HTTP services needs; apart from ``sealcore.platform.http``, so that a command need not import a server."""

from __future__ import annotations

import ssl
from typing import Final

from sealcore.platform import log as logs
from sealcore.platform import tracing
from sealcore.platform.config import TlsSettings
from sealcore.platform.identity import Identity, read, require_current

REQUEST_ID_HEADER: Final = "X-Request-Id"


def context_of(protocol: int, identity: Identity) -> ssl.SSLContext:
    """Both sides must show a certificate; chains end at the CAs that we trust."""
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=identity.trust.decode("ascii"))
    context.load_cert_chain(str(identity.certificate_file), str(identity.key_file))
    return context


def request_headers() -> dict[str, str]:
    """What a client sends along: the bound request id and the present span."""
    carried = {REQUEST_ID_HEADER: logs.request_id(), tracing.TRACEPARENT: tracing.traceparent()}
    return {name: value for name, value in carried.items() if value}


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """TLS for a client with our identity; trusts the infrastructure CAs alone. Raises CONFIGURATION_INVALID or CERTIFICATE_EXPIRED."""
    return context_of_client(read(tls))


def context_of_client(identity: Identity) -> ssl.SSLContext:
    """As ``client_context``, of an identity that was read before."""
    require_current(identity)
    return context_of(ssl.PROTOCOL_TLS_CLIENT, identity)
