"""Typed errors over gRPC: one mapping to the status, and back from a failed call.

The error itself travels whole, as a message in the trailing metadata; the status is for those who know only gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from protos.vermilion.v1 import common_pb2
from sealcore.errors import REGISTRY, Code, Kind, VermilionError
from sealcore.platform import log as logs
from sealcore.platform.rpc import ERROR_METADATA, REQUEST_ID_METADATA
from sealcore.platform.rpc.error_messages import from_message

_STATUS: Mapping[Kind, grpc.StatusCode] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.DOCUMENT: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.BUSY: grpc.StatusCode.ABORTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}


class UnreachableError(VermilionError):
    """The service gave no answer: nobody was there, the connection broke, or it took too long."""


def status_of(error: VermilionError) -> grpc.StatusCode:
    """The gRPC status that goes with an error."""
    return _STATUS[error.kind]


def from_rpc_error(fault: grpc.RpcError) -> VermilionError:
    """The typed error behind a failed call, whether the server named it or the transport failed."""
    trailers: Any = fault.trailing_metadata() or () if hasattr(fault, "trailing_metadata") else ()
    told = dict(trailers)
    error = from_message(common_pb2.Error.FromString(told[ERROR_METADATA])) if ERROR_METADATA in told else _of_transport(fault)
    error.request_id = str(told[REQUEST_ID_METADATA]) if REQUEST_ID_METADATA in told else logs.request_id()
    return error


def _of_transport(fault: grpc.RpcError) -> VermilionError:
    status = fault.code() if hasattr(fault, "code") else grpc.StatusCode.UNKNOWN
    detail = (fault.details() or "") if hasattr(fault, "details") else ""
    match status:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnreachableError(Code.DEADLINE_EXCEEDED, "the service did not answer in time")
        case grpc.StatusCode.CANCELLED:
            return VermilionError(Code.CANCELLED, "the call was cancelled")
        case grpc.StatusCode.UNAVAILABLE:
            return UnreachableError(Code.SERVICE_UNAVAILABLE, f"the service cannot be reached: {detail}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return VermilionError(Code.INVALID_ARGUMENT, f"the service does not know this method: {detail}")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return VermilionError(Code.OVERLOADED, f"a message is too large or the service too busy: {detail}")
        case _:
            return VermilionError(Code.INTERNAL, f"the call failed: {status.name}: {detail}")


assert set(_STATUS) == set(Kind) and set(REGISTRY) == set(Code), "a kind or code without its row"
