"""The timestamp service as a process, and the clients that people already have."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from tests.support.programs import program
from tests.timestamp.kit import SmallCa, UnitKeys, write_config

Run = Callable[..., str]


@pytest.fixture
def service(
    tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a running service with two workers."""
    port = free_port()
    config = write_config(tmp_path, unit_keys, small_ca, port)
    process = subprocess.Popen(program("timestamp", "--config", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read() if process.stderr else ""
    yield f"http://127.0.0.1:{port}/", process
    process.terminate()
    process.communicate(timeout=20)


def test_curl_and_openssl_get_and_verify_a_timestamp(
    service: tuple[str, subprocess.Popen[str]], trust_file: Path, tmp_path: Path, run: Run
) -> None:
    url, _ = service
    data, query, reply = (tmp_path / name for name in ("data", "query", "reply"))
    data.write_bytes(b"what was seen")
    run("openssl", "ts", "-query", "-data", data, "-sha512", "-cert", "-out", query)
    run("curl", "-sSf", "-H", "Content-Type: application/timestamp-query", "--data-binary", f"@{query}", url, "-o", reply)
    assert "Status: Granted." in run("openssl", "ts", "-reply", "-in", reply, "-text")
    assert "Verification: OK" in run("openssl", "ts", "-verify", "-queryfile", query, "-in", reply, "-CAfile", trust_file)


async def _stamp_with_pyhanko(url: str, message: bytes) -> object:
    return await HTTPTimeStamper(url).async_timestamp(hashlib.sha256(message).digest(), "sha256")


def test_pyhanko_takes_it_for_its_timestamper(service: tuple[str, subprocess.Popen[str]], small_ca: SmallCa) -> None:
    import asyncio

    from asn1crypto import x509 as asn1_x509

    url, _ = service
    token = asyncio.run(_stamp_with_pyhanko(url, b"m"))
    root = asn1_x509.Certificate.load(small_ca.certificate.public_bytes(Encoding.DER))
    context = ValidationContext(trust_roots=[root], other_certs=SimpleCertificateStore(), allow_fetching=False)
    status = asyncio.run(validate_tst_signed_data(token["content"], context, lambda name: hashlib.new(name, b"m").digest()))  # type: ignore[index]
    assert status["valid"] and status["intact"] and status["trust_problem_indic"] is None


def test_service_ends_cleanly_on_sigterm(service: tuple[str, subprocess.Popen[str]]) -> None:
    _, process = service
    process.terminate()
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    said = {(line["level"], line["event"]) for line in map(json.loads, errors.splitlines())}
    assert output == "" and said <= {("warning", "the clock is not synchronised")}, errors


def test_a_load_client_gets_nothing_but_timestamps(service: tuple[str, subprocess.Popen[str]], tmp_path: Path, run: Run) -> None:
    url, _ = service
    query, script = tmp_path / "query", tmp_path / "post.lua"
    (tmp_path / "data").write_bytes(b"what was seen")
    run("openssl", "ts", "-query", "-data", tmp_path / "data", "-sha256", "-cert", "-out", query)
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/timestamp-query"\n'
        f'local file = io.open("{query}", "rb")\nwrk.body = file:read("*a")\n'
    )
    printed = run("wrk", "-t1", "-c16", "-d1s", "-s", script, url)
    assert "requests in" in printed and "Non-2xx" not in printed and "Socket errors" not in printed, printed


@pytest.mark.parametrize("fault", ["no such key", "port taken", "unknown setting"])
def test_service_that_cannot_start_says_why(
    fault: str, tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> None:
    import socket

    port = free_port()
    config = write_config(tmp_path, unit_keys, small_ca, port, key_label="absent" if fault == "no such key" else "p-256")
    if fault == "unknown setting":
        config.write_text("surprise = 1\n" + config.read_text())
    with socket.socket() as other:
        if fault == "port taken":
            other.bind(("127.0.0.1", port))
            other.listen()
        done = subprocess.run(program("timestamp", "--config", config), capture_output=True, text=True, timeout=60, check=False)
    expected = {"no such key": "HSM_KEY_MISSING", "port taken": "CONFIGURATION_INVALID", "unknown setting": "CONFIGURATION_INVALID"}
    assert done.returncode == 1 and done.stdout == ""
    assert expected[fault] in done.stderr and "Traceback" not in done.stderr
