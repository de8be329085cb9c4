"""The published report: its schema, its texts in both languages, its exit status."""

from __future__ import annotations

import json
import os
import string
import threading
from pathlib import Path

import jsonschema
import pytest

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from tests.conftest import REPOSITORY
from tests.verify.conftest import Check
from tests.verify.office import NOW, Office, Sealed, TileLog, page_document
from verify import files
from verify.catalogue import LANGUAGES, messages
from verify.codes import REGISTRY, FindingCode, Row, Weight
from verify.files import exit_status, verify_files
from verify.report import Verdict, schema
from verify.verifier import verify

PUBLISHED = REPOSITORY / "docs" / "schemas" / "verification-report.json"


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == schema(), "run `make docs`"


def test_every_kind_of_report_keeps_to_the_schema(office: Office, sealed: Sealed, log: TileLog, check: Check) -> None:
    published = json.loads(PUBLISHED.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    log.publish(sealed.entry())
    documents = [
        sealed.data,
        office.sign(sealed.data, field_name="Two").data,
        page_document(),
        b"",
        b"%PDF-",
        Office().sign(page_document()).data,
    ]
    for document in documents:
        for ledger in (None, log.view()):
            report = check(document, ledger)
            jsonschema.validate(report.as_dict(), published)
            assert json.loads(report.as_json()) == report.as_dict()


def test_a_report_with_an_unknown_verdict_breaks_the_schema(sealed: Sealed, check: Check) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**check(sealed.data).as_dict(), "verdict": "perhaps"}, schema())


def test_both_languages_have_the_same_keys_and_the_same_blanks() -> None:
    english, *others = (messages(language) for language in LANGUAGES)
    for other in others:
        assert {name: section.keys() for name, section in english.items()} == {name: section.keys() for name, section in other.items()}
        for name, section in english.items():
            for key, text in section.items():
                assert _blanks(text) == _blanks(other[name][key]), f"{name}.{key}"


def test_every_finding_has_a_sentence_and_every_refusal_a_way_out() -> None:
    for language in LANGUAGES:
        assert set(messages(language)["finding"]) == set(FindingCode)
        heavy = {code for code, row in REGISTRY.items() if row.weight is not Weight.NOTE}
        assert set(messages(language)["way"]) == heavy


def test_findings_about_the_document_alone_decide_without_a_row() -> None:
    assert {REGISTRY[code].row for code in (FindingCode.NO_SEAL, FindingCode.ENCRYPTED)} == {Row.DOCUMENT}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentence_is_whole_in_each_language(office: Office, sealed: Sealed, language: str) -> None:
    report = verify(sealed.data, office.trust(), None, clock=FixedClock(NOW), language=language)
    assert "{" not in report.sentence and "2026-06-01 11:55 UTC" in report.sentence
    assert all(each.sentence for each in report.seals[0].findings)


def test_files_are_verified_in_turn_and_the_worst_decides_the_exit_status(office: Office, sealed: Sealed, tmp_path: Path) -> None:
    contents = {"a.pdf": sealed.data, "b.pdf": page_document(), "c.pdf": b"junk", "名称 with spaces.pdf": sealed.data}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in contents]
    reports = list(verify_files(paths, office.trust(), None, clock=FixedClock(NOW)))
    assert [each.document for each in reports] == list(contents)
    assert [each.verdict for each in reports] == [Verdict.VALID, Verdict.UNDETERMINED, Verdict.UNREADABLE, Verdict.VALID]


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], 0),
        ([Verdict.VALID], 0),
        ([Verdict.VALID, Verdict.UNDETERMINED], 2),
        ([Verdict.UNREADABLE, Verdict.UNDETERMINED], 3),
        ([Verdict.UNREADABLE, Verdict.INVALID, Verdict.VALID], 1),
    ],
)
def test_the_exit_status_is_that_of_the_worst(verdicts: list[Verdict], status: int) -> None:
    assert exit_status(verdicts) == status


def test_what_does_not_say_where_it_ends_is_read_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILE_BYTES", 3_000_000)
    for endless in ("/dev/zero", "/dev/urandom"):
        with pytest.raises(VermilionError) as refused:
            files.read_file(Path(endless))
        assert refused.value.code is Code.DOCUMENT_TOO_LARGE
    pipe, content = tmp_path / "pipe.pdf", bytes(range(256)) * 10_000
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    assert files.read_file(pipe) == content
    writer.join()


def test_a_missing_file_is_an_error_not_a_verdict(office: Office, tmp_path: Path) -> None:
    with pytest.raises(VermilionError) as refused:
        list(verify_files([tmp_path / "none.pdf"], office.trust(), None, clock=FixedClock(NOW)))
    assert refused.value.code == "NOT_FOUND"


def _blanks(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}
