"""The client of outside TSAs: honest ones of three kinds are believed, and every way of misbehaving has its own code."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from tests.support.programs import program
from tests.timestamp.kit import Response, SmallCa, UnitKeys, write_config
from tests.timestamp.outside import REPLY, Answer, OpensslCa, Web, openssl_tsa, past, pyhanko_tsa
from timestamp.client import answer
from timestamp.client.question import Question
from timestamp.client.settings import HttpSource
from timestamp.client.signed import Signers
from timestamp.client.tsa import Tsa

DIGEST = hashlib.sha256(b"a signature value").digest()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> OpensslCa:
    """The outside TSAs' CA."""
    return OpensslCa(tmp_path_factory.mktemp("outside-ca"))


def stamp(settings: HttpSource, times: int = 1, **how: Any) -> bytes:
    """The last of so many timestamps over ``DIGEST``, by one client."""

    async def ask() -> bytes:
        tsa = Tsa(settings, SystemClock())
        try:
            for _ in range(times):
                token = await tsa.stamp(how.get("digest", DIGEST), hash_name=how.get("hash_name", "sha256"))
            return token
        finally:
            await tsa.close()

    return asyncio.run(ask())


def refusal(settings: HttpSource) -> VermilionError:
    """Why there is no token."""
    with pytest.raises(VermilionError) as refused:
        stamp(settings)
    return refused.value


def imprint_of(token: bytes) -> bytes:
    """What a token is over."""
    info = cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed
    return bytes(info["message_imprint"]["hashed_message"].native)


# --- honest TSAs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_openssl_ts_is_believed(ca: OpensslCa, tmp_path: Path, hash_name: str) -> None:
    digest = hashlib.new(hash_name, b"a signature value").digest()
    with Web(openssl_tsa(ca, tmp_path / "ts")) as web:
        token = stamp(web.source(ca, policy_oid="1.2.3.4.1"), digest=digest, hash_name=hash_name)
    assert imprint_of(token) == digest
    assert web.seen[0]["Content-Type"] == "application/timestamp-query"


def test_pyhankos_tsa_is_believed_over_one_connection(ca: OpensslCa) -> None:
    with Web(pyhanko_tsa(ca)) as web:
        assert imprint_of(stamp(web.source(ca), times=3)) == DIGEST
    assert (web.requests, len(web.connections)) == (3, 1)


def test_our_own_service_under_another_ca_is_believed(
    ca: OpensslCa, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port = free_port()
    config = write_config(tmp_path, unit_keys, small_ca, port)
    public = unit_keys.public["p-256"].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "unit.pem").write_bytes(ca.certify(public, "ours").read_bytes())
    (tmp_path / "chain.pem").write_bytes(ca.issuing.read_bytes())
    process = subprocess.Popen(program("timestamp", "--config", config), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        settings = HttpSource(name="ours", url=f"http://127.0.0.1:{port}/", anchors_file=ca.root)
        assert imprint_of(stamp(settings, times=2)) == DIGEST
        other = settings.model_copy(update={"policy_oid": "1.2.3"})
        refused = refusal(other)
        assert (refused.code, "unaccepted_policy" in refused.reason) == (Code.TSA_REFUSED, True)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_a_question_has_a_nonce_of_its_own_and_asks_for_certificates() -> None:
    first, second = (tsp.TimeStampReq.load(Question(DIGEST, policy_oid="1.2.3").encoded()) for _ in range(2))
    assert first["cert_req"].native is True
    assert first["nonce"].native != second["nonce"].native
    assert (first["req_policy"].native, first["message_imprint"]["hashed_message"].native) == ("1.2.3", DIGEST)
    with pytest.raises(VermilionError):
        Question(DIGEST, "sha512")


# --- what is said of the wrong kind ----------------------------------------------------------------------------------------------


def _nonce(info: dict[str, Any]) -> None:
    info["nonce"] = 4711


def _no_nonce(info: dict[str, Any]) -> None:
    del info["nonce"]


def _imprint(info: dict[str, Any]) -> None:
    info["message_imprint"] = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(b"another").digest()}


def _other_hash(info: dict[str, Any]) -> None:
    info["message_imprint"] = {"hash_algorithm": {"algorithm": "sha3_256"}, "hashed_message": DIGEST}


def _policy(info: dict[str, Any]) -> None:
    info["policy"] = "1.2.3.99"


def _future(info: dict[str, Any]) -> None:
    info["gen_time"] = datetime.now(UTC) + timedelta(minutes=2)


def _yesterday(info: dict[str, Any]) -> None:
    info["gen_time"] = datetime.now(UTC) - timedelta(days=1)


def _vague(info: dict[str, Any]) -> None:
    info["accuracy"] = {"seconds": 3600}


def _critical(info: dict[str, Any]) -> None:
    info["extensions"] = [{"extn_id": "1.2.3.4", "critical": True, "extn_value": b"\x05\x00"}]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_nonce, Code.TSA_WRONG_NONCE),
        (_no_nonce, Code.TSA_WRONG_NONCE),
        (_imprint, Code.TSA_WRONG_IMPRINT),
        (_other_hash, Code.TSA_WRONG_IMPRINT),
        (_policy, Code.TSA_WRONG_POLICY),
        (_future, Code.TSA_WRONG_TIME),
        (_yesterday, Code.TSA_WRONG_TIME),
        (_vague, Code.TSA_WRONG_TIME),
        (_critical, Code.TSA_ANSWER_MALFORMED),
    ],
)
def test_a_signed_lie_is_told_by_what_it_is_about(ca: OpensslCa, change: Callable[[dict[str, Any]], None], code: Code) -> None:
    with Web(pyhanko_tsa(ca, change=change)) as web:
        assert refusal(web.source(ca, policy_oid="1.3.6.1.4.1.4146.2.2")).code is code


# --- who says it -----------------------------------------------------------------------------------------------------------------


def test_a_signature_that_does_not_verify(ca: OpensslCa) -> None:
    tsa = pyhanko_tsa(ca)
    tsa.bad_signature = True
    with Web(tsa) as web:
        assert refusal(web.source(ca)).code is Code.TSA_SIGNATURE_INVALID


def _with_token(answer: Answer, change: Callable[[Any], None]) -> Answer:
    response = Response.load(answer.body)
    change(response["time_stamp_token"]["content"])
    return replace(answer, body=response.dump(force=True))


def test_a_token_whose_attributes_were_taken_away_or_exchanged(ca: OpensslCa) -> None:
    honest, other = pyhanko_tsa(ca), pyhanko_tsa(ca, "unit-2")

    def without(kind: str) -> Callable[[Any], None]:
        def change(signed_data: Any) -> None:
            signer = signed_data["signer_infos"][0]
            signer["signed_attrs"] = [each for each in signer["signed_attrs"] if each["type"].native != kind]

        return change

    def other_signer(signed_data: Any) -> None:
        signed_data["certificates"] = [other.tsa_cert]
        signed_data["signer_infos"][0]["sid"] = cms.SignerIdentifier(
            {"issuer_and_serial_number": {"issuer": other.tsa_cert.issuer, "serial_number": other.tsa_cert.serial_number}}
        )

    def no_certificate(signed_data: Any) -> None:
        signed_data["certificates"] = []

    for change, code in (
        (without("signing_certificate"), Code.TSA_SIGNATURE_INVALID),
        (without("message_digest"), Code.TSA_SIGNATURE_INVALID),
        (without("content_type"), Code.TSA_SIGNATURE_INVALID),
        (other_signer, Code.TSA_SIGNATURE_INVALID),
        (no_certificate, Code.TSA_UNTRUSTED),
    ):
        with Web(lambda query, change=change: _with_token(honest(query), change)) as web:  # type: ignore[misc]
            assert refusal(web.source(ca)).code is code


def test_a_signer_under_another_root_expired_or_for_other_purposes(ca: OpensslCa, tmp_path: Path) -> None:
    other = OpensslCa(tmp_path / "other", "Other")
    ca.unit("expired", "critical,timeStamping", "-startdate", past(30), "-enddate", past(1))
    ca.unit("not-critical", "timeStamping")
    ca.unit("two-purposes", "critical,timeStamping,emailProtection")
    ca.unit("mail", "critical,emailProtection")
    for tsa in (pyhanko_tsa(other), *(pyhanko_tsa(ca, unit) for unit in ("expired", "not-critical", "two-purposes", "mail"))):
        with Web(tsa) as web:
            assert refusal(web.source(ca)).code is Code.TSA_UNTRUSTED


def test_a_certificate_that_was_believed_is_not_believed_after_its_end(ca: OpensslCa) -> None:
    """The chain is judged in full once, and later only for as long as all of it is valid."""
    ca.unit("ending", "critical,timeStamping", "-startdate", past(10), "-enddate", past(-1))
    tsa = pyhanko_tsa(ca, "ending")

    class Later(SystemClock):
        days = 0

        def now(self) -> datetime:
            return super().now() + timedelta(days=self.days)

    clock = Later()

    async def ask(settings: HttpSource) -> None:
        client = Tsa(settings, clock)
        await client.stamp(DIGEST)
        await client.stamp(DIGEST)
        clock.days = 2
        tsa.fixed_dt = clock.now()
        with pytest.raises(VermilionError) as refused:
            await client.stamp(DIGEST)
        assert refused.value.code is Code.TSA_UNTRUSTED
        await client.close()

    with Web(tsa) as web:
        asyncio.run(ask(web.source(ca)))


# --- HTTP ------------------------------------------------------------------------------------------------------------------------


def test_refusals_say_who_refused_and_why(ca: OpensslCa) -> None:
    status = {"status": "rejection", "status_string": ["no money\n"], "fail_info": {"bad_alg", "unaccepted_policy"}}
    rejected = Answer(Response({"status": status}).dump())
    for reply, words in (
        (rejected, ("rejection", "bad_alg", "unaccepted_policy", "no money")),
        (Answer(b"busy", status=503), ("503",)),
        (Answer(b"", status=302, headers=(("Location", "http://127.0.0.1:1/"),)), ("302", "redirects")),
        (Answer(b"who are you", status=401), ("401",)),
    ):
        with Web(lambda _query, reply=reply: reply) as web:  # type: ignore[misc]
            refused = refusal(web.source(ca))
        assert refused.code is Code.TSA_REFUSED
        assert all(word in refused.reason for word in words)
        assert web.requests == 1


def test_answers_that_are_none(ca: OpensslCa) -> None:
    honest = pyhanko_tsa(ca)

    def indefinite(query: bytes) -> Answer:
        """BER: the outermost SEQUENCE of the token without its length."""
        body = honest(query).body
        token = Response.load(body)["time_stamp_token"]
        ber = b"\x30\x80" + token.contents + b"\x00\x00"
        status = Response.load(body)["status"].dump()
        return Answer(b"\x30\x82" + len(status + ber).to_bytes(2, "big") + status + ber)

    def cut(query: bytes) -> Answer:
        return Answer(honest(query).body[:-7])

    def followed(query: bytes) -> Answer:
        return Answer(honest(query).body + b"\x00")

    def granted_nothing(_query: bytes) -> Answer:
        return Answer(Response({"status": {"status": "granted"}}).dump())

    def page(_query: bytes) -> Answer:
        return Answer(b"<html>", content_type="text/html")

    def compressed(query: bytes) -> Answer:
        return replace(honest(query), headers=(("Content-Encoding", "gzip"),))

    for tsa in (
        indefinite,
        cut,
        followed,
        granted_nothing,
        page,
        compressed,
        lambda _query: Answer(b""),
        lambda _query: Answer(b"\x30\x03abc"),
    ):
        with Web(tsa) as web:
            assert refusal(web.source(ca)).code is Code.TSA_ANSWER_MALFORMED, tsa


def test_a_huge_answer_is_not_read_to_its_end_and_a_large_token_not_taken(ca: OpensslCa) -> None:
    with Web(lambda _query: Answer(bytes(50_000_000))) as web:
        assert refusal(web.source(ca)).code is Code.TSA_ANSWER_TOO_LARGE
    with Web(pyhanko_tsa(ca)) as web:
        refused = refusal(web.source(ca, largest_token_bytes=1024))
        assert refused.code is Code.TSA_ANSWER_TOO_LARGE
        assert "documents keep room for 1024" in refused.reason


def test_slow_is_not_unreachable(ca: OpensslCa, free_port: Callable[[], int]) -> None:
    honest = pyhanko_tsa(ca)
    with Web(lambda query: replace(honest(query), drip_s=0.05)) as web:  # each octet in time, the whole never
        dripping = refusal(web.source(ca, total_s=0.6))
    with Web(lambda query: replace(honest(query), drip_s=30)) as web:
        silent = refusal(web.source(ca, read_s=0.3, total_s=20))
    nobody = HttpSource(name="nobody", url=f"http://127.0.0.1:{free_port()}/", anchors_file=ca.root)
    assert (dripping.code, silent.code, refusal(nobody).code) == (Code.TSA_SLOW, Code.TSA_SLOW, Code.TSA_UNREACHABLE)
    with Web(honest) as web:
        tls = web.source(ca, url=web.url.replace("http:", "https:"))
        assert refusal(tls).code is Code.TSA_UNREACHABLE


# --- secrets ---------------------------------------------------------------------------------------------------------------------


def test_secrets_come_from_private_files_and_go_where_they_belong(ca: OpensslCa, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    logins: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"login": "basic", "user": "office"}, ("Authorization", "Basic b2ZmaWNlOnMzY3JldA==")),
        ({"login": "bearer"}, ("Authorization", "Bearer s3cret")),
        ({"login": "header", "header": "X-Api-Key"}, ("X-Api-Key", "s3cret")),
    ]
    with Web(pyhanko_tsa(ca)) as web:
        for login, (name, value) in logins:
            stamp(web.source(ca, secret_file=secret, **login))
            assert web.seen[-1][name] == value
        secret.chmod(0o644)
        refused = refusal(web.source(ca, secret_file=secret, login="bearer"))
    assert refused.code is Code.CONFIGURATION_INVALID
    assert "s3cret" not in str(refused)


def test_tls_is_checked_both_ways(ca: OpensslCa, tmp_path: Path) -> None:
    server_key, server = ca.web("server", "serverAuth")
    client_key, client = ca.web("client", "clientAuth")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server, server_key)
    tls.load_verify_locations(ca.root)
    tls.verify_mode = ssl.CERT_REQUIRED
    with Web(pyhanko_tsa(ca), tls) as web:
        whole: dict[str, Any] = {"tls_anchors_file": ca.root, "certificate_file": client, "key_file": client_key}
        assert imprint_of(stamp(web.source(ca, **whole))) == DIGEST
        assert refusal(web.source(ca, tls_anchors_file=ca.root)).code is Code.TSA_UNREACHABLE  # without our certificate
        assert refusal(web.source(ca)).code is Code.TSA_UNREACHABLE  # under the system's roots
        client_key.chmod(0o640)
        assert refusal(web.source(ca, **whole)).code is Code.CONFIGURATION_INVALID
    assert web.requests == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://tsa.example/"},
        {"url": "https://user:word@tsa.example/"},
        {"login": "bearer"},
        {"secret_file": "/nowhere"},
        {"login": "basic", "secret_file": "/nowhere"},
        {"login": "bearer", "secret_file": "/nowhere", "url": "http://tsa.example/"},
        {"certificate_file": "/nowhere"},
        {"policy_oid": "no oid"},
        {"name": "Two words"},
        {"largest_token_bytes": 1},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpSource(**{"name": "tsa", "url": "https://tsa.example/", "anchors_file": "anchors.pem", **wrong})


def test_the_content_type_of_an_answer_may_have_parameters(ca: OpensslCa) -> None:
    honest = pyhanko_tsa(ca)
    with Web(lambda query: replace(honest(query), content_type=f"{REPLY.upper()}; charset=binary")) as web:
        assert imprint_of(stamp(web.source(ca))) == DIGEST


def test_the_compiled_core_reads_what_the_general_way_reads(ca: OpensslCa, tmp_path: Path) -> None:
    signers = Signers(x509.load_pem_x509_certificates(ca.root.read_bytes()), x509.load_pem_x509_certificates(ca.issuing.read_bytes()))
    for tsa, policy in ((openssl_tsa(ca, tmp_path / "ts"), "1.2.3.4.1"), (pyhanko_tsa(ca), None)):
        asked = Question(DIGEST, policy_oid=policy)
        data = tsa(asked.encoded()).body
        lean, full = answer.read_lean(data, asked, most_bytes=8192), answer._read_fully(data, asked, 8192)
        assert lean is not None and lean.signer is not None and full.signer is None
        assert (lean.encoded, lean.time, lean.accuracy_s) == (full.encoded, full.time, full.accuracy_s)
        assert lean.signer == signers.require_trusted(full).public_bytes(Encoding.DER)
        assert signers.require_trusted(lean).public_bytes(Encoding.DER) == lean.signer  # without a second look at the signature
        for other in (
            Question(DIGEST, nonce=asked.nonce + 1),
            Question(DIGEST[::-1], nonce=asked.nonce),
            replace(asked, policy_oid="1.2.3.4.2"),
        ):
            assert answer.read_lean(data, other, most_bytes=8192) is None
        assert answer.read_lean(data, asked, most_bytes=len(lean.encoded) - 1) is None


def test_a_token_whose_signature_was_verified_is_not_trusted_for_that(ca: OpensslCa, tmp_path: Path) -> None:
    """The compiled core says who signed; whether we trust them is judged in full, and anew when their time is over."""
    asked = Question(DIGEST)
    lean = answer.read_lean(openssl_tsa(ca, tmp_path / "ts")(asked.encoded()).body, asked, most_bytes=8192)
    assert lean is not None
    strangers = OpensslCa(tmp_path / "strangers", name="Strangers")
    signers = Signers(x509.load_pem_x509_certificates(strangers.root.read_bytes()))
    with pytest.raises(VermilionError) as refused:
        signers.require_trusted(lean)
    assert refused.value.code is Code.TSA_UNTRUSTED
    signers = Signers(x509.load_pem_x509_certificates(ca.root.read_bytes()), x509.load_pem_x509_certificates(ca.issuing.read_bytes()))
    signers.require_trusted(lean)
    with pytest.raises(VermilionError) as refused:
        signers.require_trusted(replace(lean, time=lean.time + timedelta(days=3650)))
    assert refused.value.code is Code.TSA_UNTRUSTED


@pytest.mark.parametrize(("bit", "with_core"), [(0x01, True), (0x20, True), (0x80, True), (0x10, False)])
def test_an_answer_with_any_one_bit_changed_is_refused_or_says_the_same(
    ca: OpensslCa, bit: int, with_core: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sealcore.compiled.AVAILABLE", with_core)
    asked, now = Question(DIGEST), datetime.now(UTC)
    honest = pyhanko_tsa(ca)(asked.encoded()).body
    signers = Signers(x509.load_pem_x509_certificates(ca.root.read_bytes()), x509.load_pem_x509_certificates(ca.issuing.read_bytes()))

    def judged(data: bytes) -> answer.Token:
        """As the client does it."""
        token = answer.read(data, asked, most_bytes=8192)
        answer.require_time(token, sent=now, received=now, window_s=60)
        signers.require_trusted(token)
        return token

    right, refused = judged(honest), Counter[Code]()
    for at in range(len(honest)):
        changed = bytearray(honest)
        changed[at] ^= bit
        try:
            token = judged(bytes(changed))
        except VermilionError as fault:
            refused[fault.code] += 1
        else:  # in what nobody signed: the status, versions, certificates that are not the signer's
            assert (token.content, token.time) == (right.content, right.time)
    assert set(refused) <= {code for code in Code if code.startswith("TSA_")}
    assert refused.total() > len(honest) * 0.9
