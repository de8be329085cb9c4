"""An authority is revoked by the roots that certified it: every certificate of its key gets onto their CRLs. In the root's token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from ca.ceremony.context import Room, say
from ca.names import IssuerName, role_of
from ca.pki import Hierarchy, load_hierarchy, root_of
from ca.revocation.change import Change, Kind
from ca.revocation.revoke import Revocation, by_ceremony
from sealcore.errors import Code, VermilionError
from sealcore.platform.storage import NOT_WATCHED


def revoke_authority(room: Room, name: IssuerName, reason: str, invalidity_date: datetime | None = None) -> None:
    """Its own certificate and its cross certificates, revoked for good; a root's own, which nobody certified, stays out of it.

    NOT_FOUND for no authority of ours, INVALID_ARGUMENT for a root without cross certificates, CONFLICT when it is revoked for
    another reason.
    """
    hierarchy = load_hierarchy(room.settings.pki_folder)
    found = list(_certified(hierarchy, name))
    if not found:
        rule = "A root is trusted as it stands: relying parties end it by taking it out of their trust."
        raise VermilionError(Code.INVALID_ARGUMENT, f"no root has certified {name}", rule=rule)
    for root, certificate in found:
        change = Change(Kind.REVOKE, root, certificate.serial_number, reason, invalidity_date)
        issuer = room.issuer(root, hierarchy.authorities[root])
        Revocation(room.engine, room.publisher(issuer), NOT_WATCHED, clock=room.clock).perform(change, by_ceremony(change))
        room.publish_root_crl(issuer, only_if_due=True)
        say(step="revoke", authority=name, issuer=root, serial=f"{certificate.serial_number:x}", reason=reason)


def _certified(hierarchy: Hierarchy, name: IssuerName) -> Iterator[tuple[IssuerName, x509.Certificate]]:
    """Each certificate of this authority that a root has signed for another, with that root's name."""
    own, *crosses = hierarchy.certificates_of(name)
    for certificate in crosses if role_of(name) == "root" else (own, *crosses):
        yield root_of(certificate, hierarchy.authorities), certificate
