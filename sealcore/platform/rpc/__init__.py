"""gRPC over mTLS, and what both sides of a call agree upon.

``server``              an allow-list for each method, refusals as typed errors, request ids, metrics
``endpoint``            a server as a part of a service: start, health checks, reflection, end
``client``              channels with our identity; calls that wait for a service that is coming back
``renewed_channel``     a channel that takes up a renewed identity without breaking calls
``errors``              typed errors to gRPC status and back
``error_messages``, ``placement_messages``   values of ours to and from their protobuf messages

Who the caller is, is in ``sealcore.platform.peer``.
"""

from typing import Final

MESSAGE_LIMIT_BYTES: Final = 4 * 1024 * 1024  # gRPC's own default; larger documents go in chunks
ERROR_METADATA: Final = "vermilion-error-bin"
REQUEST_ID_METADATA: Final = "x-request-id"
