"""What strangers fetch from the CA."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from starlette.testclient import TestClient

from ca.http import CRL_CACHE_S, create
from ca.pki import Hierarchy
from tests.ca.office import Desk, software_request
from tests.support.strange import patterns, walk


@pytest.fixture
def stranger(desk: Desk) -> Iterator[TestClient]:
    with TestClient(create(desk.engine, lambda: Hierarchy(desk.authorities), clock=desk.clock)) as opened:
        yield opened


@pytest.mark.parametrize("name", ["root", "seals", "infrastructure"])
def test_crl_comes_with_its_type_and_caching_headers(name: str, own_desk: Desk) -> None:
    stranger = TestClient(create(own_desk.engine, lambda: Hierarchy(own_desk.authorities), clock=own_desk.clock))
    answer = stranger.get(f"/crl/{name}.crl")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/pkix-crl"
    crl = x509.load_der_x509_crl(answer.content)
    assert answer.headers["cache-control"] == f"public, max-age={CRL_CACHE_S}"
    assert parsedate_to_datetime(answer.headers["last-modified"]) == crl.last_update_utc
    now = own_desk.clock.now().replace(microsecond=0)
    assert parsedate_to_datetime(answer.headers["expires"]) == now + timedelta(seconds=CRL_CACHE_S)
    again = stranger.get(f"/crl/{name}.crl", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


@pytest.mark.parametrize("name", ["root", "seals", "infrastructure"])
def test_ca_certificate_comes_as_der(name: str, stranger: TestClient, desk: Desk) -> None:
    answer = stranger.get(f"/ca/{name}.cer")
    assert answer.headers["content-type"] == "application/pkix-cert" and "max-age" in answer.headers["cache-control"]
    assert answer.content == desk.authorities[name].public_bytes(Encoding.DER)


def test_root_comes_as_pem_too(stranger: TestClient, desk: Desk) -> None:
    assert stranger.get("/root.pem").content == desk.authorities["root"].public_bytes(Encoding.PEM)


def test_revocation_changes_the_tag_and_the_list_at_once(stranger: TestClient, desk: Desk) -> None:
    certificate = desk.issue("seal", software_request((NameOID.COMMON_NAME, "章")))
    before = stranger.get("/crl/seals.crl")
    desk.revoke("seals", certificate.serial_number, "superseded")
    after = stranger.get("/crl/seals.crl", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert x509.load_der_x509_crl(after.content).get_revoked_certificate_by_serial_number(certificate.serial_number)


def test_asker_who_says_since_when_gets_a_crl_only_if_it_is_newer(stranger: TestClient, desk: Desk) -> None:
    desk.clock.advance(7200)
    desk.publisher.publish("infrastructure")
    made = stranger.get("/crl/infrastructure.crl").headers["last-modified"]
    for method in ("GET", "HEAD"):
        held = stranger.request(method, "/crl/infrastructure.crl", headers={"If-Modified-Since": made})
        assert (held.status_code, held.content, held.headers["last-modified"]) == (304, b"", made)
    earlier = (parsedate_to_datetime(made) - timedelta(seconds=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert stranger.get("/crl/infrastructure.crl", headers={"If-Modified-Since": earlier}).status_code == 200
    assert stranger.get("/crl/infrastructure.crl", headers={"If-Modified-Since": "yesterday"}).status_code == 200
    both = {"If-Modified-Since": made, "If-None-Match": '"other"'}  # the tag goes before the date (RFC 9110 §13.2.2)
    assert stranger.get("/crl/infrastructure.crl", headers=both).status_code == 200


def test_second_crl_of_the_same_second_is_not_taken_for_the_first(stranger: TestClient, desk: Desk) -> None:
    desk.clock.advance(10_800)
    desk.publisher.publish("infrastructure")
    made = stranger.get("/crl/infrastructure.crl").headers["last-modified"]
    desk.publisher.publish("infrastructure")
    again = stranger.get("/crl/infrastructure.crl", headers={"If-Modified-Since": made})
    assert again.status_code == 200 and "last-modified" not in again.headers
    tag = again.headers["etag"]
    for held in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        assert stranger.get("/crl/infrastructure.crl", headers={"If-None-Match": held}).status_code == 304


def test_head_gives_the_headers_alone(stranger: TestClient) -> None:
    answer = stranger.head("/crl/seals.crl")
    assert answer.status_code == 200 and answer.content == b"" and "etag" in answer.headers


@pytest.mark.parametrize("path", ["/crl/other.crl", "/ca/other.cer", "/crl/..%2fca.db", "/", "/docs"])
def test_whatever_else_is_not_found(path: str, stranger: TestClient) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 404 and answer.json()["code"] == "NOT_FOUND"


def test_health_fails_once_a_crl_has_lapsed(stranger: TestClient, desk: Desk) -> None:
    assert stranger.get("/healthz").status_code == 200
    desk.clock.advance(8 * 86_400)
    answer = stranger.get("/healthz")
    assert answer.status_code == 503 and answer.json()["code"] == "REVOCATION_UNAVAILABLE"
    assert stranger.get("/crl/seals.crl").headers["cache-control"] == "public, max-age=0"


def test_no_value_in_a_request_is_a_fault_of_ours(stranger: TestClient) -> None:
    routes = patterns(stranger.app.routes)  # type: ignore[attr-defined]
    assert len(routes) == 5 and walk(routes, stranger.request) > 200
