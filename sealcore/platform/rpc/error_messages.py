"""Errors as protobuf messages, for gRPC details and for results in a stream. Needs no gRPC."""

from __future__ import annotations

from typing import Final

from protos.vermilion.v1 import common_pb2
from sealcore.errors import Code, VermilionError, code_named

LONGEST_BYTES: Final = 1500  # of one text: gRPC takes 8 KiB of metadata, in which an error has a third more


def to_message(error: VermilionError) -> common_pb2.Error:
    """The wire form of an error. Reasons may quote what a stranger wrote: characters that UTF-8 does not have become question marks."""
    reason, rule, document = (_bounded(text.encode("utf-8", "replace")) for text in (error.reason, error.rule, error.document or ""))
    return common_pb2.Error(code=str(error.code), reason=reason, rule=rule, document=document, way_out=error.way_out)


def _bounded(text: bytes) -> str:
    if len(text) > LONGEST_BYTES:
        text = text[: LONGEST_BYTES - 3] + "…".encode()
    return text.decode("utf-8", "ignore")  # of a character that was cut in two


def from_message(message: common_pb2.Error) -> VermilionError:
    """The error a message stands for; a code we do not know becomes INTERNAL, its text kept."""
    code = code_named(message.code, Code.INTERNAL)
    return VermilionError(code, message.reason, document=message.document or None, rule=message.rule or None)
