"""Starting and stopping services: real ones, from a copy of a real office's state, on ports of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from sealcore.errors import Code, VermilionError
from tests.cli.running import RunningOffice
from tests.cli.two_services import TWO, layout_of_two, port_of
from vermilion.operation.launcher import Launcher, require_ports, running
from vermilion.operation.programs import last_words
from vermilion.state.layout import Layout


@pytest.fixture
def layout(office: RunningOffice, tmp_path: Path, free_port: Callable[[], int]) -> Layout:
    return layout_of_two(office, tmp_path, free_port)


def test_services_are_ready_when_start_returns_and_gone_when_stop_returns(layout: Layout) -> None:
    heard: list[str] = []
    with Launcher(layout, TWO) as launcher:
        launcher.start(heard.append)
        assert heard == ["timestamp", "witness"]
        assert httpx.get(f"http://127.0.0.1:{port_of(layout, 'witness')}/healthz").json()["status"] == "ok"
        found = running(layout, TWO)
        assert {one.service for one in found} == {"timestamp", "witness"}
    assert not any(one.alive for one in found)
    assert running(layout, TWO) == []
    assert not list(layout.run(".").glob("*.pid"))


def test_two_launchers_never_serve_one_state(layout: Layout) -> None:
    with Launcher(layout, TWO):
        with pytest.raises(VermilionError) as refused:
            Launcher(layout, TWO).acquire()
        assert refused.value.code is Code.CONFLICT


def test_a_service_that_cannot_start_is_named_with_its_reason_and_the_others_are_stopped(layout: Layout) -> None:
    layout.config("witness").write_text("nonsense = 1\n")
    with Launcher(layout, TWO) as launcher:
        with pytest.raises(VermilionError) as refused:
            launcher.start()
        assert refused.value.code is Code.SERVICE_UNAVAILABLE
        assert "witness" in refused.value.reason
        assert "CONFIGURATION_INVALID" in refused.value.reason
        assert running(layout, TWO) == []


def test_a_service_that_cannot_start_is_not_blamed_for_what_it_once_said(layout: Layout) -> None:
    layout.log("witness").write_text('{"code": "CERTIFICATE_REVOKED", "reason": "of last week", "event": "refused"}\n')
    layout.config("witness").write_text("nonsense = 1\n")
    with Launcher(layout, TWO) as launcher, pytest.raises(VermilionError) as refused:
        launcher.start()
    assert "CONFIGURATION_INVALID" in refused.value.reason
    layout.config("witness").unlink()
    with Launcher(layout, (TWO[0], replace(TWO[1], module="no.such.module"))) as launcher, pytest.raises(VermilionError) as refused:
        launcher.start()
    assert "of last week" not in refused.value.reason


def test_a_traceback_is_the_last_word_whatever_was_refused_before() -> None:
    refused, fault = (
        '{"code": "CERTIFICATE_REVOKED", "reason": "a caller"}',
        "Traceback (most recent call last):\n  File …\nOSError: broken",
    )
    assert last_words(f"{refused}\n{fault}\n") == (None, "OSError: broken")
    assert last_words(f"{fault}\n{refused}\n") == (Code.CERTIFICATE_REVOKED, "a caller")


def test_what_a_killed_launcher_left_is_ended_by_the_next(layout: Layout) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.cli.two_services import TWO; from vermilion.operation.launcher import Launcher; "
        "from vermilion.state.layout import Layout; launcher = Launcher(Layout.at(Path(sys.argv[1])), TWO); launcher.acquire(); launcher.start(); "
        "print('started', flush=True); time.sleep(300)"
    )
    first = subprocess.Popen([sys.executable, "-c", program, layout.state], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "started\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    left = running(layout, TWO)
    assert len(left) == 2
    with Launcher(layout, TWO) as launcher:
        assert not any(one.alive for one in left)
        launcher.start()
        assert len(running(layout, TWO)) == 2


def test_a_process_number_used_again_by_a_stranger_is_left_alone(layout: Layout) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        layout.run("witness.pid").write_text(f'{{"pid": {stranger.pid}, "started_ticks": 1}}')
        with Launcher(layout, TWO):
            assert stranger.poll() is None
        assert stranger.poll() is None
        stranger.kill()


def test_a_port_that_is_taken_is_named_before_anything_starts(office: RunningOffice) -> None:
    with pytest.raises(VermilionError) as refused:
        require_ports(office.office)
    assert refused.value.code is Code.CONFIGURATION_INVALID
    assert str(office.office.ports["ca"]) in refused.value.reason
