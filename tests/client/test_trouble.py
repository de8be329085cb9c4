"""What the client library does about trouble: puts off and tries again what may pass, gives up what will not, and doubles nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from sealcore.errors import REGISTRY, Code, Kind, VermilionError
from sealcore.ids import service_uri
from sealcore.platform import log
from tests.client.conftest import House
from tests.client.moody import Mood, Moody
from tests.signer.office import document
from vermilion.client import Document, Office, Outcome, Progress
from vermilion.client.journal import path_of
from vermilion.client.sealing import AWAY_ITEMS, RETRYABLE, TRIES
from vermilion.client.stream import ITEMS_A_MESSAGE

pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def moody(house: House, free_port: Callable[[], int]) -> Iterator[Callable[[Mood], tuple[Moody, Office]]]:
    """Makes a signer with this mood before the real one, and an office that talks to it."""
    opened: list[tuple[Moody, Office]] = []

    def make(mood: Mood) -> tuple[Moody, Office]:
        own = house.station.infrastructure.identity("moody", service_uri("signer"))
        signer = Moody(f"127.0.0.1:{house.station.port}", house.tls, own, free_port(), mood)
        opened.append((signer, Office(house.workflow_url, signer.target, house.tls)))
        return opened[-1]

    yield make
    for signer, office in opened:
        office.close()
        signer.close()


def test_every_code_that_may_pass_is_tried_again_and_sealed_once(
    house: House, papers: list[Document], tmp_path: Path, moody: Callable[[Mood], tuple[Moody, Office]]
) -> None:
    codes = sorted(RETRYABLE)
    batch = papers[: len(codes) + 2]
    signer, office = moody(lambda index, before: codes[index] if index < len(codes) and before < 2 else None)
    form = house.approved(batch)
    outcomes = office.seal(form, batch, tmp_path)
    assert {one.outcome for one in outcomes} == {"sealed"}
    assert signer.came == {index: 3 if index < len(codes) else 1 for index in range(len(batch))}
    assert house.seal_entries(form.number) == len(batch)


def test_what_needs_a_person_is_refused_at_once(
    house: House, papers: list[Document], tmp_path: Path, moody: Callable[[Mood], tuple[Moody, Office]]
) -> None:
    final = [Code.HSM_PIN_REFUSED, Code.HSM_KEY_MISSING, Code.REGISTER_INCONSISTENT, Code.SEAL_SUSPENDED, Code.DOCUMENT_ENCRYPTED]
    signer, office = moody(lambda index, _before: final[index] if index < len(final) else None)
    told: list[Outcome] = []
    outcomes = office.seal(house.approved(papers[:6]), papers[:6], tmp_path, ended=told.append)
    assert [one.code for one in outcomes] == [*final, None]
    assert set(signer.came.values()) == {1}
    assert sorted(told, key=lambda one: one.index) == outcomes
    for one in outcomes[:-1]:
        assert one.code is not None
        assert (one.rule, one.way_out) == (REGISTRY[one.code].rule, REGISTRY[one.code].way_out)


def test_a_document_that_alone_is_never_taken_does_not_keep_the_others(
    house: House, papers: list[Document], tmp_path: Path, moody: Callable[[Mood], tuple[Moody, Office]]
) -> None:
    """As long as others are sealed in the same call it has so many tries; afterwards the run's patience ends it, with its own reason."""
    signer, office = moody(lambda index, before: Code.HSM_TIMEOUT if index == 3 or (index > 3 and before < index % 3) else None)
    outcomes = office.seal(house.approved(papers[:9]), papers[:9], tmp_path, patience_s=0.5)
    assert [one.code for one in outcomes] == [None, None, None, Code.HSM_TIMEOUT, None, None, None, None, None]
    assert outcomes[3].reason == "not now"
    assert 3 <= signer.came[3] <= 3 + TRIES


def test_a_signer_that_is_away_as_a_whole_is_waited_for_without_sending_everything_again_and_again(
    house: House, tmp_path: Path, moody: Callable[[Mood], tuple[Moody, Office]]
) -> None:
    batch = [Document(f"{number}.pdf", document(f"Paper {number}")) for number in range(2 * AWAY_ITEMS)]
    away = threading.Event()
    away.set()
    progress: list[Progress] = []

    def follow(now: Progress) -> None:
        progress.append(now)
        if now.waiting is not None and signer.calls >= 3:
            away.clear()

    signer, office = moody(lambda _index, _before: Code.DATABASE_UNAVAILABLE if away.is_set() else None)
    form = house.approved(batch)
    outcomes = office.seal(form, batch, tmp_path, progress=follow)
    assert {one.outcome for one in outcomes} == {"sealed"}
    assert house.seal_entries(form.number) == len(batch)
    assert {now.waiting.code for now in progress if now.waiting} == {Code.DATABASE_UNAVAILABLE}
    assert signer.came.total() < 5 * len(batch)
    assert max(signer.items_a_message) == ITEMS_A_MESSAGE


def test_when_patience_ends_what_the_signer_put_off_keeps_its_reason(
    house: House, papers: list[Document], tmp_path: Path, moody: Callable[[Mood], tuple[Moody, Office]]
) -> None:
    _signer, office = moody(lambda _index, _before: Code.STORAGE_FULL)
    form = house.approved(papers[:3])
    outcomes = office.seal(form, papers[:3], tmp_path, patience_s=0.3)
    assert {(one.code, one.reason) for one in outcomes} == {(Code.STORAGE_FULL, "not now")}
    assert path_of(tmp_path, form.number).is_file()  # the next run goes on with it
    assert {one.outcome for one in house.office.seal(form, papers[:3], tmp_path)} == {"sealed"}


def test_what_may_pass_is_busy_or_away_and_nothing_else() -> None:
    assert {REGISTRY[code].kind for code in RETRYABLE} == {Kind.BUSY, Kind.UNAVAILABLE}
    needs_a_person = {code for code, entry in REGISTRY.items() if entry.kind in (Kind.BUSY, Kind.UNAVAILABLE)} - RETRYABLE
    assert needs_a_person == {
        *(Code.HSM_PIN_REFUSED, Code.HSM_KEY_MISSING, Code.LEDGER_INCONSISTENT, Code.REGISTER_INCONSISTENT),
        Code.DATABASE_NEWER,  # a service that says it does not start
        Code.EVIDENCE_NOT_YET,  # `vermilion extend` says it, the signer never
        Code.FILE_UNUSABLE,  # of a path here
        Code.QUOTA_EXCEEDED,  # the workflow says it, and when to come again (`vermilion.client.rest`)
        *(code for code in Code if code.startswith("TSA_")),  # one TSA's; the signer sums them up as TIMESTAMP_UNAVAILABLE
    }


def test_progress_says_rate_and_time_left_of_this_run_alone(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers)

    class StoppedError(Exception):
        pass

    def stop(now: Progress) -> None:
        if now.done >= 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        house.office.seal(form, papers, tmp_path, progress=stop)
    seen: list[Progress] = []
    house.office.seal(form, papers, tmp_path, progress=seen.append)
    assert seen[0].resumed >= 5
    assert (seen[0].done, seen[0].left_s) == (seen[0].resumed, None)
    assert (seen[-1].done, seen[-1].left_s) == (40, 0)
    assert all(now.rate <= (now.done - now.resumed) / now.elapsed_s + 0.01 for now in seen if now.elapsed_s > 0)


def test_a_form_that_was_applied_for_is_found_again_by_its_documents(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.office.apply(house.seal(), papers[:4], title="Contracts")
    house.office.remember(tmp_path, form)
    found = house.office.resumable(tmp_path, papers[:4], seal=house.seal())
    assert found is not None
    assert (found.number, found.manifest.root) == (form.number, form.manifest.root)
    assert house.office.resumable(tmp_path, papers[:3], seal=house.seal()) is None
    assert house.office.resumable(tmp_path, papers[:4], seal=house.seal("invoice")) is None
    assert isinstance(papers[0].source, Path)
    papers[0].source.write_bytes(papers[0].source.read_bytes() + b"\n")
    assert house.office.resumable(tmp_path, papers[:4], seal=house.seal()) is None
    house.office.forget(tmp_path, form.number)
    assert not path_of(tmp_path, form.number).exists()


def test_uses_say_how_far_the_signer_is(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:3])
    house.office.seal(form, papers[:3], tmp_path)
    assert house.office.uses(form) == {"sealed": 3}


def test_a_restarted_signer_is_found_by_the_workflow_and_by_the_client_at_once(house: House, papers: list[Document]) -> None:
    form = house.approved(papers[:1])
    house.office.seals()
    for _ in range(3):
        house.kill_signer()
        house.station.start()
        assert house.office.seals()  # through the workflow
        house.office.uses(form)  # straight to the signer


def test_a_signer_that_is_away_is_said_so_with_the_request_id(house: House) -> None:
    house.kill_signer()
    try:
        with pytest.raises(VermilionError) as away, log.request("mine"):
            house.office.seals()
        assert (away.value.code, away.value.request_id) == (Code.SERVICE_UNAVAILABLE, "mine")
        unready = httpx.get(f"{house.workflow_monitoring}/readyz", timeout=30)
        assert unready.status_code == 503
        assert {part: told["status"] for part, told in unready.json()["parts"].items()} == {
            "database": "ok",
            "storage": "ok",
            "hsm": "ok",
            "signer": "failing",
            "revocation": "ok",
        }
        assert httpx.get(f"{house.workflow_monitoring}/healthz", timeout=30).status_code == 200
    finally:
        house.station.start()
    assert httpx.get(f"{house.workflow_monitoring}/readyz", timeout=30).status_code == 200


def test_one_request_id_follows_a_run_through_workflow_and_signer(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:2])
    with log.request("a-run-of-ours"):
        house.office.seal(form, papers[:2], tmp_path)
    logs = {"workflow": house.station.folder.parent / "workflow.log", "signer": house.station.log}
    for service, file in logs.items():
        lines = [line for line in file.read_text("utf-8").splitlines() if '"a-run-of-ours"' in line]
        assert lines, f"{service} did not log the request"
    assert Counter(one.outcome for one in house.office.seal(form, papers[:2], tmp_path)) == {"sealed": 2}
