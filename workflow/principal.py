"""Who calls: one value for every way in. What it may do is said in ``workflow.access`` and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sealcore.errors import Code, VermilionError
from sealcore.ids import CLIENT_PREFIX, OPERATOR_PREFIX


class PrincipalKind(StrEnum):
    """What kind of caller it is."""

    CLIENT = "client"  # a business system
    OPERATOR = "operator"  # runs the office and never uses a seal


@dataclass(frozen=True)
class Principal:
    """A caller, by the SAN URI of the certificate it came with."""

    kind: PrincipalKind
    uri: str

    @property
    def is_client(self) -> bool:
        """Whether it is a business system."""
        return self.kind is PrincipalKind.CLIENT

    @property
    def is_operator(self) -> bool:
        """Whether it runs the office."""
        return self.kind is PrincipalKind.OPERATOR


def principal_of(uri: str) -> Principal:
    """The principal that a certificate's URI names; PERMISSION_DENIED for a URI of anything that does not call the workflow."""
    for prefix, kind in ((CLIENT_PREFIX, PrincipalKind.CLIENT), (OPERATOR_PREFIX, PrincipalKind.OPERATOR)):
        if uri.startswith(prefix):
            return Principal(kind, uri)
    raise VermilionError(Code.PERMISSION_DENIED, f"{uri} is neither a client nor an operator")
