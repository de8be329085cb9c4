"""Parts of the client library by themselves: where a seal goes, what may be on its way at once, how files are written."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
from pathlib import Path

import pikepdf
import pytest

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.client import Document, Folder, Picture, bottom_right
from vermilion.client.placement import last_page
from vermilion.client.stream import WINDOW_BYTES, WINDOW_ITEMS, Window

SEAL = Picture(bytes(32), 119.0, 119.0)


def page(*, size: tuple[float, float] = (595, 842), turn: int = 0, crop: list[float] | None = None, pages: int = 1) -> Document:
    pdf = pikepdf.new()
    for _ in range(pages):
        made = pdf.add_blank_page(page_size=size)
        if turn:
            made.Rotate = turn
        if crop:
            made.CropBox = pikepdf.Array(crop)
    target = io.BytesIO()
    pdf.save(target)
    return Document("page.pdf", target.getvalue())


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (0, [440_000, 36_000, 559_000, 155_000]),
        (90, [440_000, 687_000, 559_000, 806_000]),
        (180, [36_000, 687_000, 155_000, 806_000]),
        (270, [36_000, 36_000, 155_000, 155_000]),
        (-90, [36_000, 36_000, 155_000, 155_000]),
    ],
)
def test_the_seal_is_at_the_bottom_right_as_people_see_the_page(turn: int, expected: list[int]) -> None:
    (mark,) = bottom_right(page(turn=turn, pages=3), SEAL).marks
    assert (mark.pages, mark.rectangle.as_list()) == ((2,), expected)


def test_the_visible_part_counts_and_not_the_whole_sheet() -> None:
    (mark,) = bottom_right(page(crop=[100, 200, 400, 700]), SEAL).marks
    assert mark.rectangle.as_list() == [245_000, 236_000, 364_000, 355_000]


def test_a_crop_box_beyond_the_sheet_is_cut_to_it() -> None:
    seen = last_page(page(crop=[-50, -50, 300, 300]))
    assert seen is not None
    assert (seen.left, seen.bottom, seen.right, seen.top) == (0, 0, 300, 300)


@pytest.mark.parametrize("size", [(100.0, 300.0), (300.0, 80.5), (60.3, 60.7), (3.0, 3.0)])
def test_on_a_small_page_the_seal_shrinks_and_stays_inside(size: tuple[float, float]) -> None:
    (mark,) = bottom_right(page(size=size), SEAL).marks
    box = mark.rectangle
    assert 0 <= box.x0 < box.x1 <= size[0] * 1000
    assert 0 <= box.y0 < box.y1 <= size[1] * 1000
    assert abs((box.x1 - box.x0) - (box.y1 - box.y0)) <= 2


@pytest.mark.parametrize("content", [b"", b"no PDF", b"%PDF-1.7\n%%EOF"])
def test_a_document_that_cannot_be_read_gets_no_mark(content: bytes) -> None:
    assert bottom_right(Document("x.pdf", content), SEAL).marks == ()
    assert bottom_right(Document("x.pdf", Path("/nonexistent.pdf")), SEAL).marks == ()


@pytest.mark.corpus
def test_marks_on_real_documents_lie_wholly_inside_the_visible_page(documents_folder: Path) -> None:
    placed = 0
    for path in sorted(documents_folder.glob("*.pdf")):
        document = Document(path.name, path)
        marks = bottom_right(document, SEAL).marks
        seen = last_page(document)
        assert bool(marks) == (seen is not None) or seen is not None
        for mark in marks:
            assert seen is not None
            box = mark.rectangle
            assert seen.left * 1000 <= box.x0 < box.x1 <= seen.right * 1000
            assert seen.bottom * 1000 <= box.y0 < box.y1 <= seen.top * 1000
            placed += 1
    assert placed > 0


def test_what_is_on_its_way_is_bounded_by_number_and_by_bytes() -> None:
    window = Window()
    for index in range(WINDOW_ITEMS):
        assert window.take(index, 1)
    assert window.would_wait(1)
    window.give_back(0)
    window.give_back(0)  # a second answer makes no room for another
    assert not window.would_wait(1)
    for index in range(WINDOW_ITEMS):
        window.give_back(index)
    assert window.take(1, 10 * WINDOW_BYTES)  # a single one may be of any size
    assert window.would_wait(1)


def test_a_sender_that_waits_for_room_ends_with_the_call() -> None:
    window, answers = Window(), []
    window.take(0, WINDOW_BYTES)
    waiting = threading.Thread(target=lambda: answers.append(window.take(1, 1)))
    waiting.start()
    window.close()
    waiting.join(10)
    assert answers == [False]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    folder, document = Folder(tmp_path), Document("a.pdf", b"content")
    folder.prepare([document])
    with pytest.raises(VermilionError) as refusal:
        folder.write(0, document, b"suffix", bytes(32))
    assert refusal.value.code is Code.DOCUMENT_MISMATCH
    assert list(tmp_path.iterdir()) == []
    path = folder.write(0, document, b"suffix", hashlib.sha256(b"contentsuffix").digest())
    assert path.read_bytes() == b"contentsuffix"
    assert folder.holds(0, hashlib.sha256(b"contentsuffix").digest())
    assert not folder.holds(0, bytes(32))


def test_a_full_disk_has_its_code() -> None:
    assert durable.unusable(OSError(errno.ENOSPC, "full"), "a.pdf").code is Code.STORAGE_FULL
    assert durable.unusable(OSError(errno.EACCES, "no"), "a.pdf").code is Code.FILE_UNUSABLE


def test_a_journal_never_takes_the_place_of_a_document(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.prepare([Document(".vermilion-x.resume", b"1"), Document("n\x00ul.pdf", b"2"), Document("a.pdf", b"3"), Document("a.pdf", b"4")])
    assert [folder.file(position).name for position in range(4)] == ["_.vermilion-x.resume", "n_ul.pdf", "a.pdf", "a~3.pdf"]
