"""The client library against the real signer and the real workflow: approved once, sealed once, whatever breaks in between."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url
from sealcore.protocol.leaf import Placement
from tests.client.conftest import BRIEF, Cutter, House
from tests.signer.office import document, person, spki
from tests.support.waiting import until
from vermilion.client import Document, Office, Progress, bottom_right, in_folder, people
from vermilion.client.journal import path_of
from vermilion.client.rest import Rest

pytestmark = pytest.mark.xdist_group("client")


def test_documents_are_approved_by_people_and_sealed_whole(house: House, papers: list[Document], tmp_path: Path) -> None:
    picture = house.office.picture(hashlib.sha256(house.staff.picture).digest())
    form = house.office.apply(
        house.seal(), papers, title="五月合同", unit="TEST", applicant=house.staff.ada.id, placement=lambda one: bottom_right(one, picture)
    )
    house.decide(form, house.staff.ada, verdict="apply")
    house.decide(form, house.staff.bo, house.staff.chen)
    seen: list[Progress] = []
    outcomes = house.office.seal(house.office.wait_approved(form.number, timeout_s=30), papers, tmp_path / "out", progress=seen.append)
    assert Counter((one.outcome, one.code) for one in outcomes) == {("sealed", None): 40}
    assert [one.name for one in outcomes] == [paper.name for paper in papers]
    for paper, outcome in zip(papers, outcomes, strict=True):
        assert outcome.path == tmp_path / "out" / paper.file_name
        assert isinstance(paper.source, Path)
        assert outcome.path.read_bytes().startswith(paper.source.read_bytes())
    assert len({one.ledger_index for one in outcomes}) == 40
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 40, 40)
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [paper.file_name for paper in papers]


def test_the_same_batch_again_gives_the_same_bytes_and_seals_nothing_twice(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:5])
    first = house.office.seal(form, papers[:5], tmp_path / "one")
    second = house.office.seal(form, papers[:5], tmp_path / "two")
    assert all(one.repeated for one in second)
    for a, b in zip(first, second, strict=True):
        assert a.path is not None
        assert b.path is not None
        assert a.path.read_bytes() == b.path.read_bytes()
    assert house.seal_entries(form.number) == 5


def test_a_connection_that_breaks_again_and_again_loses_and_doubles_nothing(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers)
    cutter = Cutter(house.station.port, after_bytes=40_000, times=4)
    with Office(house.workflow_url, cutter.target, house.tls) as office:
        outcomes = office.seal(form, papers, tmp_path)
    cutter.close()
    assert cutter.left == 0
    assert {one.outcome for one in outcomes} == {"sealed"}
    assert house.seal_entries(form.number) == len(papers)


def test_a_signer_that_dies_in_the_middle_finishes_after_its_restart(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers)
    killed = threading.Event()

    def kill_once(progress: Progress) -> None:
        if progress.done and not killed.is_set():
            killed.set()
            house.kill_signer()
            house.station.start()

    outcomes = house.office.seal(form, papers, tmp_path, progress=kill_once)
    assert killed.is_set()
    assert {one.outcome for one in outcomes} == {"sealed"}
    assert house.seal_entries(form.number) == len(papers)


def test_a_client_that_dies_goes_on_where_it_stood(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers)

    class DiedError(Exception):
        pass

    def die(progress: Progress) -> None:
        if progress.done:
            raise DiedError

    with pytest.raises(DiedError):
        house.office.seal(form, papers, tmp_path, progress=die)
    assert path_of(tmp_path, form.number).is_file()
    with Office(house.workflow_url, f"127.0.0.1:{house.station.port}", house.tls) as later:
        remembered = later.unfinished(tmp_path, form.number)
        assert remembered.manifest.root == form.manifest.root
        outcomes = later.seal(remembered, papers, tmp_path)
    assert {one.outcome for one in outcomes} == {"sealed"}
    assert house.seal_entries(form.number) == len(papers)
    assert not path_of(tmp_path, form.number).exists()
    with pytest.raises(VermilionError) as gone:
        house.office.unfinished(tmp_path, form.number)
    assert gone.value.code is Code.NOT_FOUND


def test_a_file_lost_after_a_broken_run_is_fetched_again(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:3])
    broken = [*papers[:2], Document("gone.pdf", tmp_path / "gone.pdf")]
    first = house.office.seal(form, broken, tmp_path / "out")
    assert [one.outcome for one in first] == ["sealed", "sealed", "refused"]
    assert first[0].path is not None
    first[0].path.write_bytes(b"torn")
    second = house.office.seal(form, papers[:3], tmp_path / "out")
    assert {one.outcome for one in second} == {"sealed"}
    assert first[0].path.read_bytes().startswith(document("Contract 0")[:8])
    assert house.seal_entries(form.number) == 3


def test_one_bad_document_never_stops_the_others(house: House, papers: list[Document], tmp_path: Path) -> None:
    empty, text = Document("empty.pdf", b""), Document("note.pdf", b"not a PDF at all")
    batch = [papers[0], empty, papers[1], text, papers[2]]
    form = house.approved(batch, examined=True)  # as from a client that does not ask
    assert isinstance(papers[1].source, Path)
    papers[1].source.write_bytes(papers[1].source.read_bytes() + b"\n")  # one byte more than was approved
    outcomes = house.office.seal(form, batch, tmp_path / "out")
    codes = [one.code for one in outcomes]
    assert codes == [None, Code.DOCUMENT_EMPTY, Code.DOCUMENT_MISMATCH, Code.DOCUMENT_NOT_PDF, None]
    assert all(one.reason for one in outcomes if one.code)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.pdf")) == [papers[0].file_name, papers[2].file_name]


def test_large_documents_travel_in_chunks_beside_small_ones(house: House, papers: list[Document], tmp_path: Path) -> None:
    large = tmp_path / "large.pdf"
    pdf = document("Large")
    padding = b"%" + os.urandom(9_000_000).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
    large.write_bytes(pdf.replace(b"\n", b"\n" + b"", 1) + padding + pdf[pdf.rindex(b"startxref") :])
    batch = [papers[0], Document("large.pdf", large), papers[1]]
    outcomes = house.office.seal(house.approved(batch), batch, tmp_path / "out")
    assert [(one.outcome, one.code) for one in outcomes] == [("sealed", None)] * 3
    assert outcomes[1].path is not None
    assert outcomes[1].path.read_bytes().startswith(large.read_bytes())


def test_names_as_the_file_system_allows_them_and_none_leads_out(house: House, tmp_path: Path) -> None:
    longest = "印" * 83 + ".pdf"  # 253 bytes
    exact = "x" * 251 + ".pdf"
    names = [
        longest,
        exact,
        "a b  c.pdf",
        "line\nbreak.pdf",
        os.fsdecode(b"\xff\xfe.pdf"),
        "../../evil.pdf",
        "..",
        "same.pdf",
        "same.pdf",
        exact,
    ]
    batch = [Document(name, document(str(number))) for number, name in enumerate(names)]
    outcomes = house.office.seal(house.approved(batch), batch, tmp_path / "out")
    assert {one.outcome for one in outcomes} == {"sealed"}
    paths = [one.path for one in outcomes]
    assert {path.parent for path in paths if path} == {tmp_path / "out"}
    assert len(set(paths)) == len(names)
    assert not list(tmp_path.parent.rglob("evil.pdf")) or (tmp_path / "out" / "evil.pdf").exists()
    assert [path.name for path in paths if path][:5] == names[:5]


def test_the_sources_are_never_overwritten(house: House, papers: list[Document]) -> None:
    form = house.approved(papers[:2])
    assert isinstance(papers[0].source, Path)
    with pytest.raises(VermilionError) as refusal:
        house.office.seal(form, papers[:2], papers[0].source.parent)
    assert refusal.value.code is Code.INVALID_ARGUMENT


def test_a_rejected_form_yields_its_reason_and_no_token(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.office.apply(house.seal(), papers[:1], title="Contracts")
    house.decide(form, house.staff.bo, verdict="reject", reason="page 2 is missing")
    for act in (lambda: house.office.wait_approved(form.number), lambda: house.office.seal(form, papers[:1], tmp_path)):
        with pytest.raises(VermilionError) as refusal:
            act()
        assert refusal.value.code is Code.FORM_REJECTED
        assert "page 2 is missing" in refusal.value.reason


def test_waiting_ends_at_its_deadline_and_with_a_withdrawal(house: House, papers: list[Document]) -> None:
    form = house.office.apply(house.seal(), papers[:1], title="Contracts")
    with pytest.raises(VermilionError) as late:
        house.office.wait_approved(form.number, timeout_s=0)
    assert late.value.code is Code.DEADLINE_EXCEEDED
    house.office.withdraw(form.number)
    with pytest.raises(VermilionError) as withdrawn:
        house.office.wait_approved(form.number)
    assert withdrawn.value.code is Code.FORM_STATE
    assert form.number in [one.number for one in house.office.forms("withdrawn")]


def test_an_expired_form_gives_no_token(house: House, tmp_path: Path) -> None:
    form = house.brief
    until(lambda: time.time() >= form.context.exp)
    with pytest.raises(VermilionError) as refusal:
        house.office.seal(form, [BRIEF], tmp_path)
    assert refusal.value.code is Code.TOKEN_EXPIRED


def test_a_suspended_seal_seals_nothing_until_a_quorum_resumes_it(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:3])
    statement, signature = people.stop("seal", house.seal(), house.staff.dai.id, "lost", key=house.staff.dai, now=datetime.now(UTC))
    house.office.stop(statement, signature)
    outcomes = house.office.seal(form, papers[:3], tmp_path)
    assert {one.code for one in outcomes} == {Code.SEAL_SUSPENDED}
    act = house.office.apply_act("resume", {}, seal=house.seal(), title="Found again")
    house.decide(act, house.staff.bo, house.staff.chen)
    until(lambda: {one["id"]: one["state"] for one in house.office.seals()}[house.seal()] == "active")
    assert {one.outcome for one in house.office.seal(form, papers[:3], tmp_path)} == {"sealed"}


def test_a_new_approver_counts_once_a_quorum_has_registered_them(house: House, papers: list[Document]) -> None:
    eve = person("approver")
    with Office(house.workflow_url, f"127.0.0.1:{house.station.port}", house.operator_tls) as desk:
        key = spki(eve.key.public_key())
        Rest(house.workflow_url, house.operator_tls).post(
            "/v1/people", {"id": eve.id, "name": "Eve", "unit": "TEST", "roles": ["approver"], "public_key": base64.b64encode(key).decode()}
        )
        form = house.office.apply(house.seal("official"), papers[:1], title="Letter")
        with pytest.raises(VermilionError) as unknown:
            house.decide(form, eve)
        assert unknown.value.code is Code.APPROVER_UNKNOWN
        change = {"change": "person_add", "id": eve.id, "roles": ["approver"], "public_key": b64url(key)}
        act = desk.apply_act("register", change, title="Eve approves")
        house.decide(act, house.staff.bo, house.staff.chen)
        rest = Rest(house.workflow_url, house.operator_tls)
        until(lambda: rest.get(f"/v1/forms/{act.number}")["performance"]["state"] == "done")
    house.decide(form, eve)
    assert house.office.wait_approved(form.number, timeout_s=30).state == "approved"


def test_a_grant_is_used_document_by_document_up_to_its_number(house: House, papers: list[Document], tmp_path: Path) -> None:
    until = int(time.time()) + 3600
    form = house.office.apply_grant(house.seal("official"), uses=4, until=until, title="Standing")
    house.decide(form, house.staff.bo, house.staff.chen)
    form = house.office.wait_approved(form.number, timeout_s=30)
    first = house.office.seal(form, papers[:3], tmp_path / "one", placement=Placement())
    assert [(one.outcome, one.index) for one in first] == [("sealed", 0), ("sealed", 1), ("sealed", 2)]
    second = house.office.seal(form, papers[3:4], tmp_path / "two")
    assert [(one.outcome, one.index) for one in second] == [("sealed", 3)]
    with pytest.raises(VermilionError) as refusal:
        house.office.seal(form, papers[4:5], tmp_path / "three")
    assert refusal.value.code is Code.GRANT_EXCEEDED


def test_when_the_signer_stays_away_the_client_says_so(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:1])
    with socket_that_refuses() as target, Office(house.workflow_url, target, house.tls) as office, pytest.raises(VermilionError) as refusal:
        office.seal(form, papers[:1], tmp_path, patience_s=0.5)
    assert refusal.value.code is Code.SERVICE_UNAVAILABLE
    assert {one.outcome for one in house.office.seal(form, papers[:1], tmp_path)} == {"sealed"}


def test_another_number_of_documents_than_approved_is_refused(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:2])
    with pytest.raises(VermilionError) as refusal:
        house.office.seal(form, papers[:3], tmp_path)
    assert refusal.value.code is Code.INVALID_ARGUMENT


def test_a_folder_of_documents(papers: list[Document], tmp_path: Path) -> None:
    assert isinstance(papers[0].source, Path)
    assert in_folder(papers[0].source.parent) == papers
    for folder in (tmp_path / "empty", tmp_path / "none"):
        if folder.name == "empty":
            folder.mkdir()
        with pytest.raises(VermilionError):
            in_folder(folder)


class socket_that_refuses:  # noqa: N801  (reads as what it is)
    """An address on which nobody answers."""

    def __enter__(self) -> str:
        import socket

        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # bound but not listening: refused, and nobody else gets the port
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_fault: object) -> None:
        self._socket.close()
