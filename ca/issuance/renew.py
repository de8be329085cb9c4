"""Renewal: the holder of a certificate gets its successor, with a new key and nothing else that is new.

The old key is proven by the mTLS connection, the new one by the PKCS#10 request. Profile, SAN and subject are those of the record;
a request may repeat them, and is refused when it asks for others. Whether the old certificate is in force is asked of the record, in the
transaction that writes the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cryptography import x509
from sqlalchemy import Engine, select

from ca.issuance.holders import Renewal
from ca.issuance.issue import Issuance, Order
from ca.issuance.profiles import ATTRIBUTES, AttributeName, Profile
from ca.issuance.request import Names, read
from ca.names import role_of
from ca.record import serial_text
from ca.tables import State, certificates
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read as reading
from sealcore.platform.peer import Peer

_RULE: Final = "A renewal repeats profile, SAN and subject of the certificate that the caller shows, and has a new key."


class Renewals:
    """Renews certificates of the infrastructure CA for those who hold them."""

    def __init__(self, engine: Engine, issuance: Issuance) -> None:
        self._engine = engine
        self._issuance = issuance

    def renew(self, holder: Peer, request_der: bytes) -> tuple[str, x509.Certificate]:
        """The profile and the new certificate; the same request again gets the same one.

        Raises PERMISSION_DENIED (other names, or a profile that is not renewed so), CONFLICT (a key that has a certificate),
        and as ``Issuance.issue``.
        """
        row = self._record(holder)
        profile = self._issuance.profile(row.profile)
        if not profile.renewable:
            raise VermilionError(Code.PERMISSION_DENIED, f"a certificate of the profile {row.profile} is not renewed by its holder")
        present = x509.load_der_x509_certificate(row.certificate)
        names, attributes = _names(present), _attributes(present, profile)
        wanted = read(request_der)
        if wanted.names not in (Names(), names) or any(attributes.get(name) != value for name, value in wanted.attributes.items()):
            raise VermilionError(Code.PERMISSION_DENIED, f"the request of {holder.uri} asks for other names than it has", rule=_RULE)
        # A stolen key would otherwise live on for ever under certificates that it renews itself.
        if wanted.public_key == present.public_key():
            raise VermilionError(Code.CONFLICT, f"the request of {holder.uri} is for the key that it has", rule=_RULE)
        order = Order(row.profile, replace(wanted, names=names, attributes=attributes), claim=Renewal(row.serial))
        # ``ensure``, not ``issue``: a call that broke off is sent again with the same key, and must
        # not find it taken.
        return row.profile, self._issuance.ensure(order)

    def _record(self, holder: Peer) -> Any:
        wanted = select(certificates).where(certificates.c.serial == serial_text(holder.serial), certificates.c.state == State.ISSUED)
        with reading(self._engine) as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None or role_of(row.issuer) != "infrastructure":
            raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate of {holder.uri} is not in force")
        return row


def _names(present: x509.Certificate) -> Names:
    san = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = san.get_values_for_type(x509.UniformResourceIdentifier)
    addresses = [address for address in san.get_values_for_type(x509.IPAddress) if hasattr(address, "packed")]
    return Names(uri, tuple(san.get_values_for_type(x509.DNSName)), tuple(addresses))  # type: ignore[arg-type]  # no networks in ours


def _attributes(present: x509.Certificate, profile: Profile) -> Mapping[AttributeName, str]:
    """The subject, but for what every certificate of the office has: that is the issuer's to state."""
    by_oid = {oid: name for name, oid in ATTRIBUTES.items()}
    found = {by_oid[one.oid]: str(one.value) for one in present.subject}
    return {name: value for name, value in found.items() if name not in profile.subject.office}
