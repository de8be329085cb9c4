"""The commands on a running office, over its real services."""

from __future__ import annotations

import json
import socket
import stat
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.errors import VermilionError
from sealcore.platform import identity
from tests.cli.running import APPROVERS, OFFICIAL_SEAL, RunningOffice, vermilion
from tests.conftest import EXAMPLES
from tests.pki import InfrastructureCa
from tests.support.waiting import until
from vermilion import exits
from vermilion.client.rest import Rest
from vermilion.remote.workflow_client import in_folder
from vermilion.state.layout import Layout

PEOPLE = ("--as", "Chen Rui", "--as", "Zhao Ming")
INVOICE = EXAMPLES / "invoice.pdf"


@pytest.fixture(scope="module")
def sealed(office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A form that was applied for, approved by two after looking at the files, and sealed; its number and the folder."""
    out = tmp_path_factory.mktemp("sealed")
    papers = out / "papers"
    papers.mkdir()
    for name in ("invoice.pdf", "receipt-a5.pdf"):
        (papers / name).write_bytes((EXAMPLES / name).read_bytes())
    applied = office.run("seal", papers, "--seal", "contract", "--applicant", "Lin Yue", "--wait", "0", "--out", out / "done")
    assert applied.returncode == exits.UNAVAILABLE, applied.stderr
    assert "DEADLINE_EXCEEDED" in applied.stderr
    number = next(word for word in applied.stdout.split() if word.startswith("DEMO-"))
    for person in ("Chen Rui", "Zhao Ming"):
        done = office.run("forms", "approve", number, "--as", person, "--yes", "--folder", papers)
        assert done.returncode == exits.DONE, done.stderr
    finished = office.run("seal", papers, "--form", number, "--out", out / "done")
    assert finished.returncode == exits.DONE, finished.stderr
    assert "2 sealed, 0 refused" in finished.stdout
    return number, out / "done"


def test_a_form_is_shown_with_documents_and_decisions(office: RunningOffice, sealed: tuple[str, Path]) -> None:
    shown = office.json("forms", "show", sealed[0])
    assert shown["state"] == "approved"
    assert {one["name"] for one in shown["documents"]} == {"invoice.pdf", "receipt-a5.pdf"}
    assert [one["verdict"] for one in shown["decisions"]] == ["apply", "approve", "approve"]
    words = office.run("forms", "show", sealed[0]).stdout
    assert "Chen Rui" in words
    assert "invoice.pdf" in words
    assert sealed[0] in office.run("forms", "list", "--only", "approved").stdout


def test_approving_with_a_folder_refuses_when_a_file_differs(office: RunningOffice, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "invoice.pdf").write_bytes(INVOICE.read_bytes())
    applied = office.run("seal", papers, "--wait", "0", "--out", tmp_path / "done")
    number = next(word for word in applied.stdout.split() if word.startswith("DEMO-"))
    (papers / "invoice.pdf").write_bytes(INVOICE.read_bytes() + b"\n")
    refused = office.run("forms", "approve", number, "--as", "Chen Rui", "--yes", "--folder", papers)
    assert refused.returncode == exits.REFUSED
    assert "DOCUMENT_MISMATCH" in refused.stderr
    assert "invoice.pdf" in refused.stderr
    rejected = office.run("forms", "reject", number, "--as", "Chen Rui", "--reason", "the file was exchanged")
    assert rejected.returncode == exits.DONE
    assert office.json("forms", "show", number)["state"] == "rejected"


def test_the_same_seal_command_again_seals_nothing_twice(office: RunningOffice, sealed: tuple[str, Path]) -> None:
    number, done = sealed
    before = {path.name: path.read_bytes() for path in done.glob("*.pdf")}
    size = office.json("ledger", "check")["size"]
    again = office.run("seal", done.parent / "papers", "--form", number, "--out", done, "--json")
    assert again.returncode == exits.DONE, again.stderr
    assert {path.name: path.read_bytes() for path in done.glob("*.pdf")} == before
    kinds = [entry["kind"] for entry in office.json("ledger", "show", number) if entry["kind"] == "seal"]
    assert len(kinds) == len(before)
    assert office.json("ledger", "check")["size"] >= size


def test_what_a_later_run_says_otherwise_is_told(office: RunningOffice, sealed: tuple[str, Path]) -> None:
    """Finished, and not finished yet: the form stands as it was approved."""
    papers, begun = sealed[1].parent / "papers", sealed[1].parent / "begun"
    first = ("seal", papers, "--applicant", "Lin Yue", "--title", "As it was", "--wait", "0")
    assert office.run(*first, "--out", begun).returncode == exits.UNAVAILABLE
    other = ("seal", papers, "--applicant", "Wang Fang", "--title", "Another", "--certification", "none", "--invisible", "--wait", "0")
    for out in (sealed[1], begun):
        said = " ".join(office.run(*other, "--out", out).stderr.split())
        assert "stands as it was applied for" in said
        assert "(--applicant, --title, --certification, where the seal shows)" in said
    assert "stands as" not in office.run(*first, "--out", begun).stderr
    settled = office.run("seal", papers, "--form", sealed[0], "--applicant", "Lin Yue", "--out", sealed[1])
    assert settled.returncode == exits.USAGE and "--applicant" in settled.stderr


def test_verify_says_it_in_words_and_for_programs(office: RunningOffice, sealed: tuple[str, Path], tmp_path: Path) -> None:
    good = sealed[1] / "invoice.pdf"
    words = office.run("verify", good)
    assert words.returncode == exits.DONE, words.stdout + words.stderr
    assert "✓ valid" in words.stdout
    report = json.loads(office.run("verify", good, "--json").stdout)
    assert report["verdict"] == "valid"
    bad = tmp_path / "changed.pdf"
    content = bytearray(good.read_bytes())
    content[len(INVOICE.read_bytes()) // 2] ^= 1
    bad.write_bytes(content)
    assert office.run("verify", bad).returncode == exits.REFUSED
    assert office.run("verify", "--language", "zh", good).returncode == exits.DONE


def test_the_exit_code_of_several_files_is_that_of_the_worst(office: RunningOffice, sealed: tuple[str, Path], tmp_path: Path) -> None:
    good = sealed[1] / "invoice.pdf"
    no_pdf = tmp_path / "no.pdf"
    no_pdf.write_bytes(b"not a PDF at all")
    assert office.run("verify", no_pdf).returncode == exits.UNREADABLE
    assert office.run("verify", good, no_pdf).returncode == exits.UNREADABLE
    assert office.run("verify", good, tmp_path / "absent.pdf").returncode == exits.UNREADABLE
    assert office.run("verify", INVOICE).returncode != exits.DONE
    assert office.run("verify").returncode == exits.USAGE


def test_the_ledger_knows_form_and_file(office: RunningOffice, sealed: tuple[str, Path]) -> None:
    by_form = {entry["ledger_index"] for entry in office.json("ledger", "show", sealed[0]) if entry["kind"] == "seal"}
    found = office.json("ledger", "show", sealed[1] / "invoice.pdf")
    assert len(found) == 1, found
    (by_file,) = found
    assert by_file["kind"] == "seal"
    assert by_file["ledger_index"] in by_form


def test_the_ledger_checker_finds_a_flipped_byte(office: RunningOffice, sealed: tuple[str, Path], tmp_path: Path) -> None:
    whole = office.run("ledger", "check")
    assert whole.returncode == exits.DONE, whole.stdout
    copy = tmp_path / "log"
    public = office.layout.service("ledger") / "public"
    for file in (path for path in public.rglob("*") if path.is_file()):
        target = copy / file.relative_to(public)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    bundle = max((path for path in (copy / "tile" / "entries").rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime)
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    damaged = office.run("ledger", "check", "--log", copy)
    assert damaged.returncode == exits.REFUSED
    assert "entries" in damaged.stdout


@OFFICIAL_SEAL
def test_an_officer_suspends_a_seal_and_its_quorum_resumes_it(office: RunningOffice) -> None:
    stopped = office.run("seals", "suspend", "official", "--as", "Wang Fang", "--reason", "test")
    assert stopped.returncode == exits.DONE, stopped.stderr
    assert office.json("seals", "show", "official")["state"] == "suspended"
    alone = office.run("seals", "resume", "official", "--as", "Chen Rui")
    assert alone.returncode == exits.DONE and "has 1 of 2 approvals" in " ".join(alone.stdout.split()), alone.stderr
    assert office.json("seals", "show", "official")["state"] == "suspended"
    resumed = office.run("seals", "resume", "official", "--as", "Chen Rui", "--as", "Zhao Ming")
    assert resumed.returncode == exits.DONE, resumed.stderr
    assert office.json("seals", "show", "official")["state"] == "active"
    no_officer = office.run("seals", "suspend", "official", "--as", "Chen Rui", "--reason", "test")
    assert no_officer.returncode == exits.REFUSED
    assert "APPROVER_UNKNOWN" in no_officer.stderr


@OFFICIAL_SEAL
def test_an_officer_suspends_a_seal_with_the_workflow_down(office: RunningOffice, tmp_path: Path, free_port: Callable[[], int]) -> None:
    """As in an office whose workflow does not answer: the same folder, and nobody at the workflow's port."""
    state = tmp_path / "var"
    state.mkdir()
    for part in office.layout.state.iterdir():
        if part != office.layout.office_file:
            (state / part.name).symlink_to(part)
    cut_off = RunningOffice(Layout.at(state), office.office.model_copy(update={"ports": {**office.office.ports, "workflow": free_port()}}))
    cut_off.office.save(cut_off.layout)
    try:
        stopped = cut_off.run("seals", "suspend", "official", "--as", "Wang Fang", "--reason", "the workflow is not to be trusted")
        assert stopped.returncode == exits.DONE, stopped.stderr
        assert office.json("seals", "show", "official")["state"] == "suspended"
        resumed = cut_off.run("seals", "resume", "official", "--as", "Chen Rui", "--as", "Zhao Ming")
        assert resumed.returncode != exits.DONE
        assert "SERVICE_UNAVAILABLE" in resumed.stderr
    finally:
        resumed = office.run("seals", "resume", "official", "--as", "Chen Rui", "--as", "Zhao Ming")
    assert resumed.returncode == exits.DONE, resumed.stderr


@APPROVERS
def test_a_person_is_added_and_counts_once_the_registers_quorum_says_so(office: RunningOffice) -> None:
    added = office.json("people", "add", "Sun Li", "--role", "approver")
    person = added["person"]["id"]
    listed = {one["id"]: one["in_register"] for one in office.json("people", "list")}
    assert listed[person] is False
    for name in ("Chen Rui", "Zhao Ming"):
        assert office.run("forms", "approve", added["form"], "--as", name, "--yes").returncode == exits.DONE
    until(lambda: {one["id"]: one["in_register"] for one in office.json("people", "list")}[person])
    removed = office.run("people", "remove", "Sun Li", *PEOPLE)  # the office is again as other tests know it
    assert removed.returncode == exits.DONE, removed.stderr


def test_a_client_is_added_with_a_bundle_of_its_own(office: RunningOffice, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    asked = office.json("clients", "add", "billing", "--out", bundle)
    assert {path.name for path in bundle.iterdir()} == {"key.pem"}, "nobody has approved it"
    for name in ("Chen Rui", "Zhao Ming"):
        assert office.run("forms", "approve", asked["form"], "--as", name, "--yes").returncode == exits.DONE
    added = office.run("clients", "add", "billing", "--out", bundle)
    assert added.returncode == exits.DONE, added.stderr
    assert stat.S_IMODE((bundle / "key.pem").stat().st_mode) == 0o600
    assert {path.name for path in bundle.iterdir()} == {"key.pem", "cert.pem", "trust.pem"}
    again = office.run("clients", "add", "billing", "--out", bundle)
    assert again.returncode == exits.REFUSED
    assert "CONFLICT" in again.stderr


def test_a_revoked_bundle_is_replaced_by_the_same_command_and_one_on_hold_is_released(office: RunningOffice, tmp_path: Path) -> None:
    """What the errors tell people to do is what they can do."""
    bundle = tmp_path / "bundle"
    add, cert = ("clients", "add", "payroll", "--out", bundle), bundle / "cert.pem"
    assert office.run(*add, *PEOPLE).returncode == exits.DONE
    first = identity.read(in_folder(bundle))
    url = office.office.url("workflow", scheme="https")

    def turned_away(*words: str) -> None:
        said: list[str] = []
        for _ in range(100):  # until the services hold the new CRL
            with closing(Rest(url, in_folder(bundle))) as workflow:
                try:
                    workflow.get("/v1/seals")
                except VermilionError as fault:
                    said.append(f"{fault.code} {fault.reason} {fault.way_out}")
                    if all(word in said[-1] for word in ("CERTIFICATE_REVOKED", *words)):
                        return
            time.sleep(0.1)
        raise AssertionError(said[-1:])

    assert office.run("ca", "hold", cert).returncode == exits.DONE
    turned_away("is on hold", f"`vermilion ca release {first.certificate.serial_number:x}`")
    held = office.run(*add)
    assert held.returncode == exits.REFUSED and "vermilion ca release" in " ".join(held.stderr.split())
    assert office.run("ca", "release", cert, *PEOPLE).returncode == exits.DONE
    assert office.run("ca", "revoke", cert, "--reason", "keyCompromise", *PEOPLE).returncode == exits.DONE
    turned_away("is revoked", "`vermilion clients add NAME`")
    other = office.run("clients", "add", "archive", "--out", bundle)
    assert other.returncode == exits.REFUSED and "payroll" in other.stderr, "it is another's bundle"
    asked = office.run(*add)
    assert asked.returncode == exits.DONE and "forms approve" in " ".join(asked.stdout.split()), asked.stderr
    assert identity.read(in_folder(bundle)) == first, "nobody has approved it"
    done = office.run(*add, *PEOPLE)
    assert done.returncode == exits.DONE, done.stderr
    assert identity.read(in_folder(bundle)).certificate.public_key() != first.certificate.public_key()
    with closing(Rest(url, in_folder(bundle))) as workflow:
        assert workflow.get("/v1/seals")["seals"]
    (kept,) = bundle.glob("before-*")
    assert (kept / "cert.pem").read_bytes().startswith(first.certificate.public_bytes(Encoding.PEM))
    assert stat.S_IMODE((kept / "key.pem").stat().st_mode) == 0o600 and stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert "CONFLICT" in office.run(*add).stderr, "the new one is in force"


def test_a_bundle_is_renewed_by_its_holder_and_once_expired_by_the_office(office: RunningOffice, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert office.run("clients", "add", "archive", "--out", bundle, *PEOPLE).returncode == exits.DONE
    tls = in_folder(bundle)
    first = identity.read(tls).certificate
    renewed = office.run("clients", "renew", bundle)
    assert renewed.returncode == exits.DONE, renewed.stderr
    second = identity.read(tls).certificate
    assert second.serial_number != first.serial_number and second.public_key() != first.public_key()
    away = office.run("clients", "renew", bundle, "--ca", office.office.listen("ca").target)
    assert away.returncode == exits.DONE, away.stderr
    san = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = san.get_values_for_type(x509.UniformResourceIdentifier)
    expired = InfrastructureCa(tmp_path / "past").identity("expired", uri, lifetime=timedelta(hours=-1))
    identity.replace(tls, expired.key_file.read_bytes(), expired.certificate_file.read_bytes())
    refused = office.run("clients", "renew", bundle, "--ca", office.office.listen("ca").target)
    assert refused.returncode == exits.REFUSED and "CERTIFICATE_EXPIRED" in refused.stderr
    taken = office.run("clients", "renew", bundle, *PEOPLE)
    assert taken.returncode == exits.REFUSED and "CONFLICT" in taken.stderr, "its successors are in force"
    assert office.run("ca", "revoke", f"{first.serial_number:x}", "--reason", "superseded").returncode == exits.DONE
    anew = office.run("clients", "renew", bundle, *PEOPLE)
    assert anew.returncode == exits.DONE, anew.stderr
    last = identity.read(tls).certificate
    assert last.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == san
    workflow = Rest(office.office.url("workflow", scheme="https"), tls)
    assert workflow.get("/v1/seals")["seals"]
    workflow.close()


def test_a_slip_in_a_name_is_no_fault_of_the_configuration(office: RunningOffice, tmp_path: Path) -> None:
    unknown = office.run("seal", INVOICE, "--client", "nosuch", "--out", tmp_path / "out")
    said = " ".join(unknown.stderr.split())
    assert unknown.returncode == exits.REFUSED and "NOT_FOUND" in said and "demo-backend" in said and "vermilion clients add" in said
    for trust in (tmp_path / "nosuch.pem", INVOICE):
        elsewhere = vermilion("extend", INVOICE, "--out", tmp_path / "out", "--trust", trust, "--state", tmp_path / "no-office")
        for done in (office.run("extend", INVOICE, "--out", tmp_path / "out", "--trust", trust), elsewhere):
            assert done.returncode == exits.USAGE and "FILE_UNUSABLE" in done.stderr and trust.name in done.stderr, done.stderr


def test_keys_are_listed_and_those_of_the_signer_are_locked_in_their_token(office: RunningOffice) -> None:
    keys = office.json("keys", "list")
    assert {"ca.root", "seal.contract.1", "approval.issuer.1", "ledger.checkpoint.1"} <= {key["label"] for key in keys}
    assert all(key["locked_in_token"] for key in keys if key["token"] == "signer")
    assert all(len(key["spki_sha256"]) == 64 and key["rotation_days"] > 0 for key in keys)


def test_nothing_secret_is_said_in_logs_or_on_the_command_line(office: RunningOffice, sealed: tuple[str, Path]) -> None:
    pins = [path.read_text().strip() for path in office.layout.state.glob("hsm/*/*pin")]
    assert len(pins) >= 8
    said = b"".join(path.read_bytes() for path in office.layout.state.glob("log/*.log"))
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                said += (process / "cmdline").read_bytes()
            except OSError:
                continue
    assert not [pin for pin in pins if pin.encode() in said]
    assert b"PRIVATE KEY" not in said


def test_a_second_launcher_is_told_that_the_office_runs(office: RunningOffice) -> None:
    second = office.run("up")
    assert second.returncode == exits.REFUSED
    assert "CONFLICT" in second.stderr
    assert office.run("witness").returncode == exits.REFUSED


@pytest.mark.xdist_group("file modes")  # it opens a file for a moment, and another test looks at every file's mode
def test_doctor_finds_what_is_wrong_and_says_how_to_mend_it(office: RunningOffice, tmp_path: Path) -> None:
    until(lambda: office.run("doctor").returncode == exits.DONE)  # verification waits for the log's first checkpoint
    missing = office.run("doctor", PATH=str(tmp_path))
    assert "pdfsig is not there" in " ".join(missing.stdout.split())
    pin = office.layout.state / "hsm" / "people" / "so-pin"  # as earlier releases left it
    pin.write_text("of the security officer\n")
    pin.chmod(0o644)
    try:
        wide = office.run("doctor")
        assert wide.returncode == exits.REFUSED
        assert "chmod 600" in wide.stdout
        pin.chmod(0o600)
        kept = office.run("doctor")
        assert kept.returncode == exits.DONE, "a warning"
        assert "so-pin" in kept.stdout and "shred" in kept.stdout
    finally:
        pin.unlink()


def test_doctor_names_a_port_that_another_program_holds(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = dict.fromkeys(("ca", "ca_http", "timestamp", "ledger", "witness", "verify", "verify_rpc", "workflow"), 1)
        rows = "\n".join(f"{name} = {number}" for name, number in {**ports, "signer": port}.items())
        (tmp_path / "vermilion.toml").write_text(f'name = "A"\nname_english = "A"\nslug = "a"\nunit = "A"\n[ports]\n{rows}\n')
        found = json.loads(vermilion("doctor", "--state", tmp_path, "--json").stdout)
    signer = next(one for one in found if "signer" in one["what"])
    assert signer["health"] == "fault"
    assert str(port) in signer["what"]
    assert "vermilion.toml" in signer["mend"]


def test_both_timestamp_units_keep_their_latest_time_in_the_state_folder(office: RunningOffice) -> None:
    for name, settings in (
        ("timestamp", tomllib.loads(office.layout.config("timestamp").read_text("utf-8"))),
        ("signer", tomllib.loads(office.layout.config("signer").read_text("utf-8"))["timestamp"]),
    ):
        file = Path(settings["latest_time_file"])
        assert file == office.layout.service(name) / "latest-time" and file.stat().st_size == 8
        assert settings["clock"] == "trust-machine", "the demo runs on any machine, and says so"
