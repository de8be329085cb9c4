"""What can be done to a certificate's standing: revoke, hold, release; and the reasons that RFC 5280 gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ca.names import IssuerName, role_of
from sealcore.errors import Code, VermilionError

_EVERYWHERE: Final = ("unspecified", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn")

LEAF_REASONS: Final = (*_EVERYWHERE, "keyCompromise")
"""CRLReasons of an end entity's certificate (RFC 5280 §5.3.1). removeFromCRL belongs to delta CRLs; a hold is asked for by itself."""

AUTHORITY_REASONS: Final = (*_EVERYWHERE, "cACompromise")
"""CRLReasons of a CA's certificate."""

ON_HOLD: Final = "certificateHold"
SERIAL_LIMIT_BYTES: Final = 20  # RFC 5280 §4.1.2.2


class Kind(StrEnum):
    """REVOKE is final; HOLD can be undone by RELEASE, which does only that."""

    REVOKE = "revoke"
    HOLD = "hold"
    RELEASE = "release"


def reasons(authority: IssuerName) -> tuple[str, ...]:
    """The reasons for which this authority revokes: the root certifies CAs alone, the others none."""
    return AUTHORITY_REASONS if role_of(authority) == "root" else LEAF_REASONS


@dataclass(frozen=True)
class Change:
    """One change of one certificate's standing; refused with INVALID_ARGUMENT where it contradicts itself.

    issuer           the authority that issued the certificate
    reason           CRLReason by its ASN.1 name; REVOKE alone has one
    invalidity_date  since when the key is known or suspected not to be safe (RFC 5280 §5.3.2), UTC; REVOKE alone may have one
    """

    kind: Kind
    issuer: IssuerName
    serial: int
    reason: str = ""
    invalidity_date: datetime | None = None

    def __post_init__(self) -> None:
        role_of(self.issuer)  # refuses what is no authority
        if not 0 < self.serial < 1 << 8 * SERIAL_LIMIT_BYTES:
            raise _invalid(f"a serial number is positive and has at most {SERIAL_LIMIT_BYTES} octets")
        if self.kind is Kind.REVOKE and self.reason not in reasons(self.issuer):
            raise _invalid(f"{self.reason[:40]!r} is not a reason here; there are {', '.join(sorted(reasons(self.issuer)))}")
        if self.kind is not Kind.REVOKE and (self.reason or self.invalidity_date is not None):
            raise _invalid(f"a {self.kind} has neither reason nor invalidity date")

    def as_json(self) -> dict[str, str]:
        """The change as an act's parameters carry it."""
        value = {"change": str(self.kind), "issuer": self.issuer, "serial": f"{self.serial:x}"}
        if self.reason:
            value["reason"] = self.reason
        if self.invalidity_date is not None:
            value["invalidity_date"] = self.invalidity_date.strftime(_INSTANT)
        return value


_INSTANT: Final = "%Y-%m-%dT%H:%M:%SZ"
_MEMBERS: Final = frozenset({"change", "issuer", "serial", "reason", "invalidity_date"})


def change_of(parameters: Mapping[str, Any]) -> Change:
    """The change that an act's parameters ask for; INVALID_ARGUMENT unless they are exactly what ``Change.as_json`` writes."""
    if not parameters.keys() <= _MEMBERS or not all(isinstance(value, str) for value in parameters.values()):
        raise _invalid(f"the act's parameters are texts: {', '.join(sorted(_MEMBERS))}")
    try:
        kind, serial = Kind(parameters["change"]), int(parameters["serial"], 16)
        issuer = parameters["issuer"]
    except (KeyError, ValueError):
        raise _invalid("the act names a change (revoke, hold, release), an issuer and a serial number in hex") from None
    invalid = parameters.get("invalidity_date")
    change = Change(kind, issuer, serial, parameters.get("reason", ""), instant(invalid) if invalid is not None else None)
    if change.as_json() != dict(parameters):
        raise _invalid("the act's parameters are not in their one form")
    return change


def instant(value: str) -> datetime:
    """An invalidity date as people and calls write it, e.g. 2026-03-01T12:00:00Z; INVALID_ARGUMENT."""
    try:
        return datetime.strptime(value, _INSTANT).replace(tzinfo=UTC)
    except ValueError:
        raise _invalid(f"{value[:40]!r} is not an instant like 2026-03-01T12:00:00Z") from None


def _invalid(reason: str) -> VermilionError:
    return VermilionError(Code.INVALID_ARGUMENT, reason)
