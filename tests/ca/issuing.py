"""Issuing in the tests' own process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from ca.issuance import profiles
from ca.tables import certificates
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.db import read as reading
from tests.ca.office import Desk, software_request

CN = NameOID.COMMON_NAME


Names = tuple[tuple[x509.ObjectIdentifier, str], ...]


# profile → subject that the request asks for
SUBJECTS: dict[str, Names] = {
    "seal": ((CN, "合同专用章"),),
    "tsa": ((CN, "Timestamp Unit 1"),),
    "ocsp": ((CN, "OCSP 1"),),
    "service": ((CN, "signer"),),
    "client": ((CN, "billing"),),
    "operator": ((CN, "console"),),
    "device": ((CN, "machine 7"), (NameOID.SERIAL_NUMBER, "SM-0007")),
    "person": ((CN, "王小明"), (NameOID.SURNAME, "王"), (NameOID.GIVEN_NAME, "小明"), (NameOID.SERIAL_NUMBER, "0190-1")),
}


def uri_of(profile: str) -> str:
    begins = profiles.load()[profile].uri
    return f"{begins}{uuid7()}" if begins else ""


def issue(desk: Desk, profile: str) -> x509.Certificate:
    """A certificate of this profile for a new software key."""
    hosts = {"dns": ["signer.vermilion.internal"], "addresses": ["127.0.0.1", "::1"]} if profile == "service" else {}
    return desk.issue(profile, software_request(*SUBJECTS[profile]), uri=uri_of(profile), **hosts)


def refusal(code: Code, act: Callable[[], object]) -> VermilionError:
    with pytest.raises(VermilionError) as refused:
        act()
    assert refused.value.code is code
    return refused.value


def count(desk: Desk) -> int:
    with reading(desk.engine) as connection:
        return len(connection.execute(select(certificates.c.serial)).all())
