"""`vermilion seal` a second time into the same folder: nothing is sealed twice, no file is replaced, and what was done is said."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from tests.client.conftest import House
from vermilion.client import Document, Folder, Progress
from vermilion.client.documents import of
from vermilion.use_cases.placing import collect

pytestmark = pytest.mark.xdist_group("client")


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What lies in a folder: each file's inode and bytes."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir() if not path.name.startswith(".")}


def test_the_same_form_again_writes_nothing_and_asks_for_nothing(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:3])
    house.office.seal(form, papers[:3], tmp_path / "out")
    before = content(tmp_path / "out")
    again = house.office.seal(form, papers[:3], tmp_path / "out")
    assert all(one.outcome == "sealed" and one.repeated for one in again)
    assert content(tmp_path / "out") == before and len(before) == 3
    assert house.seal_entries(form.number) == 3


def test_a_finished_run_is_known_by_its_journal_also_after_its_forms_term(house: House, papers: list[Document], tmp_path: Path) -> None:
    form = house.approved(papers[:3])
    house.office.seal(form, papers[:3], tmp_path / "out")
    found = house.office.earlier(tmp_path / "out", papers[:3], seal=house.seal())
    assert (found.others, found.forms, found.form) == ((), (form.number,), None)
    assert [one.path for _, one in sorted(found.done.items())] == [tmp_path / "out" / one.file_name for one in papers[:3]]
    assert house.office.earlier(tmp_path / "out", papers[:3], seal=house.seal("official")).others == (0, 1, 2)


def test_documents_that_were_added_are_sealed_alone_and_get_names_of_their_own(
    house: House, papers: list[Document], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = house.approved(papers[1:3])
    house.office.seal(first, papers[1:3], out)
    before = content(out)
    namesake = Document(papers[1].file_name, papers[5].source)  # another document of the same name, from a subfolder
    given = [papers[0], papers[1], namesake, papers[2]]
    found = house.office.earlier(out, given, seal=house.seal())
    assert found.others == (0, 2) and set(found.done) == {1, 3}
    rest = [given[each] for each in found.others]
    outcomes = house.office.seal(house.approved(rest), rest, found.folder(out))
    assert {one.outcome for one in outcomes} == {"sealed"}
    assert before.items() <= content(out).items() and len(content(out)) == 4
    assert house.office.earlier(out, given, seal=house.seal()).others == ()


def test_a_file_of_another_origin_is_never_replaced_and_the_others_go_on(house: House, papers: list[Document], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / papers[0].file_name).write_bytes(b"mine")
    (out / papers[1].file_name).symlink_to(tmp_path / "nowhere")
    folder = Folder(out)
    folder.prepare(papers[:3])
    assert folder.in_the_way() == [papers[0].file_name, papers[1].file_name]  # said before anything is applied for
    outcomes = house.office.seal(house.approved(papers[:3]), papers[:3], out)
    assert [one.code for one in outcomes] == [Code.CONFLICT, Code.CONFLICT, None]
    assert (out / papers[0].file_name).read_bytes() == b"mine"
    assert (out / papers[1].file_name).is_symlink() and not (tmp_path / "nowhere").exists()


def test_a_document_that_was_changed_is_a_new_one_and_its_old_result_stays(house: House, papers: list[Document], tmp_path: Path) -> None:
    out, source = tmp_path / "out", papers[0].path
    assert source is not None
    house.office.seal(house.approved(papers[:2]), papers[:2], out)
    before = content(out)
    source.write_bytes(source.read_bytes() + b"\n")
    found = house.office.earlier(out, papers[:2], seal=house.seal())
    folder = found.folder(out)
    folder.prepare([papers[each] for each in found.others])
    assert (found.others, folder.in_the_way()) == ((0,), [papers[0].file_name])
    outcomes = house.office.seal(house.approved(papers[:1]), papers[:1], out)
    assert [one.code for one in outcomes] == [Code.CONFLICT] and content(out) == before


def test_results_without_their_journal_are_not_replaced_and_the_same_form_knows_them(
    house: House, papers: list[Document], tmp_path: Path
) -> None:
    out, form = tmp_path / "out", house.approved(papers[:3])
    house.office.seal(form, papers[:3], out)
    before = content(out)
    for journal in out.glob(".vermilion-*"):
        journal.unlink()
    again = house.office.seal(form, papers[:3], out)
    assert {one.outcome for one in again} == {"sealed"} and content(out) == before
    assert house.seal_entries(form.number) == 3


@pytest.mark.parametrize("damage", ["torn tail", "broken line", "no header"])
def test_a_damaged_journal_costs_no_file_and_no_second_seal(house: House, papers: list[Document], tmp_path: Path, damage: str) -> None:
    out, form = tmp_path / "out", house.approved(papers[:4])
    house.office.seal(form, papers[:4], out)
    before = content(out)
    (journal,) = out.glob(".vermilion-*.sealed")
    lines = journal.read_bytes().splitlines(keepends=True)
    if damage == "torn tail":
        journal.write_bytes(b"".join(lines)[:-9])
    elif damage == "broken line":
        journal.write_bytes(b"".join([lines[0], b'{"index": 1, "name"\n', *lines[2:]]))
    else:
        journal.write_bytes(b"\x00" * 40 + b"".join(lines[1:]))
    again = house.office.seal(form, papers[:4], out)
    assert {one.outcome for one in again} == {"sealed"} and content(out) == before
    assert house.seal_entries(form.number) == 4
    assert house.office.earlier(out, papers[:4], seal=house.seal()).others == ()


def test_two_runs_of_one_form_at_a_time_are_one_after_the_other(house: House, papers: list[Document], tmp_path: Path) -> None:
    form, out = house.approved(papers[:8]), tmp_path / "out"
    inside, go_on = threading.Event(), threading.Event()

    def hold(now: Progress) -> None:
        inside.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(1) as aside:
        first = aside.submit(house.office.seal, form, papers[:8], out, progress=hold)
        assert inside.wait(60)
        with pytest.raises(VermilionError) as refusal:
            house.office.seal(form, papers[:8], out)
        go_on.set()
        assert refusal.value.code is Code.CONFLICT and form.number in refusal.value.reason
        assert {one.outcome for one in first.result()} == {"sealed"}
    assert all(one.repeated for one in house.office.seal(form, papers[:8], out))


# --- without a signer -----------------------------------------------------------------------------------------------------------


def test_names_that_some_file_system_takes_for_one_get_files_of_their_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    names = ["Contract.pdf", "contract.PDF", "CONTRACT.pdf", "é.pdf", "e\u0301.pdf", "straße.pdf", "STRASSE.pdf", "contract~1.pdf"]
    folder.prepare([Document(name, b"%d" % number) for number, name in enumerate(names)])
    assert [folder.file(each).name for each in range(len(names))] == [
        "Contract.pdf", "contract~1.PDF", "CONTRACT~2.pdf", "é.pdf", "e\u0301~4.pdf", "straße.pdf", "STRASSE~6.pdf", "contract~1~7.pdf",
    ]  # fmt: skip


def test_the_results_folder_inside_the_documents_folder_gives_no_documents(tmp_path: Path) -> None:
    for name in ("a.pdf", "sub/b.pdf", "sealed/a.pdf", "sealed/deep/c.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"%PDF-1.7")
    assert [one.file_name for one in collect([tmp_path], without=tmp_path / "sealed")] == ["a.pdf", "b.pdf"]
    assert len(collect([tmp_path], without=tmp_path / "elsewhere")) == 4
    assert len(collect([tmp_path / "sealed"], without=tmp_path)) == 2  # what was named is meant
    (tmp_path.parent / "link").symlink_to(tmp_path)
    assert len(collect([tmp_path.parent / "link"], without=tmp_path / "sealed")) == 2


def test_no_source_is_replaced_by_another_documents_result(tmp_path: Path) -> None:
    """Under the names that equal names get, too."""
    (tmp_path / "sub").mkdir()
    for name in ("a.pdf", "sub/a.pdf", "a~1.pdf"):
        (tmp_path / name).write_bytes(name.encode())
    documents = of([tmp_path / "sub" / "a.pdf", tmp_path / "a.pdf"])
    with pytest.raises(VermilionError) as refusal:
        Folder(tmp_path).prepare(documents)
    assert refusal.value.code is Code.INVALID_ARGUMENT


def test_a_name_without_hard_links_is_given_without_replacing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network and memory-card file systems know no links: EPERM, as Linux says for FAT."""

    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    folder, document = Folder(tmp_path), Document("a.pdf", b"content")
    folder.prepare([document])
    sealed = hashlib.sha256(b"contentsuffix").digest()
    assert folder.write(0, document, b"suffix", sealed).read_bytes() == b"contentsuffix"
    assert folder.write(0, document, b"suffix", sealed).read_bytes() == b"contentsuffix"  # its own bytes are no conflict
    with pytest.raises(VermilionError) as refusal:
        folder.write(0, document, b"other", hashlib.sha256(b"contentother").digest())
    assert refusal.value.code is Code.CONFLICT and (tmp_path / "a.pdf").read_bytes() == b"contentsuffix"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]
