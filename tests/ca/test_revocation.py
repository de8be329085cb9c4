"""CRLs and revocation, judged by openssl and pkilint."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select, update

from ca.issuance.findings import crl_findings
from ca.revocation.change import LEAF_REASONS
from ca.rpc import OwnRecord
from ca.tables import issuers, outbox
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from tests.ca.office import Desk
from tests.ca.standing import client, crl, published, seal

Run = Callable[..., str]


def verify_with_crls(desk: Desk, certificate: x509.Certificate, folder: Path, run: Run) -> str:
    """``openssl verify -crl_check_all`` over leaf, issuing CA and root."""
    chain = {"leaf": certificate, "seals": desk.authorities["seals"], "root": desk.authorities["root"]}
    for name, each in chain.items():
        (folder / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    (folder / "crls.pem").write_bytes(crl(desk).public_bytes(Encoding.PEM) + crl(desk, "root").public_bytes(Encoding.PEM))
    return run(
        *["openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", folder / "root.pem", "-untrusted", folder / "seals.pem"],
        *["-CRLfile", folder / "crls.pem", folder / "leaf.pem"],
    )


def test_openssl_takes_the_chain_with_all_crls_and_refuses_it_once_revoked(desk: Desk, tmp_path: Path, run: Run) -> None:
    certificate = seal(desk)
    assert verify_with_crls(desk, certificate, tmp_path, run).strip().endswith("OK")
    desk.revoke("seals", certificate.serial_number, "keyCompromise")
    with pytest.raises(AssertionError, match="certificate revoked"):
        verify_with_crls(desk, certificate, tmp_path, run)


@pytest.mark.parametrize("issuer", ["root", "seals", "infrastructure"])
def test_pkilint_finds_nothing_in_any_crl(issuer: str, desk: Desk) -> None:
    if issuer == "seals":
        for reason in LEAF_REASONS:
            desk.revoke("seals", seal(desk).serial_number, reason)
    assert crl_findings(crl(desk, issuer)) == []


@pytest.mark.parametrize("reason", LEAF_REASONS)
def test_revoked_serial_is_on_a_published_crl_when_the_answer_comes(reason: str, desk: Desk) -> None:
    certificate = seal(desk)
    before = published(desk).number
    number = desk.revoke("seals", certificate.serial_number, reason)
    assert number > before and published(desk).number == number
    entry = crl(desk).get_revoked_certificate_by_serial_number(certificate.serial_number)
    assert entry is not None and entry.revocation_date_utc == desk.clock.now().replace(microsecond=0)
    if reason == "unspecified":
        assert len(entry.extensions) == 0
    else:
        assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == reason


def test_crl_has_number_issuer_and_a_week(desk: Desk) -> None:
    desk.publisher.publish("seals")
    made = crl(desk)
    assert made.issuer == desk.authorities["seals"].subject
    assert made.is_signature_valid(desk.authorities["seals"].public_key())  # type: ignore[arg-type]
    assert made.next_update_utc is not None and made.next_update_utc - made.last_update_utc == timedelta(days=7)
    assert made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == published(desk).number
    key = desk.authorities["seals"].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key


def test_roots_crl_lives_a_year(desk: Desk) -> None:
    made = crl(desk, "root")
    assert made.next_update_utc is not None
    assert timedelta(days=360) < made.next_update_utc - made.last_update_utc <= timedelta(days=366)


def test_crl_is_replaced_on_schedule_and_not_before(desk: Desk) -> None:
    number = desk.publisher.publish("infrastructure")
    desk.clock.advance(23 * 3600)
    desk.publisher.publish_due()
    assert published(desk, "infrastructure").number == number
    desk.clock.advance(3600)
    desk.publisher.publish_due()
    assert published(desk, "infrastructure").number == number + 1


def test_numbers_have_no_gap_when_many_publish_at_once(desk: Desk) -> None:
    first = published(desk).number
    with ThreadPoolExecutor(4) as pool:
        numbers = sorted(pool.map(lambda _: desk.publisher.publish("seals"), range(8)))
    assert numbers == list(range(first + 1, first + 9))


def test_revocation_that_found_no_token_is_kept_and_published_later(desk: Desk) -> None:
    """The state after a crash between the revocation's commit and its CRL."""
    certificate = seal(desk)
    desk.revoke("seals", certificate.serial_number, "superseded")
    with write(desk.engine) as connection:
        connection.execute(update(issuers).where(issuers.c.name == "seals").values(crl_due=True))
    before = published(desk).number
    desk.publisher.publish_due()
    assert published(desk).number == before + 1


def test_token_gone_while_revoking_is_a_typed_error_and_the_revocation_stands(desk: Desk) -> None:
    certificate = client(desk)
    desk.token.close()
    with pytest.raises(VermilionError) as refused:
        desk.revoke("infrastructure", certificate.serial_number, "keyCompromise")
    assert refused.value.code is Code.HSM_UNAVAILABLE
    assert OwnRecord(desk.engine).is_revoked(certificate.serial_number)
    with read(desk.engine) as connection:
        assert connection.execute(select(issuers.c.crl_due).where(issuers.c.name == "infrastructure")).scalar_one()


def test_same_revocation_again_changes_nothing(desk: Desk) -> None:
    certificate = seal(desk)
    first = desk.revoke("seals", certificate.serial_number, "superseded")
    assert desk.revoke("seals", certificate.serial_number, "superseded") == first
    with pytest.raises(VermilionError) as refused:
        desk.revoke("seals", certificate.serial_number, "keyCompromise")
    assert refused.value.code is Code.CONFLICT


@pytest.mark.parametrize("reason", ["certificateHold", "removeFromCRL", "", "because"])
def test_reasons_that_are_no_final_revocation_are_refused(reason: str, desk: Desk) -> None:
    with pytest.raises(VermilionError) as refused:
        desk.revoke("seals", 1, reason)
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_unknown_serial_and_serial_of_the_other_ca_are_not_found(desk: Desk) -> None:
    serial = seal(desk).serial_number
    for issuer, number in (("seals", 12345), ("infrastructure", serial)):
        with pytest.raises(VermilionError) as refused:
            desk.revoke(issuer, number, "superseded")
        assert refused.value.code is Code.NOT_FOUND


def test_every_revocation_leaves_a_note_for_the_ledger(desk: Desk) -> None:
    certificate = seal(desk)
    desk.revoke("seals", certificate.serial_number, "superseded")
    with read(desk.engine) as connection:
        wanted = select(outbox).where(outbox.c.idempotency_key == f"revocation:{certificate.serial_number:x}")
        note = connection.execute(wanted).one()
    assert note.kind == "revocation" and note.subject_sha256 == certificate.fingerprint(SHA256())


def test_ca_knows_at_once_which_callers_are_revoked_and_trusts_no_unknown_one(desk: Desk) -> None:
    certificate = client(desk)
    record = OwnRecord(desk.engine)
    assert not record.is_revoked(certificate.serial_number)
    desk.revoke("infrastructure", certificate.serial_number, "cessationOfOperation")
    assert record.is_revoked(certificate.serial_number)
    assert record.is_revoked(4711)
