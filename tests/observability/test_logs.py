"""Logs: one JSON object a line, whoever writes it; the request id goes along, and nothing that a caller sends can forge a line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from sealcore.platform import log

PROGRAM = """
import logging, threading
from sealcore.platform import log
log.configure("signer", worker="bulk-1")
mine = log.get("engine")
with log.request("a-callers-id"):
    mine.info("batch", documents=3, pin="1234", token_jws="eyJ")
    logging.getLogger("lib").warning('a library said "this"\\nand that')
threading.Thread(target=lambda: mine.info("in a thread")).start()
try:
    raise ValueError("inside")
except ValueError as fault:
    mine.error("fault", exc_info=fault)
    logging.getLogger("lib").exception("failed")
"""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_is_json_and_names_service_worker_level_and_time(lines: list[dict[str, Any]]) -> None:
    assert len(lines) == 5
    for line in lines:
        assert (line["service"], line["worker"]) == ("signer", "bulk-1")
        assert {"level", "timestamp", "event"} <= set(line)


def test_the_request_id_is_on_our_lines_and_on_those_of_libraries(lines: list[dict[str, Any]]) -> None:
    by_event = {line["event"]: line for line in lines}
    assert by_event["batch"]["request_id"] == "a-callers-id"
    assert by_event['a library said "this"\nand that']["request_id"] == "a-callers-id"
    assert "request_id" not in by_event["in a thread"]


def test_secrets_are_blanked_and_faults_keep_their_trace(lines: list[dict[str, Any]]) -> None:
    by_event = {line["event"]: line for line in lines}
    assert (by_event["batch"]["pin"], by_event["batch"]["token_jws"]) == ("[redacted]", "[redacted]")
    assert "ValueError: inside" in by_event["fault"]["exception"]
    assert "ValueError: inside" in by_event["failed"]["exception"]


def test_requests_nest_and_end() -> None:
    assert log.request_id() is None
    with log.request() as first:
        assert log.request_id() == first
        with log.request() as same:
            assert same == first
        with log.request("other") as other:
            assert (other, log.request_id()) == ("other", "other")
        assert log.request_id() == first
    assert log.request_id() is None


@pytest.mark.parametrize("sent", ["", None, "x" * 65, 'a"b', "a b", "a\nb", "-a", "é"])
def test_what_is_no_id_is_replaced_by_one(sent: str | None) -> None:
    chosen = log.accepted(sent)
    assert chosen != sent
    assert log.accepted(chosen) == chosen
