"""Certificates: what each profile gives, and what is refused before anything is signed."""

from __future__ import annotations

import csv
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from pkilint.bin import lint_pkix_cert
from sqlalchemy import select

from ca.issuance import profiles
from ca.issuance.certificate import build
from ca.issuance.findings import certificate_findings
from ca.issuance.holders import CEREMONY
from ca.issuance.issue import Issuance, Order
from ca.issuance.request import read
from ca.ledger_link import LedgerLink
from ca.outbox import LedgerOutbox
from ca.record import Recorded, record, store
from ca.tables import State, certificates, outbox
from sealcore import ids
from sealcore.errors import Code
from sealcore.platform.db import read as reading
from tests.ca.issuing import CN, SUBJECTS, Names, count, issue, refusal
from tests.ca.office import Desk, software_request
from tests.pki import InfrastructureCa


@pytest.mark.parametrize("profile", SUBJECTS)
def test_pkilint_finds_nothing_in_any_profile(profile: str, desk: Desk) -> None:
    assert certificate_findings(issue(desk, profile), profiles.load()[profile].etsi) == []


@pytest.mark.parametrize("profile", SUBJECTS)
def test_pkilints_own_program_finds_no_error(profile: str, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "certificate.pem"
    file.write_bytes(issue(desk, profile).public_bytes(Encoding.PEM))
    capsys.readouterr()
    lint_pkix_cert.main(["lint", "-s", "ERROR", "-f", "CSV", str(file)])
    _, *rows = csv.reader(capsys.readouterr().out.splitlines())
    assert [row for row in rows if row] == []


@pytest.mark.parametrize("profile", SUBJECTS)
def test_openssl_verifies_the_chain(profile: str, desk: Desk, tmp_path: Path, run: Callable[..., str]) -> None:
    certificate = issue(desk, profile)
    issuer = next(name for name in ("seals", "infrastructure") if desk.authorities[name].subject == certificate.issuer)
    files = {name: tmp_path / f"{name}.pem" for name in ("leaf", "issuer", "root")}
    for name, each in (("leaf", certificate), ("issuer", desk.authorities[issuer]), ("root", desk.authorities["root"])):
        files[name].write_bytes(each.public_bytes(Encoding.PEM))
    printed = run("openssl", "verify", "-x509_strict", "-CAfile", files["root"], "-untrusted", files["issuer"], files["leaf"])
    assert printed.strip().endswith("OK")


def test_seal_certificate_is_for_content_commitment_alone(desk: Desk) -> None:
    extensions = issue(desk, "seal").extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.content_commitment
    others = ("digital_signature", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    assert not any(getattr(usage.value, name) for name in others)
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.ExtendedKeyUsage)


def test_timestamp_certificate_is_for_time_stamping_critical_and_alone(desk: Desk) -> None:
    usage = issue(desk, "tsa").extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]


def test_ocsp_certificate_is_for_ocsp_and_says_no_check(desk: Desk) -> None:
    extensions = issue(desk, "ocsp").extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert extensions.get_extension_for_class(x509.OCSPNoCheck)


def test_ocsp_certificate_of_the_other_ca_is_issued_by_it(desk: Desk) -> None:
    wanted = Order("ocsp", read(software_request(*SUBJECTS["ocsp"])), issuer="infrastructure")
    certificate = desk.issuance.issue(wanted)
    assert certificate.issuer == desk.authorities["infrastructure"].subject


@pytest.mark.parametrize("profile", ["service", "client", "operator"])
def test_mtls_certificates_live_at_most_30_days_and_name_one_uri(profile: str, desk: Desk) -> None:
    certificate = issue(desk, profile)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=30)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(names.get_values_for_type(x509.UniformResourceIdentifier)) == 1
    assert bool(names.get_values_for_type(x509.DNSName)) == (profile == "service")


def test_uris_of_the_profiles_are_those_that_services_authorise_by() -> None:
    begins = {name: profile.uri for name, profile in profiles.load().items()}
    assert (begins["service"], begins["client"], begins["operator"]) == (ids.SERVICE_PREFIX, ids.CLIENT_PREFIX, ids.OPERATOR_PREFIX)


def test_certificates_say_where_crl_and_issuer_are(desk: Desk) -> None:
    extensions = issue(desk, "seal").extensions
    (point,) = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert point.full_name == [x509.UniformResourceIdentifier("http://pki.example/crl/seals.crl")]
    issuers = [one.access_location.value for one in access if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS]
    assert issuers == ["http://pki.example/ca/seals.cer"]


def test_subject_is_the_offices_own(desk: Desk) -> None:
    subject = issue(desk, "seal").subject
    office = desk.authorities["seals"].subject
    for oid in (NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATION_IDENTIFIER):
        assert subject.get_attributes_for_oid(oid) == office.get_attributes_for_oid(oid)


def test_serials_are_positive_random_and_at_most_20_octets(desk: Desk) -> None:
    serials = [issue(desk, "client").serial_number for _ in range(20)]
    assert len(set(serials)) == 20
    assert all(0 < serial < 2**128 for serial in serials) and max(serials) > 2**120


@pytest.mark.parametrize(
    ("profile", "names", "uri", "rule"),
    [
        ("seal", (), "", "common_name is required"),
        ("seal", ((CN, "a"), (NameOID.ORGANIZATION_NAME, "Another Office")), "", "organization is the office's"),
        ("seal", ((CN, "a"), (NameOID.SERIAL_NUMBER, "1")), "", "serial_number is not certified"),
        ("seal", ((CN, "a\u202eb"),), "", "plain, visible text"),
        ("seal", ((CN, " a"),), "", "plain, visible text"),
        ("seal", ((CN, "a"),), "https://vermilion.internal/service/signer", "SAN URI: none"),
        ("client", ((CN, "a"),), "", "named by one SAN URI"),
        ("client", ((CN, "a"),), "https://vermilion.internal/service/signer", "SAN URI: https://vermilion.internal/client/"),
        ("client", ((CN, "a"),), "https://vermilion.internal/client/", "SAN URI: https://vermilion.internal/client/"),
        ("client", ((CN, "a"),), "https://vermilion.internal/client/a/../b", "SAN URI: https://vermilion.internal/client/"),
        (
            "person",
            ((CN, "a"), (NameOID.SERIAL_NUMBER, "1")),
            "https://vermilion.internal/person/1",
            "one of given_name, surname, pseudonym",
        ),
    ],
)
def test_names_that_the_profile_forbids_are_refused_with_the_rule(profile: str, names: Names, uri: str, rule: str, desk: Desk) -> None:
    before = count(desk)
    error = refusal(Code.PROFILE_VIOLATION, lambda: desk.issue(profile, software_request(*names), uri=uri))
    assert rule in error.rule and error.rule.startswith(f"Profile {profile}")
    assert count(desk) == before


def test_hosts_are_for_services_alone(desk: Desk) -> None:
    request = software_request((CN, "a"))
    refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("client", request, uri="https://vermilion.internal/client/1", dns=["example.org"]))
    refusal(
        Code.PROFILE_VIOLATION, lambda: desk.issue("service", request, uri="https://vermilion.internal/service/a", dns=["*.example.org"])
    )
    refusal(
        Code.INVALID_ARGUMENT, lambda: desk.issue("service", request, uri="https://vermilion.internal/service/a", addresses=["localhost"])
    )


def test_names_in_the_request_count_where_none_are_given_beside_it(desk: Desk) -> None:
    asked = [x509.UniformResourceIdentifier("https://vermilion.internal/client/asked")]
    certificate = desk.issue("client", software_request((CN, "a"), san=asked))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["https://vermilion.internal/client/asked"]
    refusal(
        Code.INVALID_ARGUMENT,
        lambda: desk.issue("client", software_request((CN, "a"), san=asked), uri="https://vermilion.internal/client/other"),
    )


@pytest.mark.parametrize("key", ["rsa-1024", "rsa-e3", "p-521", "ed25519"])
def test_weak_or_unfit_keys_are_refused(key: str, desk: Desk) -> None:
    made: Any = {
        "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
        "rsa-e3": lambda: rsa.generate_private_key(3, 2048),
        "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[key]()
    refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("seal", software_request((CN, "a"), key=made)))


def test_request_signed_by_another_key_is_refused(desk: Desk) -> None:
    der = bytearray(software_request((CN, "victim")))
    der[-1] ^= 1
    error = refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("seal", bytes(der)))
    assert "Proof of possession" in error.rule


@pytest.mark.parametrize("request_der", [b"", b"0", hashlib.shake_256(b"noise").digest(300), bytes(20_000)], ids=len)
def test_what_is_no_request_is_refused(request_der: bytes, desk: Desk) -> None:
    refusal(Code.INVALID_ARGUMENT, lambda: desk.issue("seal", request_der))


def test_unknown_profile_and_cas_own_profiles_are_refused(desk: Desk) -> None:
    request = software_request((CN, "a"))
    refusal(Code.INVALID_ARGUMENT, lambda: desk.issue("admin", request))
    for profile in ("root", "issuing"):
        refusal(Code.INVALID_ARGUMENT, lambda profile=profile: desk.issue(profile, request))  # type: ignore[misc]


def test_key_gets_one_certificate(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    first = desk.issue("seal", software_request((CN, "first"), key=key))
    for profile, uri in (("seal", ""), ("client", "https://vermilion.internal/client/x")):
        error = refusal(Code.CONFLICT, partial(desk.issue, profile, software_request((CN, "second"), key=key), uri=uri))
        assert "A key has one certificate" in error.rule
    desk.revoke("seals", first.serial_number, "superseded")
    refusal(Code.CONFLICT, lambda: desk.issue("seal", software_request((CN, "third"), key=key)))


def test_key_of_a_ca_gets_no_other_certificate(desk: Desk) -> None:
    request = read(software_request((CN, "a")))
    own = replace(request, public_key=desk.issuers["infrastructure"].key.public_key)
    refusal(Code.CONFLICT, lambda: desk.issuance.issue(Order("seal", own)))


def test_duplicate_serial_is_refused_before_the_token_signs(desk: Desk) -> None:
    taken = issue(desk, "seal").serial_number
    stuck = Issuance(desk.engine, profiles.load(), desk.issuers, desk.linter, clock=desk.clock, draw_serial=lambda: taken)
    before = count(desk)
    error = refusal(Code.CONFLICT, lambda: stuck.issue(Order("seal", read(software_request((CN, "b"))))))
    assert "A serial number is given once" in error.rule and count(desk) == before


def test_what_the_linter_faults_is_neither_recorded_nor_signed(desk: Desk) -> None:
    """A profile gone wrong: a seal judged as a natural person's certificate, whose subject lacks the person."""
    wrong = profiles.load()["seal"].model_copy(update={"etsi": "NCP-NATURAL-PERSON-CERTIFICATE"})
    issuance = Issuance(desk.engine, {"seal": wrong}, desk.issuers, desk.linter, clock=desk.clock)
    before = count(desk)
    error = refusal(Code.LINT_FAILED, lambda: issuance.issue(Order("seal", read(software_request((CN, "a"))))))
    assert error.rule.startswith("pkilint etsi.") and count(desk) == before


def test_certificate_that_would_outlive_its_issuer_is_refused(desk: Desk) -> None:
    desk.clock.advance(timedelta(days=3600).total_seconds())
    error = refusal(Code.PROFILE_VIOLATION, lambda: issue(desk, "seal"))
    assert "ends before that of its issuer" in error.rule


def draft_and_record(desk: Desk, key: ec.EllipticCurvePrivateKey) -> Recorded:
    """A request that got as far as its row, and then its process died."""
    issuer = desk.issuers["seals"]
    request = read(software_request((CN, "interrupted"), key=key))
    draft = build("seal", profiles.load()["seal"], request, issuer.parent, serial=secrets.randbits(127), now=desk.clock.now())
    return record(desk.engine, desk.linter.certificate(draft, issuer.key.algorithm), CEREMONY, now=desk.clock.now())


def test_interrupted_issue_can_be_repeated_and_its_late_end_is_thrown_away(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    recorded = draft_and_record(desk, key)
    certificate = desk.issue("seal", software_request((CN, "interrupted"), key=key))
    refusal(Code.CONFLICT, lambda: store(desk.engine, recorded, certificate, None, now=desk.clock.now()))
    with reading(desk.engine) as connection:
        wanted = select(certificates.c.serial, certificates.c.state).where(certificates.c.state == State.ABANDONED)
        abandoned = {row.serial for row in connection.execute(wanted)}
    assert f"{recorded.linted.draft.serial:x}" in abandoned


def test_row_is_there_before_the_token_signs(desk: Desk) -> None:
    recorded = draft_and_record(desk, ec.generate_private_key(ec.SECP256R1()))
    with reading(desk.engine) as connection:
        serial = f"{recorded.linted.draft.serial:x}"
        row = connection.execute(select(certificates).where(certificates.c.serial == serial)).one()
    assert row.state == State.RECORDED and row.certificate is None
    assert row.tbs == recorded.linted.tbs


def test_the_outbox_hears_of_what_the_ca_commits(desk: Desk, tmp_path: Path) -> None:
    tls = InfrastructureCa(tmp_path / "tls").identity("ca", ids.service_uri("ca"))
    ledger = LedgerLink("127.0.0.1:1", tls)
    told = LedgerOutbox(desk.engine, ledger)
    try:
        issue(desk, "device")
        assert told.waiting() > 0 and told._task._woken.is_set()
    finally:
        ledger.close()


def test_every_issue_leaves_a_note_for_the_ledger(desk: Desk) -> None:
    certificate = issue(desk, "device")
    with reading(desk.engine) as connection:
        wanted = select(outbox).where(outbox.c.idempotency_key == f"certificate:{certificate.serial_number:x}")
        note = connection.execute(wanted).one()
    assert note.kind == "certificate" and note.ledger_index is None
    assert note.subject_sha256 == certificate.fingerprint(SHA256())
