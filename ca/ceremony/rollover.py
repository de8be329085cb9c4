"""Rollover (RFC 4210 §4.4): a successor with a key and a name of its own, and cross certificates, so that every old chain holds.

An issuing CA's successor is certified by the newest root. A root's successor signs itself; then each root certifies the other
(old-with-new, new-with-old), and the new root certifies the issuing CAs in force. So whoever knows just one of the roots finds
a path to every certificate, old or new. Everything here runs in the root's token, and may be run again after a crash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.ceremony.context import Room, say
from ca.issuance.issue import Issuance, Issuer, Order
from ca.issuance.request import CertificateRequest
from ca.names import ISSUING, IssuerName, generations, name_of, newest, parts, role_of
from ca.pki import Cross, cross_file, is_issued_by, load_authorities, spki_of
from ca.record import has_revoked
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable

Authorities = Mapping[IssuerName, x509.Certificate]


def certify(room: Room, name: IssuerName) -> None:
    """The root certifies a successor: of an issuing CA, or its own with the cross certificates."""
    role, generation = parts(name)
    authorities = load_authorities(room.settings.pki_folder)
    if generation == 1 or name_of(role, generation - 1) not in authorities:
        raise VermilionError(Code.INVALID_ARGUMENT, f"{name} is no successor; the newest is {newest(role, authorities)}")
    if role == "root":
        _succeed_root(room, name, authorities)
    else:
        _succeed_issuing(room, name, authorities)


def _succeed_issuing(room: Room, name: IssuerName, authorities: Authorities) -> None:
    if name in authorities:
        return  # by the root that was the newest then
    root = newest("root", authorities)
    assert root is not None, "load_authorities found one"
    issuance = room.issuance(room.issuer(root, authorities[root]))
    room.publish_authority(name, issuance.ensure(Order("issuing", room.asked(name), days=room.plan[name].days)))


def _succeed_root(room: Room, name: IssuerName, authorities: Authorities) -> None:
    """The new root's own file comes last: nobody meets the root before what leads to it is there."""
    now = room.clock.now()
    order = Order("root", room.own_request(name), days=room.plan[name].days)
    new = room.issuer(name, room.issuance(room.issuer(name, None)).ensure(order))
    issuance = room.issuance(new)
    for old in _in_force(room, authorities, name, now):
        old_own = authorities[old.parent.name]
        _cross(room, issuance, Cross(old.parent.name, name), room.own_request(old.parent.name), _days(now, old_own, _own(new)))
        _cross(room, room.issuance(old), Cross(name, old.parent.name), room.own_request(name), _days(now, _own(new), old_own))
    for issuing, certificate in authorities.items():
        if role_of(issuing) not in ISSUING or not _counts(room, certificate, now):
            continue
        if not is_issued_by(certificate, _own(new)):
            _cross(room, issuance, Cross(issuing, name), room.asked(issuing), _days(now, certificate, _own(new)))
    room.publish_root_crl(new, only_if_due=True)
    room.publish_authority(name, _own(new))


def _in_force(room: Room, authorities: Authorities, new: IssuerName, now: datetime) -> Iterator[Issuer]:
    """The roots before the new one that have not ended."""
    for name in generations("root", authorities):
        if name != new and _counts(room, authorities[name], now):
            yield room.issuer(name, authorities[name])


def _counts(room: Room, certificate: x509.Certificate, now: datetime) -> bool:
    """Whether an authority is neither expired nor revoked: only such a one is certified again."""
    return certificate.not_valid_after_utc > now and not has_revoked(room.engine, hashlib.sha256(spki_of(certificate)).digest())


def _cross(room: Room, issuance: Issuance, cross: Cross, request: CertificateRequest, days: int) -> None:
    profile = "cross-root" if role_of(cross.subject) == "root" else "cross-issuing"
    certificate = issuance.ensure(Order(profile, request, days=days))
    durable.write(cross_file(room.settings.pki_folder, cross), certificate.public_bytes(Encoding.PEM))
    say(step="cross", authority=cross.subject, issuer=cross.issuer, serial=f"{certificate.serial_number:x}")


def _days(now: datetime, *bounds: x509.Certificate) -> int:
    """For how many days a cross certificate ends within both its own and its issuer's."""
    days = min((certificate.not_valid_after_utc - now).days for certificate in bounds)
    if days < 1:
        raise VermilionError(Code.CONFLICT, "an authority that ends within a day gets no cross certificate")
    return days


def _own(issuer: Issuer) -> x509.Certificate:
    certificate = issuer.parent.certificate
    assert certificate is not None, "it has signed itself"
    return certificate
