"""Outside TSAs in the signer: they take the own unit's place or stand beside it, fail over in order, and never is a seal without a timestamp."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import pem as asn1_pem
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from sealcore.errors import Code
from signer.settings import SignerSettings, TimestampSettings
from tests.crash.scene import Scene
from tests.signer.office import SEALS, UNIT, Approved, Office, document
from tests.signer.station import Results
from tests.timestamp.outside import Answer, OpensslCa, Web, openssl_tsa, pyhanko_tsa

Scenes = Callable[..., Scene]
COUNT = 6
LIMITS = {"lease_s": 60, "hsm_s": 15}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> OpensslCa:
    """The outside TSAs' CA: nothing of the office's."""
    return OpensslCa(tmp_path_factory.mktemp("outside-ca"))


def away(_query: bytes) -> Answer:
    """A TSA that is down."""
    return Answer(b"", status=503)


def source(web: Web, ca: OpensslCa, name: str, **more: Any) -> dict[str, Any]:
    """As it stands in the signer's settings."""
    return web.source(ca, name, **more).model_dump(mode="json", exclude_none=True, exclude_defaults=True) | {"kind": "http"}


def batch(office: Office, text: str = "Outside", **how: Any) -> Approved:
    """A fresh batch."""
    return office.approve([document(f"{text} {number}") for number in range(COUNT)], **how)


def files_of(approved: Approved, results: Results) -> list[bytes]:
    """Every sealed file, as its hash says."""
    assert sorted(results.sealed) == list(range(COUNT)), results.refused
    files = [content + results.suffixes[index] for index, content in enumerate(approved.documents)]
    assert [hashlib.sha256(file).digest() for file in files] == [results.sealed[index].sealed_sha256 for index in range(COUNT)]
    return files


def stamped_by(office: Office, ca: OpensslCa, file: bytes) -> str:
    """The TSA's name, once pyHanko has found seal and timestamp intact, valid and trusted, each under its own root."""
    ours = ValidationContext(trust_roots=[asn1_x509.Certificate.load(office.ca.root.public_bytes(Encoding.DER))], allow_fetching=False)
    anchors = [asn1_x509.Certificate.load(asn1_pem.unarmor(ca.root.read_bytes())[2])]
    anchors += [asn1_x509.Certificate.load(office.ca.root.public_bytes(Encoding.DER))]
    others = [asn1_x509.Certificate.load(asn1_pem.unarmor(ca.issuing.read_bytes())[2])]
    stamps = ValidationContext(trust_roots=anchors, other_certs=others, allow_fetching=False)
    (signature,) = PdfFileReader(io.BytesIO(file)).embedded_signatures
    status = validate_pdf_signature(signature, ours, ts_validation_context=stamps)
    timestamp = status.timestamp_validity
    assert status.intact and status.valid and status.trusted
    assert timestamp is not None and timestamp.intact and timestamp.valid and timestamp.trusted
    return str(timestamp.signing_cert.subject.native["common_name"])


def pdfsig_trusts(office: Office, file: bytes, folder: Path) -> None:
    """Poppler and NSS, with the office's root alone."""
    nss = folder / "nss"
    nss.mkdir()
    (folder / "root.pem").write_bytes(office.ca.root.public_bytes(Encoding.PEM))
    (folder / "sealed.pdf").write_bytes(file)
    for command in (
        ("certutil", "-N", "-d", f"sql:{nss}", "--empty-password"),
        ("certutil", "-A", "-d", f"sql:{nss}", "-n", "root", "-t", "CT,C,C", "-i", str(folder / "root.pem")),
    ):
        subprocess.run(command, check=True, capture_output=True)
    said = subprocess.run(["pdfsig", "-nssdir", f"sql:{nss}", folder / "sealed.pdf"], check=True, capture_output=True, text=True).stdout
    for wanted in ("Signature is Valid.", "Certificate is Trusted.", "Total document signed"):
        assert wanted in said, said


def test_an_outside_tsa_takes_the_units_place_and_independent_readers_agree(
    scenes: Scenes, house: Any, ca: OpensslCa, tmp_path: Path
) -> None:
    with Web(openssl_tsa(ca, tmp_path / "ts")) as web:
        scene = scenes(limits=LIMITS, timestamp={"source": [source(web, ca, "outside")]})
        for seal in ("contract", "invoice"):
            approved = batch(scene.office, seal, seal=seal)
            files = files_of(approved, scene.station.stream(approved.token, approved.items))
            assert {stamped_by(scene.office, ca, file) for file in files} == {"openssl-unit"}
        pdfsig_trusts(scene.office, files[0], tmp_path)
        assert web.requests == 2 * COUNT
        assert scene.metric("tsa_requests", source="outside", outcome="ok") == 2 * COUNT
        assert scene.metric("hsm_calls") == 2 * COUNT  # the seal keys' alone
        assert UNIT not in scene.wrapped.signatures()


def test_it_stands_beside_the_unit_and_fails_over_in_the_given_order(scenes: Scenes, ca: OpensslCa) -> None:
    with Web(away) as first, Web(pyhanko_tsa(ca)) as second:
        order = [source(first, ca, "first"), source(second, ca, "second"), {"kind": "own"}]
        scene = scenes(limits=LIMITS, workers={"bulk": 1, "interactive": 0}, timestamp={"source": order})
        approved = batch(scene.office)
        files = files_of(approved, scene.station.stream(approved.token, approved.items, a_message=COUNT))
        assert {stamped_by(scene.office, ca, file) for file in files} == {"unit"}
        assert scene.metric("tsa_resting", source="first") == 1
        second.tsa = away
        approved = batch(scene.office, "Again")
        files = files_of(approved, scene.station.stream(approved.token, approved.items, a_message=COUNT))
        assert {stamped_by(scene.office, ca, file) for file in files} == {"Test TSA"}
        assert scene.wrapped.signatures()[UNIT].begun == COUNT


def test_without_a_right_answer_nothing_is_sealed_nothing_lost_and_a_repeat_succeeds(scenes: Scenes, ca: OpensslCa) -> None:
    def old(info: dict[str, Any]) -> None:
        info["nonce"] = 4711

    with Web(away) as first, Web(pyhanko_tsa(ca, change=old)) as second:
        order = [source(web, ca, name, patience=1000, distrust_s=0.001) for web, name in ((first, "first"), (second, "second"))]
        scene = scenes(limits=LIMITS, timestamp={"source": order})
        approved = batch(scene.office)
        results = scene.station.stream(approved.token, approved.items, a_message=COUNT)
        assert (results.sealed, {one.code for one in results.refused.values()}) == ({}, {Code.TIMESTAMP_UNAVAILABLE})
        reasons = " ".join(one.reason for one in results.refused.values())
        assert "first: TSA_REFUSED: the TSA answers with HTTP 503" in reasons
        assert "second: TSA_WRONG_NONCE" in reasons
        assert scene.metric("tsa_untrue_answers", source="second") >= 1
        assert scene.wrapped.signatures()[SEALS["contract"]].begun == COUNT  # one call an attempt
        first.tsa = pyhanko_tsa(ca)
        results = scene.station.stream(approved.token, approved.items, a_message=COUNT)
        for file in files_of(approved, results):
            assert stamped_by(scene.office, ca, file) == "unit"
        assert {sealed.attempts for sealed in results.sealed.values()} == {2}
        assert scene.wrapped.signatures()[SEALS["contract"]].begun == 2 * COUNT


def test_a_document_without_a_timestamp_holds_up_no_other_of_its_batch(scenes: Scenes, ca: OpensslCa) -> None:
    honest, left = pyhanko_tsa(ca), [2]

    def two_alone(query: bytes) -> Answer:
        left[0] -= 1
        return honest(query) if left[0] >= 0 else away(query)

    with Web(two_alone) as web:
        scene = scenes(
            limits=LIMITS, workers={"bulk": 1, "interactive": 0}, timestamp={"source": [source(web, ca, "short", at_once=1, patience=1000)]}
        )
        approved = batch(scene.office)
        first = scene.station.stream(approved.token, approved.items, a_message=COUNT)
        assert (len(first.sealed), {one.code for one in first.refused.values()}) == (2, {Code.TIMESTAMP_UNAVAILABLE})
        assert {one.document for one in first.refused.values()} == {f"d{index}.pdf" for index in first.refused}
        left[0] = 1000
        again = scene.station.stream(approved.token, approved.items, a_message=COUNT)
        files_of(approved, again)
        assert {index for index, sealed in again.sealed.items() if sealed.repeated} == set(first.sealed)
        assert scene.wrapped.signatures()[SEALS["contract"]].begun == COUNT + len(first.refused)


def test_a_use_that_was_begun_with_less_room_goes_on_with_the_room_that_is_configured_now(scenes: Scenes, ca: OpensslCa) -> None:
    with Web(pyhanko_tsa(ca)) as web:
        scene = scenes(limits=LIMITS, timestamp={"source": [source(web, ca, "outside", largest_token_bytes=600, patience=1000)]})
        station, approved = scene.station, batch(scene.office)
        refused = station.stream(approved.token, approved.items).refused
        assert {"TSA_ANSWER_TOO_LARGE" in one.reason for one in refused.values()} == {True}
        assert len(refused) == COUNT
        station.stop()
        station.extra["timestamp"] = {"source": [source(web, ca, "outside", largest_token_bytes=8192)]}
        station.write_config()
        scene.start()
        for file in files_of(approved, station.stream(approved.token, approved.items)):
            assert stamped_by(scene.office, ca, file) == "unit"


def test_by_default_the_own_unit_is_alone(own_station_settings: SignerSettings) -> None:
    assert own_station_settings.timestamp.is_own_alone


@pytest.fixture
def own_station_settings(sqlite_station: Callable[..., Any]) -> SignerSettings:
    """The settings of a station as they are without a word about sources."""
    from sealcore.platform.config import load

    return load(sqlite_station().config, SignerSettings)


def test_the_time_for_outside_tsas_lies_below_the_lease(own_station_settings: SignerSettings) -> None:
    http = {"kind": "http", "name": "a", "url": "https://tsa.example/", "anchors_file": "a.pem"}
    values = own_station_settings.model_dump()
    values["timestamp"] |= {"source": [http], "within_s": 31}
    with pytest.raises(ValidationError, match="at most half"):
        SignerSettings.model_validate(values)
    values["timestamp"]["within_s"] = 30
    assert not SignerSettings.model_validate(values).timestamp.is_own_alone
    with pytest.raises(ValidationError):
        TimestampSettings(certificate_file=Path("a"), chain_file=Path("b"), policy_oid="1.2", source=())
