"""Clients and verifiers that no one here wrote, against one running service: what they get, and that they take it.

One service with an RSA unit under an issuing CA under a root, as an office has it; ``rfc3161ng`` verifies RSA alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import itertools
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rfc3161ng
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko_certvalidator import ValidationContext
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response

from tests import plain_http
from tests.support.ports import free_port
from tests.support.programs import program
from tests.timestamp.chrony import SOON_S
from tests.timestamp.kit import Response, SmallCa, UnitKeys, write_config
from timestamp.request import REQUEST_LIMIT_BYTES
from timestamp.settings import DEFAULT_POLICY_OID

Run = Callable[..., str]
MESSAGE = b"what was seen"
HASHES = ("sha256", "sha384", "sha512")
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


@dataclass(frozen=True)
class Tsa:
    """A running service and those who certified it."""

    url: str
    port: int
    folder: Path
    root: SmallCa
    issuing: SmallCa
    unit: x509.Certificate
    start: Callable[[], subprocess.Popen[bytes]]
    process: list[subprocess.Popen[bytes]]

    def restart(self) -> None:
        self.process[0].terminate()
        assert self.process[0].wait(SOON_S) == 0
        self.process[0] = self.start()


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory, unit_keys: UnitKeys) -> Iterator[Tsa]:
    folder = tmp_path_factory.mktemp("clients")
    port = free_port()
    root = SmallCa("Test root")
    issuing = SmallCa("Test issuing CA", root)
    config = write_config(folder, unit_keys, issuing, port, "rsa-2048", latest_time_file=folder / "latest-time")

    def start() -> subprocess.Popen[bytes]:
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(program("timestamp", "--config", config), stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n", (folder / "log").read_text()
        return process

    process = [start()]
    unit = x509.load_pem_x509_certificate((folder / "unit.pem").read_bytes())
    yield Tsa(f"http://127.0.0.1:{port}/", port, folder, root, issuing, unit, start, process)
    process[0].terminate()
    process[0].wait(SOON_S)


def _pem(*signed: Any) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in signed)


def info_of(answer: bytes) -> tsp.TSTInfo:
    return Response.load(answer, strict=True)["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed


# --- openssl and curl


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("certificates", [True, False])
def test_openssl_ts_and_curl_up_to_the_root_with_crls(hash_name: str, certificates: bool, tsa: Tsa, tmp_path: Path, run: Run) -> None:
    data, query, reply, trust = (tmp_path / name for name in ("data", "query", "reply", "trust"))
    data.write_bytes(MESSAGE)
    crls = [tsa.root.crl(), tsa.issuing.crl()]
    trust.write_bytes(_pem(tsa.root.certificate, *crls))
    run("openssl", "ts", "-query", "-data", data, f"-{hash_name}", *(["-cert"] if certificates else []), "-out", query)
    run("curl", "-sSf", "-H", f"Content-Type: {QUERY}", "--data-binary", f"@{query}", tsa.url, "-o", reply)
    text = run("openssl", "ts", "-reply", "-in", reply, "-text")
    for line in (
        "Status: Granted.",
        f"Policy OID: {DEFAULT_POLICY_OID}",
        f"Hash Algorithm: {hash_name}",
        "Accuracy: 0x01 seconds",
        "Ordering: no",
    ):
        assert line in text
    assert "TSA: unspecified" in text and "Extensions:" in text
    untrusted = tmp_path / "untrusted"
    untrusted.write_bytes((tsa.folder / "unit.pem").read_bytes() + (tsa.folder / "chain.pem").read_bytes())
    known = [] if certificates else ["-untrusted", untrusted]
    command = ["openssl", "ts", "-verify", "-in", reply, "-CAfile", trust, "-crl_check", "-crl_check_all", "-x509_strict", *known]
    assert "Verification: OK" in run(*command, "-queryfile", query)
    assert "Verification: OK" in run(*command, "-data", data)


def test_openssl_refuses_it_once_the_unit_is_revoked(tsa: Tsa, tmp_path: Path, run: Run) -> None:
    data, query, reply, trust = (tmp_path / name for name in ("data", "query", "reply", "trust"))
    data.write_bytes(MESSAGE)
    crls = [tsa.root.crl(), tsa.issuing.crl(tsa.unit)]
    trust.write_bytes(_pem(tsa.root.certificate, *crls))
    run("openssl", "ts", "-query", "-data", data, "-sha256", "-cert", "-out", query)
    run("curl", "-sSf", "-H", f"Content-Type: {QUERY}", "--data-binary", f"@{query}", tsa.url, "-o", reply)
    with pytest.raises(AssertionError, match="certificate revoked"):
        run("openssl", "ts", "-verify", "-in", reply, "-CAfile", trust, "-crl_check_all", "-queryfile", query)


@pytest.mark.parametrize("hash_name", ["sha1", "md5", "sha224", "sha3-256", "sm3", "ripemd160"])
def test_what_openssl_asks_with_another_hash_is_bad_alg(hash_name: str, tsa: Tsa, tmp_path: Path, run: Run) -> None:
    query, reply = tmp_path / "query", tmp_path / "reply"
    sizes = {"sha1": 20, "md5": 16, "sha224": 28, "ripemd160": 20}
    run("openssl", "ts", "-query", "-digest", "ab" * sizes.get(hash_name, 32), f"-{hash_name}", "-out", query)
    run("curl", "-sSf", "-H", f"Content-Type: {QUERY}", "--data-binary", f"@{query}", tsa.url, "-o", reply)
    text = run("openssl", "ts", "-reply", "-in", reply, "-text")
    assert "Status: Rejected." in text and "unrecognized or unsupported algorithm identifier" in text


def test_openssl_reads_every_other_refusal(tsa: Tsa, tmp_path: Path, run: Run) -> None:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}
    extension = {"extn_id": "1.2.3.4", "critical": False, "extn_value": b"\x05\x00"}
    request = tsp.TimeStampReq
    asked = {
        "the data submitted has the wrong format": request(
            {"version": 1, "message_imprint": {**imprint, "hashed_message": bytes(20)}}
        ).dump(),
        "the requested TSA policy is not supported": request({"version": 1, "message_imprint": imprint, "req_policy": "1.2.3"}).dump(),
        "the requested extension is not supported": request({"version": 1, "message_imprint": imprint, "extensions": [extension]}).dump(),
        "transaction not permitted or supported": request({"version": 1, "message_imprint": imprint})
        .dump()
        .replace(b"\x02\x01\x01", b"\x02\x01\x07", 1),
    }
    for failure, body in asked.items():
        answer = plain_http.post(tsa.url, content=body, headers={"Content-Type": QUERY})
        assert answer.status_code == 200 and answer.headers["content-type"] == REPLY
        (tmp_path / "reply").write_bytes(answer.content)
        text = run("openssl", "ts", "-reply", "-in", tmp_path / "reply", "-text")
        assert "Status: Rejected." in text and failure in text


def test_curl_is_told_when_it_uses_http_wrongly(tsa: Tsa, tmp_path: Path, run: Run) -> None:
    body = tmp_path / "body"

    def status(data: bytes, *options: str) -> str:
        body.write_bytes(data)
        return run("curl", "-sS", "-o", tmp_path / "out", "-w", "%{http_code} %{content_type}", *options, tsa.url)

    as_query = ("-H", f"Content-Type: {QUERY}", "--data-binary", f"@{body}")
    assert status(b"", "-X", "GET").startswith("200 text/plain")
    assert b"openssl ts -query" in (tmp_path / "out").read_bytes()
    assert status(b"", "-X", "PUT").startswith("405 ")
    assert status(b"x", "-H", "Content-Type: text/plain", "--data-binary", f"@{body}") == f"415 {REPLY}"
    assert status(bytes(REQUEST_LIMIT_BYTES + 1), *as_query) == f"413 {REPLY}"
    assert status(bytes(REQUEST_LIMIT_BYTES + 1), *as_query, "-H", "Transfer-Encoding: chunked") == f"413 {REPLY}"
    assert status(b"no request", *as_query) == f"200 {REPLY}"


def test_a_slow_body_is_waited_for_and_holds_up_nobody_else(tsa: Tsa) -> None:
    """The time that it may take at most is ``BODY_TIMEOUT_S``."""
    query = tsp.TimeStampReq(
        {"version": 1, "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}}
    ).dump()
    with socket.create_connection(("127.0.0.1", tsa.port), timeout=SOON_S) as slow:
        slow.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {QUERY}\r\nContent-Length: {len(query)}\r\n\r\n".encode() + query[:9])
        for _ in range(8):
            assert info_of(plain_http.post(tsa.url, content=query, headers={"Content-Type": QUERY}).content)
        slow.sendall(query[9:])
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert info_of(answer.read())


# --- rfc3161-client, rfc3161ng, pyHanko


@pytest.mark.parametrize("hash_algorithm", [HashAlgorithm.SHA256, HashAlgorithm.SHA512])
def test_rfc3161_client_asks_and_verifies(hash_algorithm: HashAlgorithm, tsa: Tsa) -> None:
    request = (
        TimestampRequestBuilder().data(MESSAGE).hash_algorithm(hash_algorithm).nonce(nonce=True).cert_request(cert_request=True).build()
    )
    answer = plain_http.post(tsa.url, content=request.as_bytes(), headers={"Content-Type": QUERY})
    response = decode_timestamp_response(answer.content)
    builder = VerifierBuilder.from_request(request).policy_id(x509.ObjectIdentifier(DEFAULT_POLICY_OID))
    verifier = builder.add_root_certificate(tsa.root.certificate).add_intermediate_certificate(tsa.issuing.certificate).build()
    assert verifier.verify_message(response, MESSAGE)


@pytest.mark.parametrize("hash_name", HASHES)
def test_rfc3161ng_asks_and_verifies(hash_name: str, tsa: Tsa) -> None:
    pem = tsa.unit.public_bytes(Encoding.PEM)
    stamper = rfc3161ng.RemoteTimestamper(tsa.url, certificate=pem, hashname=hash_name, include_tsa_certificate=True)
    token = stamper(data=MESSAGE, nonce=2**63 + 5)
    assert rfc3161ng.check_timestamp(token, certificate=pem, data=MESSAGE, hashname=hash_name, nonce=2**63 + 5)
    assert rfc3161ng.get_timestamp(token, naive=False).tzinfo is not None
    with pytest.raises(ValueError, match="imprint mismatch"):
        rfc3161ng.check_timestamp(token, certificate=pem, data=b"something else", hashname=hash_name)


@pytest.mark.parametrize("hash_name", HASHES)
def test_pyhanko_takes_it_for_its_timestamper(hash_name: str, tsa: Tsa) -> None:
    digest = hashlib.new(hash_name, MESSAGE).digest()
    token = asyncio.run(HTTPTimeStamper(tsa.url).async_timestamp(digest, hash_name))
    roots = [asn1_x509.Certificate.load(tsa.root.certificate.public_bytes(Encoding.DER))]
    crls = [ca.crl().public_bytes(Encoding.DER) for ca in (tsa.root, tsa.issuing)]
    context = ValidationContext(trust_roots=roots, crls=crls, revocation_mode="hard-fail", allow_fetching=False)
    status = asyncio.run(validate_tst_signed_data(token["content"], context, lambda name: hashlib.new(name, MESSAGE).digest()))
    assert status["valid"] and status["intact"] and status["trust_problem_indic"] is None


def test_pyhanko_takes_no_refusal_for_a_token(tsa: Tsa) -> None:
    """asn1crypto wants a token in every response, so that it is a ValueError rather than pyHanko's own TimestampRequestError."""
    with pytest.raises((TimestampRequestError, ValueError)):
        asyncio.run(HTTPTimeStamper(tsa.url).async_timestamp(hashlib.sha1(MESSAGE).digest(), "sha1"))


# --- over all processes and restarts


def test_serials_are_unique_and_time_does_not_go_back_over_workers_and_restarts(tsa: Tsa) -> None:
    query = tsp.TimeStampReq(
        {"version": 1, "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}}
    ).dump()

    def stamp(_: int) -> tsp.TSTInfo:
        return info_of(plain_http.post(tsa.url, content=query, headers={"Content-Type": QUERY}).content)

    rounds = []
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            rounds.append(list(pool.map(stamp, range(60))))
        tsa.restart()
    serials = [info["serial_number"].native for each in rounds for info in each]
    assert len(set(serials)) == len(serials) == 180
    assert all(0 < serial < 2**128 for serial in serials) and sum(serial > 2**120 for serial in serials) > 170
    times = [[info["gen_time"].native for info in each] for each in rounds]
    assert all(max(earlier) <= min(later) for earlier, later in itertools.pairwise(times))


# --- what ETSI EN 319 422 asks of a token


def test_a_token_is_as_en_319_422_has_it(tsa: Tsa) -> None:
    imprint = {"hash_algorithm": {"algorithm": "sha512"}, "hashed_message": hashlib.sha512(MESSAGE).digest()}
    asked = tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "nonce": 2**64 + 1, "cert_req": True})
    answer = plain_http.post(tsa.url, content=asked.dump(), headers={"Content-Type": QUERY}).content
    signed = Response.load(answer, strict=True)["time_stamp_token"]["content"]
    info = info_of(answer)
    assert (info["version"].native, info["policy"].dotted, info["nonce"].native) == ("v1", DEFAULT_POLICY_OID, 2**64 + 1)
    assert info["accuracy"]["seconds"].native == 1, "5.2.1: accuracy is there, of one second or better"
    assert info["accuracy"]["millis"].native is None and info["accuracy"]["micros"].native is None
    assert b"\x01\x01" not in info.dump()[-12:] and not info["ordering"].native, "5.2.1: ordering is absent or false"
    assert info["tsa"].native is None and info["extensions"].native is None
    assert info["gen_time"].contents.endswith(b"Z")
    assert len(signed["signer_infos"]) == 1 and signed["digest_algorithms"].native == [{"algorithm": "sha256", "parameters": None}]
    sent = [each.chosen.dump() for each in signed["certificates"]]
    unit_der, issuing_der = (each.public_bytes(Encoding.DER) for each in (tsa.unit, tsa.issuing.certificate))
    assert sorted(sent) == sorted([unit_der, issuing_der]), "5.2.2: the unit's certificate, and here what leads to the root"
    attributes = {each["type"].native: each["values"] for each in signed["signer_infos"][0]["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    (identifier,) = attributes["signing_certificate_v2"][0]["certs"]
    assert identifier["hash_algorithm"]["algorithm"].native == "sha256"
    assert identifier["cert_hash"].native == hashlib.sha256(unit_der).digest()
    assert signed["signer_infos"][0]["unsigned_attrs"].native is None
