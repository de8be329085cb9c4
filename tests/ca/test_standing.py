"""Invalidity date, hold and release, what a CRL says of itself, and two replicas; judged by openssl and pyHanko's validator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathValidationError
from sqlalchemy import select

from ca.issuance.certificate import crl_url
from ca.issuance.findings import crl_findings
from ca.revocation.change import AUTHORITY_REASONS, LEAF_REASONS, Change, Kind, change_of
from ca.revocation.crl import EXPIRED_CERTS_ON_CRL
from ca.rpc import OwnRecord
from ca.tables import acts, crls, outbox
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read
from tests.ca.office import PUBLIC_URL, Desk
from tests.ca.standing import client, crl, published, seal

Run = Callable[..., str]
HOUR = timedelta(hours=1)


@pytest.fixture(name="desk")
def _desk(own_desk: Desk) -> Desk:
    return own_desk


def entry_of(desk: Desk, certificate: x509.Certificate, issuer: str = "seals") -> x509.RevokedCertificate | None:
    return crl(desk, issuer).get_revoked_certificate_by_serial_number(certificate.serial_number)


def refusal(call: Callable[[], object]) -> Code:
    with pytest.raises(VermilionError) as refused:
        call()
    return refused.value.code


def pyhanko_takes(desk: Desk, certificate: x509.Certificate) -> bool:
    """Whether pyHanko's validator finds the chain good under a hard-fail revocation policy."""
    chain = [asn1_x509.Certificate.load(desk.authorities[name].public_bytes(Encoding.DER)) for name in ("root", "seals")]
    lists = [asn1_crl.CertificateList.load(published(desk, name).der) for name in ("root", "seals")]
    context = ValidationContext(
        trust_roots=chain[:1], crls=lists, moment=desk.clock.now(), revocation_mode="hard-fail", allow_fetching=False
    )
    leaf = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    validator = CertificateValidator(leaf, intermediate_certs=chain[1:], validation_context=context)
    try:
        asyncio.run(validator.async_validate_usage({"non_repudiation"}))
    except PathValidationError:
        return False
    return True


# --- invalidity date


def test_invalidity_date_stands_in_the_entry_and_openssl_reads_it(desk: Desk, run: Run, tmp_path: Path) -> None:
    certificate = seal(desk)
    desk.clock.advance(7200)
    since = (desk.clock.now() - HOUR).replace(microsecond=0)
    desk.revoke("seals", certificate.serial_number, "keyCompromise", since)
    entry = entry_of(desk, certificate)
    assert entry is not None and entry.revocation_date_utc == since + HOUR
    invalidity = entry.extensions.get_extension_for_class(x509.InvalidityDate)
    assert (invalidity.critical, invalidity.value.invalidity_date_utc) == (False, since)
    (tmp_path / "crl.der").write_bytes(published(desk).der)
    printed = run("openssl", "crl", "-inform", "DER", "-in", tmp_path / "crl.der", "-noout", "-text")
    assert "Invalidity Date" in printed and since.strftime("%b %e %H:%M:%S %Y GMT") in printed
    assert crl_findings(crl(desk)) == []


def test_invalidity_date_lies_neither_in_the_future_nor_before_the_certificate(desk: Desk) -> None:
    certificate = seal(desk)
    for wrong in (desk.clock.now() + HOUR, certificate.not_valid_before_utc - timedelta(seconds=1)):
        assert refusal(lambda wrong=wrong: desk.revoke("seals", certificate.serial_number, "keyCompromise", wrong)) is Code.INVALID_ARGUMENT  # type: ignore[misc]
    assert entry_of(desk, certificate) is None
    desk.revoke("seals", certificate.serial_number, "keyCompromise", certificate.not_valid_before_utc)
    assert refusal(lambda: desk.revoke("seals", certificate.serial_number, "keyCompromise")) is Code.CONFLICT


# --- reasons


def test_reasons_are_those_of_the_kind_of_certificate() -> None:
    assert set(LEAF_REASONS) - set(AUTHORITY_REASONS) == {"keyCompromise"}
    assert set(AUTHORITY_REASONS) - set(LEAF_REASONS) == {"cACompromise"}
    for issuer, reason in (("seals", "cACompromise"), ("infrastructure.2", "aACompromise"), ("root", "keyCompromise")):
        assert refusal(lambda issuer=issuer, reason=reason: Change(Kind.REVOKE, issuer, 1, reason)) is Code.INVALID_ARGUMENT  # type: ignore[misc]
    for kind in (Kind.HOLD, Kind.RELEASE):
        assert refusal(lambda kind=kind: Change(kind, "seals", 1, "superseded")) is Code.INVALID_ARGUMENT  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        Change(Kind.REVOKE, "seals", 0xABC, "keyCompromise", datetime(2026, 3, 1, tzinfo=UTC)),
        Change(Kind.REVOKE, "seals.2", 1, "unspecified"),
        Change(Kind.RELEASE, "seals", 2**159 - 1),
    ],
)
def test_change_has_one_form_in_an_act(change: Change) -> None:
    parameters = change.as_json()
    assert change_of(parameters) == change
    for wrong in ({**parameters, "note": "x"}, {**parameters, "serial": f"0{change.serial:x}"}, {**parameters, "serial": 12}, {}):
        assert refusal(lambda wrong=wrong: change_of(wrong)) is Code.INVALID_ARGUMENT  # type: ignore[misc]


# --- hold and release


def test_hold_counts_as_revoked_until_it_is_released(desk: Desk, run: Run, tmp_path: Path) -> None:
    certificate = seal(desk)
    assert pyhanko_takes(desk, certificate)
    desk.clock.advance(60)
    number = desk.hold("seals", certificate.serial_number)
    entry = entry_of(desk, certificate)
    assert published(desk).number == number and entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.certificate_hold
    assert crl_findings(crl(desk)) == []
    assert not pyhanko_takes(desk, certificate)
    (tmp_path / "crl.der").write_bytes(published(desk).der)
    assert "Certificate Hold" in run("openssl", "crl", "-inform", "DER", "-in", tmp_path / "crl.der", "-noout", "-text")
    assert desk.hold("seals", certificate.serial_number) == number  # again changes nothing
    desk.clock.advance(60)
    assert desk.release("seals", certificate.serial_number) == number + 1
    assert entry_of(desk, certificate) is None and pyhanko_takes(desk, certificate)


def test_caller_on_hold_is_refused_at_once_and_heard_again_after_release(desk: Desk) -> None:
    certificate, record = client(desk), OwnRecord(desk.engine)
    desk.hold("infrastructure", certificate.serial_number)
    assert record.is_revoked(certificate.serial_number)
    desk.release("infrastructure", certificate.serial_number)
    assert not record.is_revoked(certificate.serial_number)


def test_only_what_is_on_hold_is_released_and_what_is_revoked_never(desk: Desk) -> None:
    certificate = seal(desk)
    assert refusal(lambda: desk.release("seals", certificate.serial_number)) is Code.CONFLICT
    desk.revoke("seals", certificate.serial_number, "superseded")
    for change in (desk.release, desk.hold):
        assert refusal(lambda change=change: change("seals", certificate.serial_number)) is Code.CONFLICT  # type: ignore[misc]
    assert entry_of(desk, certificate) is not None


def test_revoking_what_is_on_hold_keeps_the_day_of_the_hold(desk: Desk) -> None:
    certificate = seal(desk)
    desk.hold("seals", certificate.serial_number)
    held = desk.clock.now().replace(microsecond=0)
    desk.clock.advance(3600)
    desk.revoke("seals", certificate.serial_number, "keyCompromise")
    entry = entry_of(desk, certificate)
    assert entry is not None and entry.revocation_date_utc == held
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise


def test_every_change_is_kept_with_who_made_it_and_told_to_the_ledger(desk: Desk) -> None:
    certificate = client(desk)
    serial = f"{certificate.serial_number:x}"
    desk.hold("infrastructure", certificate.serial_number)
    desk.release("infrastructure", certificate.serial_number)
    desk.revoke("infrastructure", certificate.serial_number, "superseded")
    with read(desk.engine) as connection:
        kept = connection.execute(select(acts).where(acts.c.serial == serial).order_by(acts.c.id)).all()
        told = set(connection.execute(select(outbox.c.idempotency_key)).scalars())
    assert [f'"change":"{kind}"' in row.evidence for kind, row in zip(("hold", "release", "revoke"), kept, strict=True)] == [True] * 3
    assert all("https://vermilion.internal/operator/test" in row.evidence and row.crl_number is not None for row in kept)
    assert {f"act:{row.id}" for row in kept} | {f"revocation:{serial}"} <= told


# --- what a CRL says of itself


@pytest.mark.parametrize("issuer", ["seals", "infrastructure"])
def test_crl_says_what_it_is_about(issuer: str, desk: Desk) -> None:
    point = crl(desk, issuer).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert point.critical
    assert (point.value.only_contains_ca_certs, point.value.only_contains_user_certs) == (False, True)
    assert not point.value.indirect_crl and point.value.only_some_reasons is None
    certificate = seal(desk) if issuer == "seals" else client(desk)  # the place that certificates of this CA name, to the letter
    (named,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert named.full_name == point.value.full_name == [x509.UniformResourceIdentifier(f"{PUBLIC_URL}/crl/{issuer}.crl")]
    assert crl_url(desk.issuers[issuer].parent) == f"{PUBLIC_URL}/crl/{issuer}.crl"


def test_critical_extensions_are_the_distribution_point_alone(desk: Desk) -> None:
    for issuer, expected in (("root", []), ("seals", [x509.IssuingDistributionPoint]), ("infrastructure", [x509.IssuingDistributionPoint])):
        critical = [each.value.__class__ for each in crl(desk, issuer).extensions if each.critical]
        assert critical == expected


def test_expired_seal_stays_on_the_crl_for_ever_and_the_crl_says_so(replicas: tuple[Desk, Desk]) -> None:
    desk, _ = replicas
    certificate = seal(desk)
    desk.revoke("seals", certificate.serial_number, "keyCompromise")
    desk.clock.advance((certificate.not_valid_after_utc - desk.clock.now()).total_seconds() + 400 * 86_400)
    for _round in range(2):
        desk.publisher.publish("seals")
        desk.clock.advance(86_400)
        assert entry_of(desk, certificate) is not None
    extension = crl(desk).extensions.get_extension_for_oid(EXPIRED_CERTS_ON_CRL)
    assert not extension.critical and isinstance(extension.value, x509.UnrecognizedExtension)
    assert core.GeneralizedTime.load(extension.value.value).native == desk.authorities["seals"].not_valid_before_utc


def test_expired_service_certificate_leaves_after_one_crl_beyond_its_expiry(replicas: tuple[Desk, Desk]) -> None:
    desk, _ = replicas
    certificate = client(desk)
    desk.revoke("infrastructure", certificate.serial_number, "superseded")
    desk.clock.advance((certificate.not_valid_after_utc - desk.clock.now()).total_seconds() + 60)
    desk.publisher.publish("infrastructure")
    assert entry_of(desk, certificate, "infrastructure") is not None  # RFC 5280 §3.3: one beyond the validity period
    desk.clock.advance(60)
    desk.publisher.publish("infrastructure")
    assert entry_of(desk, certificate, "infrastructure") is None
    with pytest.raises(x509.ExtensionNotFound):
        crl(desk, "infrastructure").extensions.get_extension_for_oid(EXPIRED_CERTS_ON_CRL)


# --- two replicas


def test_two_replicas_number_without_gaps_and_lose_no_revocation(replicas: tuple[Desk, Desk]) -> None:
    certificates = [seal(replicas[0]) for _ in range(8)]

    def work(index: int) -> int:
        return replicas[index % 2].revoke("seals", certificates[index].serial_number, "superseded")

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(work, range(8)))
        again = list(pool.map(lambda desk: desk.publisher.publish("seals"), replicas * 3))
    assert len(set(again)) == 6
    with read(replicas[0].engine) as connection:
        rows = connection.execute(select(crls).where(crls.c.issuer == "seals").order_by(crls.c.number)).all()
    assert [row.number for row in rows] == list(range(1, max(again) + 1))
    lists = {row.number: x509.load_der_x509_crl(row.crl) for row in rows}
    for certificate, number in zip(certificates, numbers, strict=True):  # on the CRL that the answer named, and on all later ones
        for later in range(number, max(again) + 1):
            assert lists[later].get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    assert all(each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number for number, each in lists.items())


def test_replicas_make_one_scheduled_crl_between_them(replicas: tuple[Desk, Desk]) -> None:
    for desk in replicas:
        desk.publisher.publish_due()
    first = published(replicas[0]).number
    for desk in replicas:
        desk.clock.advance(24 * 3600 + 1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda desk: desk.publisher.publish_due(), replicas))
    assert published(replicas[0]).number == published(replicas[1]).number == first + 1
