"""RFC 3161 over HTTP: what is granted, and which PKIFailureInfo every fault gets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from asn1crypto import algos, core, tsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from sealcore.clock import FixedClock
from sealcore.hsm.token import Token
from sealcore.hsm.watch import Watched
from tests.support.strange import walk
from tests.timestamp.kit import Response
from timestamp.der import OCTET_STRING, SEQUENCE, tlv
from timestamp.http import QUERY_TYPE, REPLY_TYPE, TimestampApp
from timestamp.metrics import WorkerMetrics
from timestamp.request import REQUEST_LIMIT_BYTES, RefusedError, parse
from timestamp.settings import DEFAULT_POLICY_OID
from timestamp.stamping import Stamping
from timestamp.unit import TimestampUnit

MakeUnit = Callable[..., TimestampUnit]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC))


@pytest.fixture
def client(make_unit: MakeUnit, clock: FixedClock) -> Iterator[TestClient]:
    unit = make_unit(clock=clock)
    stamping = Stamping(unit, Watched(timeout_s=5, most_hung=1), threads=1)
    with TestClient(TimestampApp(unit, stamping, WorkerMetrics())) as opened:
        yield opened
    stamping.close()


def request(digest: bytes = bytes(32), algorithm: str = "sha256", **others: object) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest}
    return tsp.TimeStampReq({"version": 1, "message_imprint": imprint, **others}).dump()


def post(client: TestClient, body: bytes, content_type: str = QUERY_TYPE) -> httpx.Response:
    return client.post("/", content=body, headers={"Content-Type": content_type})


def failure_of(answer: httpx.Response) -> set[str]:
    assert answer.headers["content-type"] == REPLY_TYPE
    response = Response.load(answer.content, strict=True)
    assert response["status"]["status"].native == "rejection"
    assert response["status"]["status_string"].native, "a refusal says why in words too"
    assert response["time_stamp_token"].native is None
    assert response.dump(force=True) == answer.content, "DER as a general encoder makes it"
    return set(response["status"]["fail_info"].native)


def test_request_is_granted_with_its_own_imprint_and_nonce(client: TestClient) -> None:
    digest = hashlib.sha512(b"x").digest()
    answer = post(client, request(digest, "sha512", nonce=2**64 - 3, cert_req=True, req_policy=DEFAULT_POLICY_OID))
    response = Response.load(answer.content, strict=True)
    assert answer.status_code == 200 and answer.headers["content-type"] == REPLY_TYPE
    assert response["status"]["status"].native == "granted" and response["status"]["fail_info"].native is None
    info = response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    assert info["nonce"].native == 2**64 - 3
    assert info["message_imprint"]["hashed_message"].native == digest


@pytest.mark.parametrize("parameters", [core.Null(), None])
def test_imprint_is_repeated_byte_for_byte(parameters: core.Null | None, client: TestClient) -> None:
    algorithm = algos.DigestAlgorithm({"algorithm": "sha256", "parameters": parameters} if parameters else {"algorithm": "sha256"})
    imprint = tsp.MessageImprint({"hash_algorithm": algorithm, "hashed_message": bytes(32)})
    body = tsp.TimeStampReq({"version": 1, "message_imprint": imprint}).dump()
    token = Response.load(post(client, body).content)["time_stamp_token"]
    assert imprint.dump() in token["content"]["encap_content_info"]["content"].parsed.dump()


def test_certificates_only_with_cert_req(client: TestClient) -> None:
    for wanted in (False, True):
        token = Response.load(post(client, request(cert_req=wanted)).content)["time_stamp_token"]
        assert (token["content"]["certificates"].native is not None) is wanted


def test_content_type_may_have_parameters(client: TestClient) -> None:
    answer = post(client, request(), "Application/Timestamp-Query; charset=binary")
    assert Response.load(answer.content)["status"]["status"].native == "granted"


@pytest.mark.parametrize(("algorithm", "size"), [("sha1", 20), ("md5", 16), ("sha224", 28), ("sha3_256", 32)])
def test_other_hashes_are_bad_alg(algorithm: str, size: int, client: TestClient) -> None:
    assert failure_of(post(client, request(bytes(size), algorithm))) == {"bad_alg"}


def test_hash_parameters_are_bad_alg(client: TestClient) -> None:
    """Neither a number in the place of NULL, nor anything after NULL."""
    oid = core.ObjectIdentifier("2.16.840.1.101.3.4.2.1").dump()
    for parameters in (core.Integer(1).dump(), core.Null().dump() * 2, b"\x05\x01\x00"):
        imprint = tlv(SEQUENCE, tlv(SEQUENCE, oid, parameters), tlv(OCTET_STRING, bytes(32)))
        assert failure_of(post(client, tlv(SEQUENCE, core.Integer(1).dump(), imprint))) == {"bad_alg"}


@pytest.mark.parametrize("version", [0, 2, -1, 300])
def test_other_versions_are_bad_request(version: int, client: TestClient) -> None:
    body = tsp.TimeStampReq.load(request())
    encoded = tlv(SEQUENCE, core.Integer(version).dump(), body["message_imprint"].dump())
    assert failure_of(post(client, encoded)) == {"bad_request"}


def test_oversized_nonce_is_bad_request(client: TestClient) -> None:
    assert failure_of(post(client, request(nonce=2**300))) == {"bad_request"}


def test_wrong_digest_length_is_bad_data_format(client: TestClient) -> None:
    assert failure_of(post(client, request(bytes(31)))) == {"bad_data_format"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"hello",
        request()[:-1],
        request() + b"\x00",
        b"\x31" + request()[1:],
        b"\x30\x82\x00\x05\x02\x01\x01\x30\x00",
    ],
)
def test_what_is_no_request_is_bad_data_format(body: bytes, client: TestClient) -> None:
    assert failure_of(post(client, body)) == {"bad_data_format"}


def test_other_policy_is_unaccepted_policy(client: TestClient) -> None:
    assert failure_of(post(client, request(req_policy="1.2.3.4"))) == {"unaccepted_policy"}


@pytest.mark.parametrize("critical", [True, False])
def test_any_extension_is_unaccepted_extension(critical: bool, client: TestClient) -> None:
    extension = {"extn_id": "2.5.29.14", "critical": critical, "extn_value": b"\x04\x01\x00"}
    assert failure_of(post(client, request(extensions=[extension]))) == {"unaccepted_extensions"}  # asn1crypto's name for it


def test_clock_gone_back_is_time_not_available(client: TestClient, clock: FixedClock) -> None:
    post(client, request())
    clock.advance(-3600)
    answer = post(client, request())
    assert failure_of(answer) == {"time_not_available"} and answer.status_code == 200


def test_lost_token_is_system_failure(client: TestClient, token: Token) -> None:
    token.close()
    assert failure_of(post(client, request())) == {"system_failure"}


@pytest.mark.parametrize("content_type", ["application/json", "", "application/timestamp-reply"])
def test_other_content_types_are_refused(content_type: str, client: TestClient) -> None:
    answer = post(client, request(), content_type)
    assert answer.status_code == 415 and failure_of(answer) == {"bad_request"}


def test_oversized_body_is_refused(client: TestClient) -> None:
    answer = post(client, bytes(REQUEST_LIMIT_BYTES + 1))
    assert answer.status_code == 413 and failure_of(answer) == {"bad_request"}


def test_get_explains(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    assert "openssl ts -query" in answer.text and DEFAULT_POLICY_OID in answer.text


def test_other_methods_and_paths_get_a_problem(client: TestClient) -> None:
    assert client.put("/").status_code == 405
    answer = client.get("/nothing")
    assert answer.status_code == 404 and answer.json()["code"] == "NOT_FOUND"


@given(
    st.binary(max_size=200)
    | st.tuples(st.integers(0, 80), st.integers(0, 255)).map(lambda at: request()[: at[0]] + bytes((at[1],)) + request()[at[0] + 1 :])
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_make_the_parser_raise_anything_else(body: bytes) -> None:
    try:
        parse(body, policy_oid=DEFAULT_POLICY_OID)
    except RefusedError as refusal:
        assert refusal.reason


def test_no_value_in_a_request_is_a_fault_of_ours(client: TestClient) -> None:
    assert walk(["/", "/healthz", "/{other}"], client.request, is_problem=False) > 100
