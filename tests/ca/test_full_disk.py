"""A CA whose disk is full: what stops a certificate goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from ca.revocation.change import Change, Kind
from ca.revocation.revoke import Revocation, by_caller
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.storage import Storage, StorageSettings
from tests.ca.conftest import open_desk
from tests.ca.office import Office
from tests.ca.standing import crl, seal
from tests.support.disks import Hog, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", 16) as folder:
        yield folder


def test_on_a_full_disk_certificates_are_held_and_revoked_and_none_is_released(office: Office, disk: Path) -> None:
    hog, storage = Hog(disk), Storage(disk, StorageSettings())
    with Token.open(office.ca_token) as token, open_desk(office, token, f"sqlite:///{disk / 'ca.db'}") as desk:
        one, other = seal(desk), seal(desk)
        desk.publisher.publish("seals")
        storage.fill_up()
        revocation = Revocation(desk.engine, desk.publisher, storage, clock=desk.clock)

        def perform(kind: Kind, certificate: x509.Certificate, reason: str = "") -> int:
            change = Change(kind, "seals", certificate.serial_number, reason)
            return revocation.perform(change, by_caller("https://vermilion.internal/operator/test", change))

        for kind, certificate, reason in ((Kind.HOLD, one, ""), (Kind.REVOKE, other, "keyCompromise")):
            hog.fill()
            perform(kind, certificate, reason)
        listed = {each.serial_number for each in crl(desk)}
        assert {one.serial_number, other.serial_number} <= listed
        for part in disk.glob(".reserve-for-stops.*"):
            part.unlink()
        hog.fill()
        with pytest.raises(VermilionError) as refused:
            while True:  # until the log of the database has no room left in it
                perform(Kind.RELEASE, one)
                perform(Kind.HOLD, one)
        assert refused.value.code is Code.STORAGE_FULL
        hog.go()
        perform(Kind.REVOKE, one, "keyCompromise")
        assert crl(desk).get_revoked_certificate_by_serial_number(one.serial_number) is not None
