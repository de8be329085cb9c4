"""What the verdict is in each ordinary case."""

from __future__ import annotations

import asyncio
import io
from datetime import datetime, timedelta
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from pyhanko.sign.fields import MDPPerm

from tests.verify.conftest import Check, codes
from tests.verify.office import DAY, NOW, POINT, Authority, Office, Sealed, TileLog, fill_in, issue, page_document
from verify.report import Answer, AuthorisedState, Certification, Change, SealKind, Verdict
from verify.trust import TrustMaterial


def test_a_sealed_unchanged_logged_document_is_valid(office: Office, sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(sealed.entry())
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.VALID
    assert report.sentence.startswith("Sealed by Example Trading Ltd (Contract Seal) on 2026-06-01 11:55 UTC. Unchanged since. Authorised")
    (seal,) = report.seals
    assert (seal.kind, seal.valid, seal.changed.state, seal.level) == (SealKind.SEAL, Answer.YES, Change.NONE, "B-T")
    assert seal.authorised.state is AuthorisedState.AUTHORISED and seal.authorised.ledger_index == 0
    assert codes(report) == set()


def test_without_a_ledger_a_seal_can_be_valid_and_the_report_says_that_the_ledger_was_not_asked(sealed: Sealed, check: Check) -> None:
    report = check(sealed.data)
    assert report.verdict is Verdict.VALID
    assert report.seals[0].authorised.state is AuthorisedState.NOT_ASKED
    assert codes(report) == {"LEDGER_NOT_ASKED"} and "not asked" in report.sentence


@pytest.mark.parametrize("part", ["page", "signature"])
def test_one_changed_byte_makes_it_invalid(sealed: Sealed, check: Check, part: str) -> None:
    data = bytearray(sealed.data)
    if part == "page":
        at = data.index(b"/MediaBox") + len("/MediaBox")
    else:
        at = bytes(data).lower().index(sealed.signature_value.hex().encode()) + 20
    data[at] = ord("1") if data[at] != ord("1") else ord("2")
    report = check(bytes(data))
    assert report.verdict is Verdict.INVALID
    assert codes(report) & {"NOT_INTACT", "SIGNATURE_INVALID"}


def test_filling_in_a_form_after_sealing_is_reported_and_stays_valid(office: Office, check: Check) -> None:
    sealed = office.sign(page_document(form=True))
    report = check(fill_in(sealed.data, "250"))
    assert report.verdict is Verdict.VALID
    assert report.seals[0].changed.state is Change.PERMITTED and report.seals[0].changed.fields == ("amount",)
    assert "FORM_FILLED_LATER" in codes(report) and "form fields filled in" in report.sentence


def test_a_form_filled_in_under_a_final_seal_is_forbidden(office: Office, check: Check) -> None:
    sealed = office.sign(page_document(form=True), certify=MDPPerm.NO_CHANGES)
    report = check(fill_in(sealed.data, "250"))
    assert report.verdict is Verdict.INVALID and codes(report) >= {"CHANGED_AFTER_SEALING"}
    assert report.seals[0].certification is Certification.FINAL


def test_two_seals_one_after_the_other_are_both_valid(office: Office, log: TileLog, check: Check) -> None:
    first = office.sign(page_document())
    second = office.sign(first.data, field_name="Seal2", at=NOW - timedelta(minutes=2))
    log.publish(first.entry(), second.entry())
    report = check(second.data, log.view())
    assert report.verdict is Verdict.VALID
    assert [seal.changed.state for seal in report.seals] == [Change.PERMITTED, Change.NONE]
    assert report.sentence.startswith("Sealed 2 times, last by Example Trading Ltd (Contract Seal) on 2026-06-01 11:58 UTC.")


def test_somebody_elses_signature_is_reported_and_does_not_decide_beside_ours(office: Office, check: Check) -> None:
    stranger = Office()
    first = stranger.sign(page_document(), field_name="Theirs")
    report = check(office.sign(first.data, field_name="Ours").data)
    assert report.verdict is Verdict.VALID
    assert [(seal.field, seal.kind) for seal in report.seals] == [("Theirs", SealKind.FOREIGN), ("Ours", SealKind.SEAL)]


def test_a_signature_under_another_root_alone_is_undetermined(sealed: Sealed, check: Check) -> None:
    report = check(sealed.data, trust=Office().trust())
    assert report.verdict is Verdict.UNDETERMINED and codes(report) == {"FOREIGN_SEAL"}
    assert report.seals[0].kind is SealKind.FOREIGN and report.seals[0].valid is Answer.UNKNOWN


def test_a_root_of_the_same_name_is_still_another_root(sealed: Sealed, check: Check) -> None:
    impostor = Office()
    assert impostor.root.identity.certificate.subject == Office().root.identity.certificate.subject
    assert check(impostor.sign(page_document()).data).verdict is Verdict.UNDETERMINED


def test_an_infrastructure_certificate_of_ours_is_no_seal(office: Office, check: Check) -> None:
    client = issue("A client", office.infrastructure.identity, usage="seal")
    report = check(office.sign(page_document(), by=client, chain=[office.infrastructure.identity]).data)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) == {"FOREIGN_SEAL"}


def test_a_certificate_of_ours_that_is_not_for_seals_is_refused(office: Office, check: Check) -> None:
    wrong = issue("Not a seal", office.seals.identity, usage="client")
    report = check(office.sign(page_document(), by=wrong).data)
    assert report.verdict is Verdict.INVALID and codes(report) >= {"CERTIFICATE_PURPOSE"}


# --- time and revocation


def test_an_expired_certificate_is_valid_when_the_timestamp_is_older(office: Office, check: Check) -> None:
    old = issue("Old Seal", office.seals.identity, end=NOW - 10 * DAY)
    assert check(office.sign(page_document(), by=old, at=NOW - 20 * DAY).data).verdict is Verdict.VALID


def test_an_expired_certificate_is_undetermined_when_the_crl_drops_what_expired(office: Office, check: Check) -> None:
    old = issue("Old Seal", office.seals.identity, end=NOW - 10 * DAY)
    report = check(office.sign(page_document(), by=old, at=NOW - 20 * DAY).data, trust=office.trust(keeps_expired=False))
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"REVOCATION_UNKNOWN"}


def test_a_seal_made_after_its_certificate_expired_is_invalid(office: Office, check: Check) -> None:
    old = issue("Old Seal", office.seals.identity, end=NOW - 10 * DAY)
    report = check(office.sign(page_document(), by=old, at=NOW - 5 * DAY).data)
    assert report.verdict is Verdict.INVALID and codes(report) >= {"CERTIFICATE_NOT_IN_FORCE"}


def test_a_seal_made_before_its_certificate_began_is_invalid(office: Office, check: Check) -> None:
    young = issue("Young Seal", office.seals.identity, start=NOW - 1 * DAY)
    report = check(office.sign(page_document(), by=young, at=NOW - 5 * DAY).data)
    assert report.verdict is Verdict.INVALID and codes(report) & {"CERTIFICATE_NOT_IN_FORCE", "CERTIFICATE_UNTRUSTED"}


@pytest.mark.parametrize(
    ("revoked_days_ago", "invalid_days_ago", "expected"),
    [
        (10, None, (Verdict.INVALID, "CERTIFICATE_REVOKED")),
        (1, None, (Verdict.VALID, "REVOKED_LATER")),
        (1, 10, (Verdict.INVALID, "CERTIFICATE_REVOKED")),
    ],
    ids=["before the timestamp", "after the timestamp", "later, but the key was lost before"],
)
def test_revocation_counts_from_when_it_took_effect(
    office: Office, check: Check, revoked_days_ago: int, invalid_days_ago: int | None, expected: tuple[Verdict, str]
) -> None:
    seal = issue("Revoked Seal", office.seals.identity)
    sealed = office.sign(page_document(), by=seal, at=NOW - 5 * DAY)
    invalid_since = NOW - invalid_days_ago * DAY if invalid_days_ago else None
    trust = _with_revoked(office, seal.certificate.serial_number, revoked_days_ago, "keyCompromise", invalid_since)
    report = check(sealed.data, trust=trust)
    assert report.verdict is expected[0] and expected[1] in codes(report)


@pytest.mark.parametrize("held", ["none", "stale"])
def test_without_a_current_crl_nothing_is_found_valid(office: Office, sealed: Sealed, check: Check, held: str) -> None:
    trust = office.trust().with_crls([]) if held == "none" else office.trust(at=NOW - 30 * DAY)
    report = check(sealed.data, trust=trust)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"REVOCATION_UNKNOWN"}


ELSEWHERE = x509.UniformResourceIdentifier("http://ca.test/crl/other.crl")


@pytest.mark.parametrize(
    ("scope", "verdict"),
    [
        ({"full_name": [POINT]}, Verdict.VALID),
        ({"full_name": [ELSEWHERE, POINT]}, Verdict.VALID),
        ({"only_contains_user_certs": True}, Verdict.VALID),
        ({"full_name": [POINT], "only_contains_user_certs": True}, Verdict.VALID),
        ({"full_name": [ELSEWHERE]}, Verdict.UNDETERMINED),
        ({"only_contains_ca_certs": True}, Verdict.UNDETERMINED),
        ({"only_contains_attribute_certs": True}, Verdict.UNDETERMINED),
        ({"indirect_crl": True}, Verdict.UNDETERMINED),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, Verdict.UNDETERMINED),
    ],
)
def test_a_crl_speaks_only_of_the_certificates_in_its_scope(
    office: Office, sealed: Sealed, check: Check, scope: dict[str, Any], verdict: Verdict
) -> None:
    trust = office.trust().with_crls([office.root.crl(), office.seals.crl(**scope)])
    assert check(sealed.data, trust=trust).verdict is verdict


def test_a_seal_without_a_timestamp_is_undetermined(office: Office, check: Check) -> None:
    report = check(office.sign(page_document(), at=None).data)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"NO_TIMESTAMP"}
    assert report.seals[0].level == "B-B" and report.seals[0].sealed_at is None


def test_a_timestamp_by_somebody_else_proves_no_time(office: Office, check: Check) -> None:
    stranger = Office()
    report = check(office.sign(page_document(), tsa=stranger.tsa).data)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"TIMESTAMP_UNTRUSTED"}
    assert report.seals[0].sealed_at is None


def test_a_timestamp_from_the_future_proves_no_time(office: Office, check: Check) -> None:
    report = check(office.sign(page_document(), at=NOW + 5 * DAY).data)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"TIMESTAMP_UNTRUSTED"}


def test_a_timestamp_by_a_certificate_that_is_not_for_timestamps_proves_no_time(office: Office, check: Check) -> None:
    wrong = issue("No TSA", office.seals.identity, usage="client", rsa_key=True)
    report = check(office.sign(page_document(), tsa=wrong).data)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"TIMESTAMP_UNTRUSTED"}


@pytest.mark.parametrize(
    ("reason", "verdict"), [("superseded", Verdict.VALID), ("keyCompromise", Verdict.UNDETERMINED), ("", Verdict.UNDETERMINED)]
)
def test_tokens_of_a_revoked_timestamp_unit_count_only_when_it_was_retired_in_order(
    office: Office, check: Check, reason: str, verdict: Verdict
) -> None:
    unit = issue("Retired Unit", office.seals.identity, usage="tsa")
    sealed = office.sign(page_document(), tsa=unit, at=NOW - 5 * DAY)
    trust = _with_revoked(office, unit.certificate.serial_number, 1, reason, None)
    assert check(sealed.data, trust=trust).verdict is verdict


def test_an_expired_timestamp_unit_no_longer_proves_the_time(office: Office, check: Check) -> None:
    unit = issue("Old Unit", office.seals.identity, usage="tsa", end=NOW - 1 * DAY)
    report = check(office.sign(page_document(), tsa=unit, at=NOW - 5 * DAY).data)
    assert report.verdict is Verdict.UNDETERMINED and codes(report) >= {"TIMESTAMP_EXPIRED"}


# --- nothing to judge


def test_a_document_without_a_seal_is_undetermined(check: Check) -> None:
    report = check(page_document())
    assert report.verdict is Verdict.UNDETERMINED and codes(report) == {"NO_SEAL"} and report.seals == ()
    assert report.sentence == "Cannot be decided: the document carries no seal."


def test_an_encrypted_document_is_unreadable(check: Check) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(page_document())) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="o", user="u"))
    report = check(out.getvalue())
    assert report.verdict is Verdict.UNREADABLE and codes(report) == {"ENCRYPTED"}


def test_an_encrypted_document_that_opens_for_everyone_is_judged(check: Check) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(page_document())) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="o", user=""))
    assert codes(check(out.getvalue())) == {"NO_SEAL"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "EMPTY"),
        (b"hello", "NOT_A_PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "NOT_A_PDF"),
        (b"%PDF-1.7\n", "DAMAGED"),
        (b"%PDF-1.7\nstartxref\n99999999\n%%EOF\n", "DAMAGED"),
    ],
    ids=["empty", "text", "picture", "header alone", "no cross-references"],
)
def test_what_is_no_whole_pdf_is_unreadable(check: Check, data: bytes, code: str) -> None:
    report = check(data)
    assert report.verdict is Verdict.UNREADABLE and codes(report) == {code}


def test_a_sealed_document_cut_short_is_never_valid(sealed: Sealed, check: Check) -> None:
    for share in range(1, 20):
        assert check(sealed.data[: len(sealed.data) * share // 20]).verdict is not Verdict.VALID


def test_names_of_a_document_cannot_reverse_the_text_around_them(office: Office, check: Check) -> None:
    spoof = issue("Seal\u202e\u0007evil", office.seals.identity, organisation="Exam\u200fple")
    report = check(office.sign(page_document(), by=spoof).data)
    assert (report.seals[0].name, report.seals[0].owner) == ("Seal<U+202E><U+0007>evil", "Exam<U+200F>ple")


def _with_revoked(office: Office, serial: int, days_ago: int, reason: str, invalid_since: datetime | None) -> TrustMaterial:
    seals = Authority(office.seals.identity, [(serial, NOW - days_ago * DAY, reason, invalid_since)])
    return office.trust().with_crls([office.root.crl(), seals.crl()])


def test_verification_works_inside_an_event_loop_too(sealed: Sealed, check: Check) -> None:
    async def inside() -> Verdict:
        return check(sealed.data).verdict

    assert asyncio.run(inside()) is Verdict.VALID
