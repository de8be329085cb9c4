"""The service as an operator runs it: ``python -m verify``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import plain_http
from tests.support.disks import Hog, small_disk
from tests.support.ports import free_port
from tests.verify.office import Office, Sealed


def test_the_process_says_that_it_is_ready_answers_and_ends_cleanly(office: Office, tmp_path: Path) -> None:
    port = free_port()
    config = _write_config(office, tmp_path, port, free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "verify", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        assert plain_http.get(f"http://127.0.0.1:{port}/healthz").json()["status"] == "degraded"  # no CRL address is configured
        answer = plain_http.post(f"http://127.0.0.1:{port}/v1/verify", files={"file": ("x.pdf", b"junk")})
        assert answer.json()["verdict"] == "unreadable"
    finally:
        process.send_signal(signal.SIGTERM)
        _out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors


def test_a_full_tmp_is_nothing_that_it_needs(office: Office, sealed: Sealed, tmp_path: Path) -> None:
    """Uploads stay in memory, also those that a library would put into a file; so do its sandbox's documents."""
    port = free_port()
    config = _write_config(office, tmp_path, port, free_port())
    with small_disk(tmp_path / "tmp", 1) as full:
        Hog(full).fill()
        process = subprocess.Popen(
            [sys.executable, "-m", "verify", "--config", config], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(full)}, text=True
        )
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            for document in (sealed.data, sealed.data + b"\n" * 3_000_000):
                answer = plain_http.post(f"http://127.0.0.1:{port}/v1/verify", files={"file": ("x.pdf", document)})
                assert answer.status_code == 200 and answer.json()["size_bytes"] == len(document), answer.text[:500]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_wrong_configuration_is_named_and_ends_the_process(office: Office, tmp_path: Path) -> None:
    config = _write_config(office, tmp_path, free_port(), free_port())
    config.write_text(config.read_text() + 'unknown = "x"\n')
    done = subprocess.run([sys.executable, "-m", "verify", "--config", config], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "CONFIGURATION_INVALID" in done.stderr and "Traceback" not in done.stderr


def test_a_verifier_never_loads_what_signs() -> None:
    code = (
        "import sys, verify.app, verify.files; "
        "print([m for m in sys.modules if m.split('.')[0] in ('signer', 'ca', 'timestamp', 'ledger', 'workflow', 'vermilion', 'pkcs11')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _write_config(office: Office, folder: Path, http_port: int, rpc_port: int) -> Path:
    for name, authority in (("root", office.root), ("seals", office.seals)):
        (folder / f"{name}.pem").write_bytes(authority.identity.pem)
    config = folder / "verify.toml"
    config.write_text(
        "\n".join(
            [
                'office = "Test Office"',
                f'listen_http = {{ host = "127.0.0.1", port = {http_port} }}',
                f'listen_rpc = {{ host = "127.0.0.1", port = {rpc_port} }}',
                f'trust = {{ root_file = "{folder / "root.pem"}", seals_file = "{folder / "seals.pem"}" }}',
                "",
            ]
        )
    )
    return config
