"""What a process says that a document has taken over: nothing that is for others to say, and nothing that is not fit to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from sealcore.clock import FixedClock
from sealcore.platform.sandbox import ForkServer, Job
from tests.verify.office import NOW, Office, TileLog
from verify.codes import FindingCode
from verify.facts import NAME_LIMIT, Fact
from verify.opinion import Reading
from verify.report import Added, Answer, Authorised, AuthorisedState, Change, Changed, Report, Seal, SealKind, Timestamp, Verdict, finding
from verify.sandbox import Sandbox
from verify.verifier import verify

TAKEN_OVER = "def work(parts):\n    return [parts[1]]  # the document is the answer\n"
TELLING = "\u202e\x1b[31mevil\n" + "x" * 500
WITHIN = Fact("at_place", {"what": Fact("named", {"name": TELLING}), "page": TELLING, "rectangle": "1"})
SOUND = Seal(*("Seal1", SealKind.SEAL, "Owner", "Name"), sealed_at="2026-06-01T12:00:00Z", valid=Answer.YES, changed=Changed(Change.NONE))
PLACED = Changed(Change.PERMITTED, ("form",), (TELLING,), (Added("form", TELLING, TELLING, Answer.YES, 1, (0.0, 0.0, 1.0, 1.0)),))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("taken")
    (folder / "taken_over.py").write_text(TAKEN_OVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        made = Sandbox()
        made._server = ForkServer(Job("taken_over:work"))
        made.start()
        yield made
        made.close()


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


def told(office: Office, sandbox: Sandbox, seal: Seal, log: TileLog | None = None) -> Report:
    document = TypeAdapter(Reading).dump_json(Reading((seal,)))
    view = log.view() if log is not None else None
    return verify(document, office.trust(), view, clock=FixedClock(NOW), reader=sandbox.read)


def test_all_texts_are_fit_to_be_shown(office: Office, sandbox: Sandbox) -> None:
    texts = replace(SOUND, field=TELLING, owner=TELLING, name=TELLING, subject=TELLING, issuer=TELLING, serial=TELLING, changed=PLACED)
    stamp = Timestamp("2026-06-01T12:00:00Z", TELLING, Answer.YES, TELLING, TELLING)
    report = told(office, sandbox, replace(texts, timestamp=stamp, findings=(finding(FindingCode.SIGNED_LATER, WITHIN),)))
    shown = report.as_json()
    assert "evil" in report.seals[0].findings[0].detail and "evil" in report.seals[0].owner and "evil" in report.sentence
    for sign in ("\\u202e", "\u202e", "\\u001b", "\x1b", "evil\\n", "x" * (NAME_LIMIT + 1)):
        assert sign not in shown, sign


def test_whether_a_seal_is_authorised_is_for_the_ledger_to_say(office: Office, sandbox: Sandbox, tmp_path: Path) -> None:
    """Neither is one that has nothing to look up, nor one of somebody else, whatever the reading claims."""
    log = TileLog(tmp_path)
    claimed = replace(SOUND, authorised=Authorised(AuthorisedState.AUTHORISED, 7, "DEMO-2026-000001"))
    report = told(office, sandbox, claimed, log)
    assert (report.verdict, report.seals[0].authorised) == (Verdict.UNDETERMINED, Authorised(AuthorisedState.UNDETERMINED))
    for seal in (replace(claimed, kind=SealKind.FOREIGN), replace(claimed, valid=Answer.NO)):
        report = told(office, sandbox, seal, log)
        assert report.verdict is not Verdict.VALID and report.seals[0].authorised == Authorised()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sealed_at": "soon"},
        {"sealed_at": "2026-06-01T12:00:00"},
        {"timestamp": Timestamp("later", "TSA", Answer.YES)},
        {"signature_hash": "no digits"},
        {"twin_hash": "0"},
        {"spki_sha256": "xy"},
    ],
)
def test_what_is_no_time_and_no_hash_is_a_damaged_reading(
    office: Office, sandbox: Sandbox, wrong: dict[str, object], tmp_path: Path
) -> None:
    report = told(office, sandbox, replace(SOUND, **wrong), TileLog(tmp_path))  # type: ignore[arg-type]
    assert report.verdict is not Verdict.VALID and [each.code for each in report.findings] == [FindingCode.DAMAGED]
