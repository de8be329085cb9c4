"""The HTTP door, over a real server."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema
import pytest
from cryptography import x509

from tests import plain_http
from tests.support.strange import walk
from tests.verify.conftest import RunningService
from tests.verify.office import Office, Sealed, page_document
from verify.report import schema


@pytest.fixture(scope="session")
def logged(service: RunningService, office: Office) -> Sealed:
    """A document whose entry the running service's ledger has."""
    sealed = office.sign(page_document(pages=2))
    service.log.publish(sealed.entry())
    return sealed


def test_a_posted_document_gets_the_report_that_the_schema_describes(service: RunningService, logged: Sealed) -> None:
    answer = plain_http.post(f"{service.url}/v1/verify", files={"file": ("合同.pdf", logged.data, "application/pdf")})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    report = answer.json()
    jsonschema.validate(report, schema())
    assert report["verdict"] == "valid" and report["document"] == "合同.pdf"
    assert report["seals"][0]["authorised"]["state"] == "authorised"
    assert report["seals"][0]["authorised"]["checkpoint"]["cosigned_at"]


def test_curl_gets_the_same_answer(service: RunningService, logged: Sealed, tmp_path: Path) -> None:
    (tmp_path / "document.pdf").write_bytes(logged.data)
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "-F", f"file=@{tmp_path / 'document.pdf'}", f"{service.url}/v1/verify"],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["verdict"] == "valid"


def test_a_genuine_seal_without_an_entry_is_not_authorised(service: RunningService, office: Office) -> None:
    unlogged = office.sign(page_document(pages=3))
    report = plain_http.post(f"{service.url}/v1/verify", files={"file": ("x.pdf", unlogged.data)}, timeout=30).json()
    assert report["verdict"] == "invalid"
    assert [each["code"] for each in report["seals"][0]["findings"]] == ["NOT_AUTHORISED"]


@pytest.mark.parametrize(
    ("header", "query", "beginning"), [("zh-CN,zh;q=0.9", "", "无法判定"), ("fr", "", "Cannot"), ("en", "?lang=zh", "无法判定")]
)
def test_the_language_follows_the_reader(service: RunningService, header: str, query: str, beginning: str) -> None:
    answer = plain_http.post(
        f"{service.url}/v1/verify{query}", files={"file": ("x.pdf", page_document())}, headers={"Accept-Language": header}
    )
    assert answer.json()["sentence"].startswith(beginning)


@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_a_file_beyond_the_limit_is_turned_away(service: RunningService, way: str) -> None:
    size = service.settings.limits.document_bytes + 200_000
    if way == "declared":
        answer = plain_http.post(f"{service.url}/v1/verify", files={"file": ("big.pdf", bytes(size))})
    else:
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="big.pdf"\r\n\r\n'
        answer = plain_http.post(
            f"{service.url}/v1/verify",
            content=iter([head, *[bytes(65536)] * (size // 65536 + 1), b"\r\n--b--\r\n"]),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
    assert answer.status_code == 413
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body["code"], body["status"]) == ("DOCUMENT_TOO_LARGE", 413) and body["way_out"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(b"", "multipart/form-data; boundary=b"), (b"{}", "application/json"), (b"--b\r\nbroken", "multipart/form-data; boundary=b")],
)
def test_a_request_without_a_file_says_so(service: RunningService, content: bytes, content_type: str) -> None:
    answer = plain_http.post(f"{service.url}/v1/verify", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400 and answer.json()["code"] == "INVALID_ARGUMENT"


FORM: Final = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\naaaa\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        *(
            (FORM, f"multipart/form-data; boundary=b; charset={name}")
            for name in ("undefined", "punycode", "idna", "utf-16", "rot13", "nonsense")
        ),
        *((b"&&", kind) for kind in ("application/x-www-form-urlencoded", "text/plain; boundary=b", "multipart/mixed; boundary=b", "")),
    ],
)
def test_a_body_that_no_browser_sends_is_not_read(service: RunningService, content: bytes, content_type: str) -> None:
    def post(path: str) -> httpx.Response:
        return plain_http.post(service.url + path, content=content, headers={"Content-Type": content_type})

    answer = post("/v1/verify")
    assert answer.status_code == 400 and "no form of the type multipart/form-data" in answer.text
    assert post("/").status_code == 400


def test_a_second_file_in_one_form_is_refused(service: RunningService) -> None:
    files = [("file", ("a.pdf", b"%PDF-")), ("file", ("b.pdf", b"%PDF-"))]
    assert plain_http.post(f"{service.url}/v1/verify", files=files).status_code == 400


def test_an_unknown_address_is_a_problem_document(service: RunningService) -> None:
    answer = plain_http.get(f"{service.url}/v1/nothing")
    assert answer.status_code == 404 and answer.json()["code"] == "NOT_FOUND"


def test_the_root_certificate_can_be_had_and_is_ours(service: RunningService, office: Office) -> None:
    answer = plain_http.get(f"{service.url}/root.pem")
    assert x509.load_pem_x509_certificate(answer.content) == office.root.identity.certificate


def test_the_page_allows_nothing_from_elsewhere(service: RunningService) -> None:
    answer = plain_http.get(service.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    for attribute in ("href=", "src=", "action="):
        for part in answer.text.split(attribute)[1:]:
            assert part.lstrip("\"'").startswith("/"), part[:60]


def test_the_form_works_without_scripts(service: RunningService, logged: Sealed) -> None:
    answer = plain_http.post(f"{service.url}/?lang=en", files={"file": ("contract.pdf", logged.data)})
    assert answer.status_code == 200
    assert "Sealed by Example Trading Ltd (Contract Seal)" in answer.text and "verdict good" in answer.text


def test_the_form_sent_empty_explains_itself_on_the_page(service: RunningService) -> None:
    answer = plain_http.post(f"{service.url}/?lang=en", files={"file": ("", b"")})
    assert answer.status_code == 400 and "INVALID_ARGUMENT" in answer.text and "<form" in answer.text


def test_names_from_the_document_cannot_become_markup(service: RunningService) -> None:
    answer = plain_http.post(f"{service.url}/", files={"file": ("<script>alert(1)</script>.pdf", page_document())})
    assert "<script>alert" not in answer.text and "&lt;script&gt;" in answer.text


def test_health_and_metrics_are_served(service: RunningService) -> None:
    plain_http.post(f"{service.url}/v1/verify", files={"file": ("x.pdf", b"hello")})
    assert plain_http.get(f"{service.url}/healthz").json()["crls"] == {"current": 2, "wanted": 2}
    assert service.settings.metrics is not None
    monitoring = f"http://{service.settings.metrics.target}"
    assert 'vermilion_verify_reports_total{verdict="unreadable"}' in plain_http.get(f"{monitoring}/metrics").text
    assert plain_http.get(f"{monitoring}/healthz").status_code == 200
    assert plain_http.get(f"{service.url}/metrics").status_code == 404  # strangers have no business there


def test_an_answer_names_its_request_and_a_refusal_too(service: RunningService) -> None:
    sent = {"X-Request-Id": "a-strangers-own.id:1"}
    answer = plain_http.post(f"{service.url}/v1/verify", files={"file": ("x.pdf", b"hello")}, headers=sent)
    assert answer.headers["X-Request-Id"] == sent["X-Request-Id"]
    refused = plain_http.post(f"{service.url}/v1/verify", headers=sent)
    assert refused.json()["request_id"] == refused.headers["X-Request-Id"] == sent["X-Request-Id"]
    forged = plain_http.get(f"{service.url}/healthz", headers={"X-Request-Id": 'x","level":"error'})
    assert len(forged.headers["X-Request-Id"]) == 36  # what is no id is replaced, and reaches no log


def test_the_openapi_description_is_served(service: RunningService) -> None:
    description = plain_http.get(f"{service.url}/openapi.json").json()
    assert list(description["paths"]) == ["/v1/verify"]


def test_the_commands_on_the_page_work_as_they_stand(service: RunningService, logged: Sealed, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(plain_http.get(f"{service.url}/root.pem").content)
    (tmp_path / "document.pdf").write_bytes(logged.data)
    page = plain_http.get(service.url).text
    commands = html.unescape(page.split("<pre", 1)[1].split(">", 1)[1].split("</pre>", 1)[0])
    done = subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Signature is Valid." in done.stdout and "Total document signed" in done.stdout
    assert "Certificate is Trusted." in done.stdout


def test_no_value_in_a_request_is_a_fault_of_ours(service: RunningService) -> None:
    with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:

        def send(method: str, path: str, **rest: Any) -> httpx.Response:
            try:
                return client.request(method, path, **rest)
            except httpx.RemoteProtocolError:  # the front ended a connection after what is no HTTP
                return client.get("/healthz")

        paths = ["/", "/v1/verify", "/v1/verify/schema", "/openapi.json", "/root.pem", "/static/{name}", "/healthz", "/{other}"]
        assert walk(paths, send, queries={"/": ["lang"]}, is_problem=False) > 200
