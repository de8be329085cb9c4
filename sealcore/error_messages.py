"""Errors as protobuf messages, for gRPC details and for results in a stream. Needs no gRPC."""

from __future__ import annotations

from protos.vermilion.v1 import common_pb2
from sealcore.errors import Code, VermilionError


def to_message(error: VermilionError) -> common_pb2.Error:
    """The wire form of an error. Reasons may quote what a stranger wrote: characters that UTF-8 does not have become question marks."""
    reason, rule, document = (text.encode("utf-8", "replace").decode() for text in (error.reason, error.rule, error.document or ""))
    return common_pb2.Error(code=str(error.code), reason=reason, rule=rule, document=document, way_out=error.way_out)


def from_message(message: common_pb2.Error) -> VermilionError:
    """The error a message stands for; a code we do not know becomes INTERNAL, its text kept."""
    code = Code(message.code) if message.code in Code.__members__ else Code.INTERNAL
    return VermilionError(code, message.reason, document=message.document or None, rule=message.rule or None)
