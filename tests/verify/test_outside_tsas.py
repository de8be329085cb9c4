"""Timestamps of outside TSAs: trusted under configured anchors, for timestamps alone, and only while revocation is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.errors import Code, VermilionError
from tests.verify.conftest import Check, codes
from tests.verify.office import NOW, Authority, Office, issue, page_document
from verify.report import Verdict
from verify.sandbox import Sandbox
from verify.settings import TrustSettings
from verify.trust import TrustMaterial

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def outsider() -> Office:
    """Another office, whose timestamp unit is an outside TSA here."""
    return Office()


def trusting(office: Office, outsider: Office, *revoked: int, reason: str = "keyCompromise") -> TrustMaterial:
    """The office's trust, and the outsider's anchors with its CRLs, on which these serials are revoked since yesterday."""
    issuing = Authority(outsider.seals.identity, [(serial, NOW - DAY, reason, None) for serial in revoked])
    return replace(
        office.trust(),
        timestamp_anchors=(outsider.root.identity.certificate,),
        timestamp_issuers=(outsider.seals.identity.certificate,),
        crls=(*office.trust().crls, outsider.root.crl(), issuing.crl()),
    )


def test_an_outside_tsa_counts_under_its_configured_anchor(office: Office, outsider: Office, check: Check) -> None:
    sealed = office.sign(page_document(), tsa=outsider.tsa)
    report = check(sealed.data, trust=trusting(office, outsider))
    assert report.verdict is Verdict.VALID
    assert report.seals[0].timestamp is not None and report.seals[0].timestamp.authority == "Test Timestamp Unit"
    assert check(sealed.data).verdict is Verdict.UNDETERMINED  # not without


def test_a_chain_of_another_length_counts_too(office: Office, outsider: Office, check: Check) -> None:
    direct = issue("Direct Unit", outsider.root.identity, usage="tsa")
    sealed = office.sign(page_document(), tsa=direct)
    assert check(sealed.data, trust=trusting(office, outsider)).verdict is Verdict.VALID


def test_without_its_crls_or_once_revoked_it_proves_no_time(office: Office, outsider: Office, check: Check) -> None:
    sealed = office.sign(page_document(), tsa=outsider.tsa)
    trust = trusting(office, outsider)
    unknown = check(sealed.data, trust=trust.with_crls(office.trust().crls))
    assert (unknown.verdict, "REVOCATION_UNKNOWN" in codes(unknown)) == (Verdict.UNDETERMINED, True)
    revoked = check(sealed.data, trust=trusting(office, outsider, outsider.tsa.certificate.serial_number))
    assert (revoked.verdict, "TIMESTAMP_UNTRUSTED" in codes(revoked)) == (Verdict.UNDETERMINED, True)


def test_its_anchor_vouches_for_no_seal(office: Office, outsider: Office, check: Check) -> None:
    foreign = outsider.sign(page_document())
    report = check(foreign.data, trust=trusting(office, outsider))
    assert report.verdict is not Verdict.VALID
    assert report.seals[0].kind != "seal"


def test_the_sandbox_is_told_of_them(office: Office, outsider: Office) -> None:
    sealed = office.sign(page_document(), tsa=outsider.tsa)
    sandbox = Sandbox()
    try:
        reading = sandbox.read(sealed.data, trusting(office, outsider), NOW)
    finally:
        sandbox.close()
    assert reading.seals[0].timestamp is not None and reading.seals[0].timestamp.trusted == "yes"


def test_they_are_named_in_the_settings(office: Office, outsider: Office, tmp_path: Path) -> None:
    for name, authority in (("root", office.root), ("seals", office.seals), ("anchor", outsider.root), ("issuer", outsider.seals)):
        (tmp_path / f"{name}.pem").write_bytes(authority.identity.certificate.public_bytes(Encoding.PEM))
    settings = TrustSettings(
        root_file=tmp_path / "root.pem",
        seals_file=tmp_path / "seals.pem",
        timestamp_anchors_files=(tmp_path / "anchor.pem",),
        timestamp_issuers_files=(tmp_path / "issuer.pem",),
    )
    trust = settings.load()
    assert trust.timestamp_anchors == (outsider.root.identity.certificate,)
    assert trust.timestamp_issuers == (outsider.seals.identity.certificate,)
    assert trust.roots == (office.root.identity.certificate,)
    (tmp_path / "anchor.pem").write_text("nothing")
    with pytest.raises(VermilionError) as refused:
        settings.load()
    assert refused.value.code is Code.CONFIGURATION_INVALID
