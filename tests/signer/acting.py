"""Acts on a running signer's register."""

from __future__ import annotations

from typing import Any

import pytest

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import operator_uri, uuid7
from tests.signer.office import document
from tests.signer.station import Station, typed

OPERATOR = operator_uri("test")


def perform(station: Station, token: str, *files: bytes, uri: str = OPERATOR) -> int:
    """Carries an act out; its place in the ledger."""
    request = signer_pb2.PerformRequest(token=token, attachments=files)
    return int(typed(lambda: station.register(uri).Perform(request)).ledger_index)


def refused_act(station: Station, token: str, *files: bytes, uri: str = OPERATOR) -> Code:
    """The code with which an act is refused."""
    with pytest.raises(VermilionError) as refused:
        perform(station, token, *files, uri=uri)
    return refused.value.code


def stop(station: Station, request: signer_pb2.StopRequest) -> Any:
    """A stop at the signer."""
    return typed(lambda: station.register().Stop(request))


def change(station: Station, change: str, **parameters: Any) -> str:
    """A token of the quorum for a change of the register."""
    return station.office.act("register", {"change": change, **parameters}, sub=OPERATOR)


def sealing(station: Station, **how: Any) -> Code | None:
    """The code with which a new document is refused; None when it is sealed."""
    try:
        station.seal(station.office.approve([document(uuid7())], **how))
    except VermilionError as fault:
        return fault.code
    return None
