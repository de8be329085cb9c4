"""Certificates whose standing changes, and the CRLs that say so."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.revocation.crl import PublishedCrl, newest
from sealcore.ids import uuid7
from tests.ca.office import Desk, software_request


def seal(desk: Desk) -> x509.Certificate:
    return desk.issue("seal", software_request((NameOID.COMMON_NAME, "章")))


def client(desk: Desk) -> x509.Certificate:
    return desk.issue("client", software_request((NameOID.COMMON_NAME, "c")), uri=f"https://vermilion.internal/client/{uuid7()}")


def published(desk: Desk, issuer: str = "seals") -> PublishedCrl:
    found = newest(desk.engine, issuer)
    assert found is not None
    return found


def crl(desk: Desk, issuer: str = "seals") -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(published(desk, issuer).der)
