"""The OCSP responder over a real token and the CA's own record, judged by openssl, curl, cryptography and pyHanko's validator."""

from __future__ import annotations

import asyncio
import base64
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError
from sqlalchemy import delete, update

from ca.issuance.issue import Order
from ca.issuance.request import read
from ca.ocsp.authority import Authority
from ca.ocsp.delegate import Delegation
from ca.ocsp.http import OcspApp
from ca.ocsp.metrics import OcspMetrics
from ca.ocsp.presign import GRACE_S, Presigner
from ca.ocsp.question import REQUEST_LIMIT_BYTES, from_path
from ca.ocsp.record import AnswerRecord
from ca.ocsp.responder import Responder
from ca.tables import State, certificates, ocsp_answers
from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.watch import Watched
from sealcore.platform.config import Listen
from sealcore.platform.db import write
from sealcore.platform.http import HttpEndpoint
from tests.ca.office import OCSP_URL, Desk, Office, software_request
from tests.support.fuzzing import examples
from tests.support.strange import walk

DAY = timedelta(days=1)
TYPE = {"content-type": "application/ocsp-request"}
SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()


@dataclass
class Station:
    """A responder in this process: its keys lie in the office's one token here, in the token of its own elsewhere."""

    desk: Desk
    record: AnswerRecord
    delegations: list[Delegation]
    presigner: Presigner
    metrics: OcspMetrics
    watched: Watched
    app: OcspApp
    clock: FixedClock
    certified: list[str]
    away: list[Code] = field(default_factory=list)

    def seal(self) -> x509.Certificate:
        return self.desk.issue("seal", software_request((NameOID.COMMON_NAME, "Contract")))

    def send(self, method: str, url: str, **rest: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://ocsp.example") as client:
                return await client.request(method, url, **rest)

        return asyncio.run(call())

    def post(self, der: bytes) -> OCSPResponse:
        answer = self.send("POST", "/ocsp", content=der, headers=TYPE)
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/ocsp-response"
        return ocsp.load_der_ocsp_response(answer.content)

    def ask(self, certificate: x509.Certificate, algorithm: hashes.HashAlgorithm = SHA1, nonce: bytes | None = None) -> OCSPResponse:
        return self.post(self.request(certificate, algorithm, nonce))

    def request(self, certificate: x509.Certificate, algorithm: hashes.HashAlgorithm = SHA1, nonce: bytes | None = None) -> bytes:
        issuer = next(one for one in self.desk.authorities.values() if one.subject == certificate.issuer)
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm)
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)

    def counted(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("vermilion_ocsp_answers_total", {"outcome": outcome}) or 0.0


def new_station(desk: Desk, folder: Path, *, nonces: float = 1000.0, others: float = 1000.0) -> Station:
    certified: list[str] = []
    away: list[Code] = []

    def certify(issuer: str, request: bytes) -> bytes:
        if away:
            raise VermilionError(away[0], "the CA does not answer")
        certified.append(issuer)
        return desk.issuance.issue(Order("ocsp", read(request), issuer=issuer)).public_bytes(Encoding.DER)  # type: ignore[arg-type]

    record = AnswerRecord(desk.engine)
    delegations = [
        Delegation(Authority(name, desk.authorities[name]), desk.token.key(f"ocsp.{name}.1"), folder, certify, clock=desk.clock)
        for name in ("seals", "infrastructure")
    ]
    watched = Watched(5.0, 4, desk.token.give_up)
    metrics = OcspMetrics(desk.engine, record, delegations, desk.token, clock=desk.clock)
    presigner = Presigner(record, delegations, watched, metrics, validity=DAY, clock=desk.clock)
    responder = Responder(
        *(record, delegations, watched),
        validity=DAY,
        nonce_answers_per_s=nonces,
        other_answers_per_s=others,
        at_once=2,
        clock=desk.clock,
    )
    app = OcspApp(responder, metrics, threads=4, clock=desk.clock)
    return Station(desk, record, delegations, presigner, metrics, watched, app, desk.clock, certified, away)


@pytest.fixture
def make(desk: Desk, tmp_path: Path) -> Iterator[Callable[..., Station]]:
    made: list[Station] = []

    def new(**rates: float) -> Station:
        made.append(new_station(desk, tmp_path, **rates))
        return made[-1]

    yield new
    for station in made:
        station.app.close()
        station.watched.close()


@pytest.fixture
def station(make: Callable[..., Station]) -> Station:
    result = make()
    assert result.presigner.round()
    return result


def outcome(station: Station, certificate: x509.Certificate) -> tuple[OCSPCertStatus, x509.ReasonFlags | None]:
    answer = station.ask(certificate)
    assert answer.response_status is OCSPResponseStatus.SUCCESSFUL
    assert answer.serial_number == certificate.serial_number
    return answer.certificate_status, answer.revocation_reason


# --- what answers say ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [SHA1, SHA256, hashes.SHA384()])
def test_an_issued_certificate_is_good_and_the_answer_is_the_delegates(station: Station, algorithm: hashes.HashAlgorithm) -> None:
    certificate = station.seal()
    station.presigner.round()
    answer = station.ask(certificate, algorithm)
    assert answer.certificate_status is OCSPCertStatus.GOOD
    assert answer.hash_algorithm.name == algorithm.name
    now = station.clock.now().replace(microsecond=0)
    assert (answer.this_update_utc, answer.produced_at_utc, answer.next_update_utc) == (now, now, now + DAY)
    (delegate,) = answer.certificates
    assert answer.responder_name is None
    assert answer.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(delegate.public_key()).digest
    delegate.verify_directly_issued_by(station.desk.authorities["seals"])
    assert delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    delegate.public_key().verify(answer.signature, answer.tbs_response_bytes, *_ecdsa())  # type: ignore[union-attr]
    single = asn1_ocsp.OCSPResponse.load(answer.public_bytes(Encoding.DER)).response_data["responses"][0]
    assert single.archive_cutoff_value.native == station.desk.authorities["seals"].not_valid_before_utc


def _ecdsa() -> tuple[Any, ...]:
    from cryptography.hazmat.primitives.asymmetric import ec

    return (ec.ECDSA(SHA256),)


def test_certificates_say_where_to_ask_but_the_delegates_own(station: Station) -> None:
    access = station.seal().extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [one.access_location.value for one in access if one.access_method == AuthorityInformationAccessOID.OCSP] == [OCSP_URL]
    own = station.delegations[0].current().certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert all(one.access_method != AuthorityInformationAccessOID.OCSP for one in own)


def test_a_revocation_and_a_hold_are_told_at_once_and_kept_at_the_next_round(station: Station) -> None:
    revoked, held = station.seal(), station.seal()
    station.presigner.round()
    assert outcome(station, revoked) == outcome(station, held) == (OCSPCertStatus.GOOD, None)
    since = station.clock.now().replace(microsecond=0)
    station.desk.revoke("seals", revoked.serial_number, "keyCompromise", since - timedelta(seconds=30))
    station.desk.hold("seals", held.serial_number)
    for _ in ("live: what was kept says something else", "pre-signed"):
        assert outcome(station, revoked) == (OCSPCertStatus.REVOKED, x509.ReasonFlags.key_compromise)
        assert outcome(station, held) == (OCSPCertStatus.REVOKED, x509.ReasonFlags.certificate_hold)
        station.presigner.round()
    assert station.ask(revoked).revocation_time_utc == since
    assert station.counted("presigned") >= 3
    station.desk.release("seals", held.serial_number)
    assert outcome(station, held) == (OCSPCertStatus.GOOD, None)


@pytest.mark.parametrize("state", [State.RECORDED, State.ABANDONED, None])
def test_what_never_left_the_ca_is_never_good(station: Station, state: State | None) -> None:
    certificate = station.seal()
    station.presigner.round()
    with write(station.desk.engine) as connection:
        this = certificates.c.serial == f"{certificate.serial_number:x}"
        connection.execute(delete(certificates).where(this) if state is None else update(certificates).where(this).values(state=state))
    assert outcome(station, certificate) == (OCSPCertStatus.UNKNOWN, None)
    assert station.ask(certificate, nonce=b"n" * 32).certificate_status is OCSPCertStatus.UNKNOWN


def test_another_cas_certificate_is_not_answered_for(station: Station) -> None:
    seals = station.desk.authorities["seals"]
    request = station.request(seals)  # issued by the root, which has no responder
    assert station.post(request).response_status is OCSPResponseStatus.UNAUTHORIZED
    own = station.request(station.seal())
    restricted = station.send("POST", "/ocsp/infrastructure", content=own, headers=TYPE)
    assert ocsp.load_der_ocsp_response(restricted.content).response_status is OCSPResponseStatus.UNAUTHORIZED
    there = station.send("POST", "/ocsp/seals", content=own, headers=TYPE)
    assert ocsp.load_der_ocsp_response(there.content).certificate_status is OCSPCertStatus.GOOD


def test_several_certificates_in_one_request_get_one_answer_and_those_of_another_ca_are_unknown_there(station: Station) -> None:
    good, revoked = station.seal(), station.seal()
    station.desk.revoke("seals", revoked.serial_number, "superseded")
    parts = [station.request(good), station.request(revoked, SHA256), station.request(station.desk.authorities["seals"])]
    requests = [asn1_ocsp.OCSPRequest.load(part)["tbs_request"]["request_list"][0] for part in parts]
    answer = station.post(asn1_ocsp.OCSPRequest({"tbs_request": {"request_list": requests}}).dump())
    assert [one.certificate_status for one in answer.responses] == [OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED, OCSPCertStatus.UNKNOWN]
    assert [one.hash_algorithm.name for one in answer.responses] == ["sha1", "sha256", "sha1"]


# --- nonces ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 15, 16, 32, 128])
def test_a_nonce_of_1_to_128_octets_comes_back(station: Station, length: int) -> None:
    answer = station.ask(station.seal(), nonce=b"\x5a" * length)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"\x5a" * length


@pytest.mark.parametrize("length", [0, 129])
def test_a_nonce_of_another_length_is_malformed(station: Station, length: int) -> None:
    assert station.ask(station.seal(), nonce=b"\x5a" * length).response_status is OCSPResponseStatus.MALFORMED_REQUEST


def test_beyond_the_rate_the_pre_signed_answer_goes_out_without_the_nonce(make: Callable[..., Station]) -> None:
    station = make(nonces=2.0, others=1.0)
    certificate = station.seal()
    station.presigner.round()
    answers = [station.ask(certificate, nonce=b"n" * 32) for _ in range(50)]
    assert [len(answer.extensions) for answer in answers] == [1, 1] + 48 * [0]
    assert {answer.certificate_status for answer in answers} == {OCSPCertStatus.GOOD}
    assert {answer.public_bytes(Encoding.DER) for answer in answers[2:]} == {station.ask(certificate).public_bytes(Encoding.DER)}
    station.clock.advance(1)
    assert len(station.ask(certificate, nonce=b"n" * 32).extensions) == 1
    # what has no pre-signed answer has a rate of its own, and beyond it is put off
    unknown = ocsp.OCSPRequestBuilder().add_certificate_by_hash(*_hashes(certificate, station), 7, SHA1).build().public_bytes(Encoding.DER)
    assert station.post(unknown).certificate_status is OCSPCertStatus.UNKNOWN
    assert station.post(unknown).response_status is OCSPResponseStatus.TRY_LATER
    assert outcome(station, certificate) == (OCSPCertStatus.GOOD, None)


def _hashes(certificate: x509.Certificate, station: Station) -> tuple[bytes, bytes]:
    asked = ocsp.load_der_ocsp_request(station.request(certificate))
    return asked.issuer_name_hash, asked.issuer_key_hash


# --- freshness ------------------------------------------------------------------------------------------------------------------


def test_answers_are_made_anew_at_half_their_time_and_not_before(station: Station) -> None:
    certificate = station.seal()
    station.presigner.round()
    first = station.ask(certificate)
    station.clock.advance(DAY.total_seconds() / 2 - 60)
    station.presigner.round()
    assert station.ask(certificate).public_bytes(Encoding.DER) == first.public_bytes(Encoding.DER)
    station.clock.advance(120)
    station.presigner.round()
    assert station.ask(certificate).this_update_utc == station.clock.now().replace(microsecond=0)


def test_the_delegate_is_certified_again_in_time_under_the_same_key(station: Station) -> None:
    first = station.delegations[0].current().certificate
    station.clock.advance(timedelta(days=19).total_seconds())
    station.presigner.round()
    assert station.certified == ["seals", "infrastructure"]
    station.clock.advance(timedelta(days=2).total_seconds())
    station.presigner.round()
    second = station.delegations[0].current().certificate
    assert station.certified == ["seals", "infrastructure"] * 2
    assert second.serial_number != first.serial_number and second.public_key() == first.public_key()
    assert second.not_valid_after_utc > first.not_valid_after_utc


def test_a_restart_finds_the_delegates_certificate(station: Station, make: Callable[..., Station]) -> None:
    again = make()
    assert again.delegations[0].current().certificate == station.delegations[0].current().certificate
    assert again.presigner.round() and again.certified == []


def test_a_key_that_answers_for_ocsp_gets_no_other_certificate_and_another_key_no_second(station: Station) -> None:
    from sealcore.hsm.request import certificate_request

    delegates = certificate_request(station.desk.token.key("ocsp.seals.1"), "Contract")
    for profile in ("seal", "ocsp"):  # "ocsp" under another name
        with pytest.raises(VermilionError) as refused:
            station.desk.issue(profile, delegates)
        assert refused.value.code is Code.CONFLICT


def test_no_answer_outlives_its_delegate_and_readiness_says_when_it_is_gone(station: Station) -> None:
    certificate = station.seal()
    station.away.append(Code.SERVICE_UNAVAILABLE)
    ends = station.delegations[0].current().certificate.not_valid_after_utc
    station.clock.advance((ends - station.clock.now()).total_seconds() - 3600)
    station.presigner.round()
    assert station.ask(certificate).next_update_utc == ends
    station.clock.advance(3601)
    assert not station.presigner.round()
    with pytest.raises(VermilionError) as stale:
        station.presigner.current()
    assert stale.value.code is Code.REVOCATION_UNAVAILABLE
    assert station.ask(certificate).response_status is OCSPResponseStatus.TRY_LATER
    station.away.clear()
    station.clock.advance(600)
    assert station.presigner.round()
    station.presigner.current()
    assert outcome(station, certificate) == (OCSPCertStatus.GOOD, None)


def test_without_the_hsm_pre_signed_answers_go_on_until_they_lapse(station: Station) -> None:
    kept, new = station.seal(), station.seal()
    station.presigner.round()
    with write(station.desk.engine) as connection:
        connection.execute(delete(ocsp_answers).where(ocsp_answers.c.serial == f"{new.serial_number:x}"))
    station.desk.token.close()
    assert outcome(station, kept) == (OCSPCertStatus.GOOD, None)
    assert outcome(station, kept) == (OCSPCertStatus.GOOD, None)
    assert station.ask(kept, nonce=b"n" * 32).certificate_status is OCSPCertStatus.GOOD
    assert station.ask(new).response_status is OCSPResponseStatus.TRY_LATER
    assert not station.presigner.round()
    station.clock.advance(GRACE_S + 1)
    with pytest.raises(VermilionError) as stale:
        station.presigner.current()
    assert stale.value.code is Code.REVOCATION_UNAVAILABLE
    assert b'vermilion_ocsp_waiting{ca="seals"} 1.0' in generate_latest(station.metrics.registry)
    station.clock.advance(DAY.total_seconds())
    assert station.ask(kept).response_status is OCSPResponseStatus.TRY_LATER


# --- HTTP -----------------------------------------------------------------------------------------------------------------------


def test_a_get_may_be_cached_until_the_answer_lapses(station: Station) -> None:
    certificate = station.seal()
    station.presigner.round()
    path = "/ocsp/" + base64.b64encode(station.request(certificate)).decode().replace("/", "%2F").replace("+", "%2B")
    station.clock.advance(60)
    answer = station.send("GET", path)
    assert ocsp.load_der_ocsp_response(answer.content).certificate_status is OCSPCertStatus.GOOD
    left = ocsp.load_der_ocsp_response(answer.content).next_update_utc - station.clock.now()  # type: ignore[operator]
    assert answer.headers["cache-control"] == f"max-age={int(left.total_seconds())}, public, no-transform, must-revalidate"
    assert answer.headers["last-modified"].endswith("GMT") and answer.headers["expires"].endswith("GMT")
    assert station.send("GET", path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    with_nonce = "/ocsp/" + base64.urlsafe_b64encode(station.request(certificate, nonce=b"n" * 16)).decode()
    assert station.send("GET", with_nonce).headers["cache-control"] == "no-store"


def test_requests_with_slashes_pluses_and_no_padding_in_the_path_are_read() -> None:
    text = "MP//7777/z//+//w/w=="
    der = base64.b64decode(text)
    for path in (text, "/" + text, "//" + text, text.rstrip("="), text.replace("/", "%2F").replace("+", "%2b"), text.replace("/", "%252F")):
        assert from_path(path) == der


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_get_is_understood_whatever_was_made_of_its_pluses_and_slashes(station: Station, shift: int) -> None:
    """A decoder of forms turns + into a space, a URL library that into %20, a proxy encodes once more, a client ends with a slash."""
    certificate = station.seal()
    nonce = bytes(shift) + 3 * b"\xfb\xef\xbe\x00" + 4 * b"\xff"  # a plus and a slash wherever it comes to lie
    text = base64.b64encode(station.request(certificate, nonce=nonce)).decode()
    assert "+" in text and "/" in text
    spaced = quote(text.replace("+", " "), safe="/=")
    variants = [
        text,
        spaced,
        quote(text, safe=""),
        quote(quote(text, safe=""), safe=""),
        quote(spaced, safe=""),
        spaced.rstrip("="),
        text.replace("+", "%20").replace("/", "%2F"),
        text.replace("+", "-").replace("/", "_").rstrip("="),
        "%0D%0A".join(text[at : at + 64] for at in range(0, len(text), 64)) + "%0A",
        "%20".join(text[at : at + 64] for at in range(0, len(text), 64)),
        text + "/",
        spaced + "/",
        "%20" + text,
    ]
    for variant in variants:
        answer = ocsp.load_der_ocsp_response(station.send("GET", f"/ocsp/seals/{variant}").content)
        assert answer.response_status is OCSPResponseStatus.SUCCESSFUL, variant
        assert answer.certificate_status is OCSPCertStatus.GOOD and answer.serial_number == certificate.serial_number
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce, variant


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("POST", "/ocsp", b"", TYPE),
        ("POST", "/ocsp", b"\x30\x80garbage", TYPE),
        ("POST", "/ocsp", b"\x30" * (REQUEST_LIMIT_BYTES + 1), TYPE),
        ("POST", "/ocsp", b"\x30\x03\x02\x01\x01", {"content-type": "text/plain"}),
        ("POST", "/ocsp", b"\x30\x03\x02\x01\x01", {}),
        ("GET", "/ocsp", b"", {}),
        ("GET", "/ocsp/MFAwTjBM", b"", {}),
        ("GET", "/ocsp/%0a%00%ff", b"", {}),
        ("PUT", "/ocsp", b"", {}),
        ("GET", "/elsewhere/" + "A" * 30000, b"", {}),
    ],
)
def test_whatever_is_no_request_is_answered_as_malformed(station: Station, method: str, path: str, body: bytes, headers: Any) -> None:
    answer = station.send(method, path, content=body, headers=headers)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert ocsp.load_der_ocsp_response(answer.content).response_status is OCSPResponseStatus.MALFORMED_REQUEST


def _mutated(station: Station) -> st.SearchStrategy[bytes]:
    whole = station.request(station.seal(), nonce=b"n" * 16)

    def change(parts: tuple[int, int, bytes]) -> bytes:
        begin, length, new = parts
        return whole[:begin] + new + whole[begin + length :]

    return st.tuples(st.integers(0, len(whole)), st.integers(0, 8), st.binary(max_size=8)).map(change)


def test_any_bytes_get_an_answer_that_can_be_read(station: Station) -> None:
    certificate = station.seal()

    @settings(max_examples=examples(100, 300), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.one_of(st.binary(max_size=400), _mutated(station)))
    def fuzz(data: bytes) -> None:
        path = base64.b64encode(data).decode()
        for answer in (station.send("POST", "/ocsp", content=data, headers=TYPE), station.send("GET", f"/ocsp/{path}")):
            status = ocsp.load_der_ocsp_response(answer.content).response_status
            assert status is not OCSPResponseStatus.INTERNAL_ERROR

    fuzz()
    assert outcome(station, certificate) == (OCSPCertStatus.GOOD, None)


def test_signed_requests_are_answered_and_unknown_critical_extensions_are_not(station: Station) -> None:
    certificate = station.seal()
    asked = asn1_ocsp.OCSPRequest.load(station.request(certificate))
    signer = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    asked["optional_signature"] = {"signature_algorithm": {"algorithm": "sha256_ecdsa"}, "signature": b"1234", "certs": [signer]}
    assert station.post(asked.dump(force=True)).certificate_status is OCSPCertStatus.GOOD
    for critical, expected in ((False, OCSPResponseStatus.SUCCESSFUL), (True, OCSPResponseStatus.MALFORMED_REQUEST)):
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, station.desk.authorities["seals"], SHA1)
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\x05\x00")
        assert station.post(builder.add_extension(unknown, critical).build().public_bytes(Encoding.DER)).response_status is expected


# --- other people's programs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(station: Station, free_port: Callable[[], int]) -> Iterator[str]:
    """The responder on a real port."""
    port, loop = free_port(), asyncio.new_event_loop()
    endpoint = HttpEndpoint(station.app, Listen(port=port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(endpoint.start(), loop).result(30)
    yield f"http://127.0.0.1:{port}/ocsp"
    asyncio.run_coroutine_threadsafe(endpoint.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("options", [("-no_nonce",), ("-nonce",), ("-sha256", "-no_nonce"), ("-sha512", "-nonce")])
def test_openssl_takes_the_answers(station: Station, url: str, tmp_path: Path, run: Callable[..., str], options: tuple[str, ...]) -> None:
    digest = [one for one in options if one.startswith("-sha")]
    good, revoked = station.seal(), station.seal()
    station.desk.revoke("seals", revoked.serial_number, "keyCompromise")
    station.presigner.round()
    files = {"root": station.desk.authorities["root"], "seals": station.desk.authorities["seals"], "good": good, "revoked": revoked}
    for name, one in files.items():
        (tmp_path / f"{name}.pem").write_bytes(one.public_bytes(Encoding.PEM))
    nonce = next(one for one in options if one.endswith("nonce"))
    for name, status in (("good", "good"), ("revoked", "revoked")):
        said = run(
            *("openssl", "ocsp", *digest, "-issuer", tmp_path / "seals.pem", "-cert", tmp_path / f"{name}.pem", nonce),
            *("-url", url, "-CAfile", tmp_path / "root.pem", "-verify_other", tmp_path / "seals.pem"),
        )
        assert "Response verify OK" in said and f"{name}.pem: {status}" in said
        assert "WARNING" not in said
    assert "Reason: keyCompromise" in said


def test_curl_gets_an_answer_though_its_path_holds_two_slashes(station: Station, url: str, tmp_path: Path, run: Callable[..., str]) -> None:
    text, certificate = "", station.seal()
    while "//" not in text:
        text = base64.b64encode(station.request(certificate, nonce=secrets.token_bytes(16))).decode()
    out = tmp_path / "answer"
    run("curl", "--silent", "--show-error", "--path-as-is", f"{url}/{text}", "--output", out)
    answer = ocsp.load_der_ocsp_response(out.read_bytes())
    assert answer.certificate_status is OCSPCertStatus.GOOD and len(answer.extensions) == 1
    run("curl", "--silent", "--show-error", "--data-binary", "@" + str(out), url, "--output", out)  # another content type, no request
    assert ocsp.load_der_ocsp_response(out.read_bytes()).response_status is OCSPResponseStatus.MALFORMED_REQUEST


def test_pyhankos_validator_takes_good_and_refuses_revoked(station: Station, office: Office) -> None:
    good, revoked = station.seal(), station.seal()
    station.desk.revoke("seals", revoked.serial_number, "keyCompromise")
    station.presigner.round()
    root, seals = (asn1_x509.Certificate.load(station.desk.authorities[name].public_bytes(Encoding.DER)) for name in ("root", "seals"))
    for certificate, expected in ((good, "good"), (revoked, "revoked")):
        answer = asn1_ocsp.OCSPResponse.load(station.ask(certificate, SHA256).public_bytes(Encoding.DER))
        context = ValidationContext(
            trust_roots=[root],
            ocsps=[answer],
            crls=[(office.pki / "root.crl").read_bytes()],
            revocation_mode="require",
            allow_fetching=False,
            moment=datetime.now(UTC),
        )
        leaf = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
        validator = CertificateValidator(leaf, [seals], validation_context=context)
        try:
            asyncio.run(validator.async_validate_usage({"non_repudiation"}))
            judged = "good"
        except RevokedError:
            judged = "revoked"
        assert judged == expected


def test_no_value_in_a_request_is_a_fault_of_ours(station: Station) -> None:
    faults = station.metrics.answers["internal_error"]
    assert walk(["/ocsp", "/ocsp/{request}", "/ocsp/seals/{request}", "/{other}"], station.send, is_problem=False) > 150
    assert faults._value.get() == 0
