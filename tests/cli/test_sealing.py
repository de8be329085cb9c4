"""`vermilion seal` before the eyes of a person and in a pipe: refusals as they come, stopped and gone on with, one request id all the way."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from tests.cli.papers import applied, forms_over, papers
from tests.cli.running import RunningOffice, vermilion
from tests.signer.office import document
from tests.support.waiting import until
from vermilion import exits
from vermilion.client import Outcome, Progress
from vermilion.client.outcomes import refused
from vermilion.use_cases.progress import MOST_ALIKE, Follow

MANY = 700  # enough that there is time to stop it in the middle
COMMAND = (sys.executable, "-c", "from vermilion.cli import main; main()")


def request_of(said: str) -> str:
    """The request id that the command showed."""
    found = re.search(r"Request\s+(\S+)", said)
    assert found, said
    return found[1]


def logged(office: RunningOffice, service: str, request_id: str) -> list[dict[str, object]]:
    """The lines of a service's log under this request id."""
    lines = office.layout.log(service).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if f'"{request_id}"' in line]


def test_a_pipe_gets_each_refusal_the_counts_and_one_request_id_for_all_services(office: RunningOffice, tmp_path: Path) -> None:
    folder = papers(tmp_path / "papers", 20, broken=3)
    number = applied(office, folder, tmp_path / "out")
    asked = json.loads(office.run("forms", "show", number, "--json").stdout)
    assert [one["name"] for one in asked["documents"]] == [
        f"合同 {each:04d}.pdf" for each in range(3, 20)
    ]  # nobody is asked about the rest
    done = office.run("seal", folder, "--out", tmp_path / "out")
    assert done.returncode == exits.REFUSED
    assert "3 of 20 documents would be refused as they are" in done.stdout
    assert f"Going on with form {number}: 0 of 17" in done.stdout
    assert "17 sealed, 3 refused" in done.stdout
    assert done.stdout.count("✗ DOCUMENT_NOT_PDF") == 3
    assert done.stdout.count("Convert it to PDF") == 2  # the way out: once with the first, once in the summary
    for name in ("合同 0000.pdf", "合同 0001.pdf", "合同 0002.pdf"):
        assert name in done.stdout
    request_id = request_of(done.stdout)
    workflow, signer = logged(office, "workflow", request_id), logged(office, "signer", request_id)
    assert {"token handed out"} <= {line["event"] for line in workflow}
    components = {line["component"] for line in signer}
    assert {"rpc", "engine"} <= components  # the front that took the call, the workers that sealed
    assert {line["service"] for line in (*workflow, *signer)} == {"workflow", "signer"}


def test_the_events_of_a_form_reach_the_ledger_under_the_request_that_they_came_of(office: RunningOffice, tmp_path: Path) -> None:
    folder = papers(tmp_path / "papers", 1)
    asked = office.run("seal", folder, "--wait", "0", "--out", tmp_path / "out")
    number = next(word for word in asked.stdout.split() if word.startswith("DEMO-"))
    delivered: list[dict[str, object]] = []
    pause = threading.Event()
    for _ in range(600):  # the outbox delivers in the background
        lines = map(json.loads, office.layout.log("workflow").read_text("utf-8").splitlines())
        if delivered := [line for line in lines if line["event"] == "delivered" and line["form"] == number]:
            break
        pause.wait(0.1)
    request_id = str(delivered[0]["request_id"])
    assert ("POST", "/v1/forms") in {(line.get("method"), line.get("path")) for line in logged(office, "workflow", request_id)}
    assert "Ledger/Append" in {line.get("method") for line in logged(office, "signer", request_id)}


def test_ctrl_c_stops_it_and_the_same_command_goes_on_with_the_same_form(office: RunningOffice, tmp_path: Path) -> None:
    folder, out = papers(tmp_path / "papers", MANY), tmp_path / "out"
    number = applied(office, folder, out)
    first = subprocess.Popen(
        [*COMMAND, "seal", folder, "--out", out, "--state", office.layout.state],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "140"},
    )
    until(lambda: any(out.glob("*.pdf")) or first.poll() is not None)
    assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGINT)
    said, complained = first.communicate(timeout=120)
    assert first.returncode == exits.INTERRUPTED, said + complained
    assert "Nothing is lost" in complained
    assert number in complained
    before = {path.name: path.stat().st_ino for path in out.glob("*.pdf")}
    assert 0 < len(before) < MANY
    again = office.run("seal", folder, "--out", out)
    assert again.returncode == exits.DONE, again.stdout + again.stderr
    assert f"Going on with form {number}" in again.stdout
    assert f"{MANY} sealed, 0 refused" in again.stdout
    assert "nothing was sealed twice" in again.stdout
    after = {path.name: path.stat().st_ino for path in out.glob("*.pdf")}
    assert len(after) == MANY
    assert before.items() <= after.items()  # what was there was not written again
    entries = [entry for entry in office.json("ledger", "show", number) if entry["kind"] == "seal"]
    assert len(entries) == MANY
    assert [path.name for path in out.glob(".vermilion-*")] == [f".vermilion-{number}.sealed"]


def test_the_same_command_again_seals_nothing_and_says_so(office: RunningOffice, tmp_path: Path) -> None:
    folder, out = papers(tmp_path / "papers", 3, name="同一份"), tmp_path / "papers" / "sealed"
    number = applied(office, folder, out)
    assert office.run("seal", folder, "--out", out).returncode == exits.DONE
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in out.glob("*.pdf")}
    again = office.run("seal", folder, "--out", out)
    assert again.returncode == exits.DONE, again.stderr
    assert "Sealed already: all 3 documents" in again.stdout and number in again.stdout
    told = office.json("seal", folder, "--out", out)
    assert told["form"] == number and [one["outcome"] for one in told["results"]] == ["sealed"] * 3
    (folder / "同一份 0001a.pdf").write_bytes(document("Added later"))
    added = applied(office, folder, out)
    assert added != number
    done = office.run("seal", folder, "--out", out)
    assert done.returncode == exits.DONE and "4 sealed, 0 refused" in done.stdout, done.stdout + done.stderr
    assert len([entry for entry in office.json("ledger", "show", added) if entry["kind"] == "seal"]) == 1
    (folder / "同一份 0000.pdf").write_bytes(document("Changed since"))
    forms = forms_over(office, "同一份")
    refused = office.run("seal", folder, "--out", out)
    assert refused.returncode == exits.REFUSED and "CONFLICT" in refused.stderr and "同一份 0000.pdf" in refused.stderr
    assert forms_over(office, "同一份") == forms, "nothing was applied for"
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in out.glob("*.pdf")}
    assert len(after) == 4 and before.items() <= after.items()


def number_in(said: str) -> str:
    """The number of the form that was applied for."""
    return next(word for word in said.split() if word.startswith("DEMO-")).rstrip(":")


@pytest.mark.parametrize("end", ["rejected", "withdrawn"])
def test_a_form_that_came_to_nothing_is_named_and_applied_for_anew_only_with_again(office: RunningOffice, tmp_path: Path, end: str) -> None:
    name = f"再来 {end}"
    folder, out = papers(tmp_path / "papers", 2, name=name), tmp_path / "out"
    number = number_in(office.run("seal", folder, "--wait", "0", "--out", out).stdout)
    words: tuple[str, ...]
    if end == "rejected":
        ended, words = office.run("forms", "reject", number, "--as", "Chen Rui", "--reason", "wrong month"), ("Chen Rui", "wrong month")
    else:
        ended, words = office.run("forms", "withdraw", number, "--client", "demo-backend"), ("withdrawn",)
    assert ended.returncode == exits.DONE, ended.stderr
    forms = forms_over(office, name)
    for _ in range(2):
        told = office.run("seal", folder, "--wait", "0", "--out", out)
        said = " ".join(told.stderr.split())
        assert told.returncode == exits.REFUSED and all(word in said for word in (number, "--again", *words)), said
    assert forms_over(office, name) == forms, "nothing was applied for"
    anew = office.run("seal", folder, "--wait", "0", "--out", out, "--again")
    assert number_in(anew.stdout) != number, anew.stderr
    assert "Going on" in office.run("seal", folder, "--wait", "0", "--out", out, "--again").stdout, "one that is open is gone on with"


def test_who_approves_sees_title_applicant_client_and_documents(office: RunningOffice, tmp_path: Path) -> None:
    folder, out = papers(tmp_path / "papers", 23), tmp_path / "out"
    asked = office.run("seal", folder, "--wait", "0", "--out", out, "--title", "Leases of May", "--applicant", "Lin Yue")
    number = number_in(asked.stdout)
    for more in ((), ("--folder", folder)):
        unasked = office.run("forms", "approve", number, "--as", "Chen Rui", *more)  # no terminal to ask on: nothing is approved
        said = " ".join(unasked.stdout.split())
        assert all(word in said for word in ("Leases of May", "Lin Yue", "demo-backend", "0000.pdf", "0019.pdf", "and 3 more")), said
        assert "0020.pdf" not in said
    assert "0022.pdf" in office.run("forms", "show", number).stdout
    assert office.run("forms", "withdraw", number, "--client", "demo-backend").returncode == exits.DONE


def test_a_folder_that_another_client_began_in_says_whose_it_is(office: RunningOffice, tmp_path: Path) -> None:
    folder, out, people = papers(tmp_path / "papers", 1), tmp_path / "out", ("--as", "Chen Rui", "--as", "Zhao Ming")
    number = number_in(office.run("seal", folder, "--wait", "0", "--out", out).stdout)
    assert office.run("clients", "add", "second-client", *people).returncode == exits.DONE
    refused = office.run("seal", folder, "--wait", "0", "--out", out, "--client", "second-client")
    said = " ".join(refused.stderr.split())
    assert refused.returncode == exits.REFUSED and "CONFLICT" in said
    assert all(word in said for word in (number, "demo-backend", "second-client", f".vermilion-{number}.resume", "--client", "--out")), said
    assert "DEADLINE_EXCEEDED" in office.run("seal", folder, "--wait", "0", "--out", out).stderr, "its own client goes on"
    journal = out / f".vermilion-{number}.resume"
    (out / ".vermilion-DEMO-2001-999999.resume").write_text(journal.read_text().replace(number, "DEMO-2001-999999"))
    journal.unlink()
    lost = office.run("seal", folder, "--wait", "0", "--out", out)
    said = " ".join(lost.stderr.split())
    assert lost.returncode == exits.REFUSED and "NOT_FOUND" in said and "DEMO-2001-999999" in said and "another --out" in said, said


@pytest.mark.parametrize("columns", [48, 120])
def test_a_terminal_gets_a_bar_that_fits_it(office: RunningOffice, tmp_path: Path, columns: int) -> None:
    folder, out = papers(tmp_path / "papers", 40, broken=1), tmp_path / "out"
    applied(office, folder, out)
    code, said = _on_a_terminal(columns, "seal", folder, "--out", out, "--state", office.layout.state)
    assert code == exits.REFUSED
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert "━" in plain
    assert "39/39" in plain
    assert "✓ 39 sealed" in plain
    assert "39 sealed, 1 refused" in plain
    assert "38;2;31;122;77m" in said  # the green of docs/appearance.md for what is sealed
    assert max(len(line) for line in re.split(r"[\r\n]+", plain)) <= columns + 1


def _on_a_terminal(columns: int, *arguments: object) -> tuple[int, str]:
    """Runs the command on a terminal of this width; exit code and everything that it wrote."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stdin=far, stdout=far, stderr=far, env=environment, close_fds=True)
    os.close(far)
    said = bytearray()
    while True:
        try:
            data = os.read(near, 65536)
        except OSError:  # how Linux says that the other side is gone
            break
        if not data:
            break
        said += data
    os.close(near)
    return process.wait(60), said.decode("utf-8", errors="replace")


def test_an_error_from_a_service_names_its_request(office: RunningOffice) -> None:
    missing = office.run("forms", "show", "DEMO-2026-999999")
    assert missing.returncode == exits.REFUSED
    request_id = request_of(missing.stderr)
    assert {line["status"] for line in logged(office, "workflow", request_id)} == {404}
    away = vermilion("seals", "list", "--state", "/nowhere")
    assert away.returncode == exits.CONFIGURATION and "Request" not in away.stderr  # no service was asked


def test_json_names_the_request_too(office: RunningOffice, tmp_path: Path) -> None:
    folder, out = papers(tmp_path / "papers", 1), tmp_path / "out"
    applied(office, folder, out)
    done = office.run("seal", folder, "--out", out, "--json")
    said = json.loads(done.stdout)
    assert [one["outcome"] for one in said["results"]] == ["sealed"]
    assert logged(office, "signer", said["request_id"])


def test_many_refusals_of_one_kind_do_not_drown_the_others(capsys: pytest.CaptureFixture[str]) -> None:

    with Follow("sealing", 100) as follow:
        for number in range(50):
            follow.ended(refused(number, f"{number}.pdf", VermilionError(Code.DOCUMENT_ENCRYPTED, "it asks for a password")))
        follow.ended(Outcome(50, "50.pdf", "sealed"))
        follow.ended(refused(51, "51.pdf", VermilionError(Code.SEAL_SUSPENDED, "suspended by an officer")))
    said = capsys.readouterr().out
    assert said.count("✗ DOCUMENT_ENCRYPTED") == MOST_ALIKE
    assert said.count("more with DOCUMENT_ENCRYPTED") == 1
    assert "✗ SEAL_SUSPENDED  51.pdf" in said
    assert follow.ended_now == 52


def test_a_signer_that_is_away_is_said_once_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:

    away = VermilionError(Code.SERVICE_UNAVAILABLE, "the service cannot be reached")
    with Follow("sealing", 100) as follow:
        for seconds in range(3):
            follow.progress(Progress(100, 10, 0, 1.0 + seconds / 10, waiting=away))
    said = capsys.readouterr().out
    assert said.count("SERVICE_UNAVAILABLE: the service cannot be reached; trying again") == 1


def test_a_folder_that_holds_nothing_to_be_sealed_begins_no_form(office: RunningOffice, tmp_path: Path) -> None:
    folder = papers(tmp_path / "papers", 2, broken=2)
    (folder / "empty.pdf").write_bytes(b"")
    done = office.run("seal", folder, "--out", tmp_path / "out", "--json")
    assert done.returncode == exits.REFUSED
    told = json.loads(done.stdout)
    assert told["form"] is None
    assert [one["code"] for one in told["results"]] == ["DOCUMENT_EMPTY", "DOCUMENT_NOT_PDF", "DOCUMENT_NOT_PDF"]
    titles = [form["title"] for form in office.json("forms", "list")]  # others use this office at the same time
    assert not [title for title in titles if "empty.pdf" in title]
