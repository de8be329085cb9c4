"""The folder that sealed documents go to is full: the run ends with that, and the next one goes on where it stood."""

from __future__ import annotations

from pathlib import Path

from sealcore.errors import Code, VermilionError
from tests.client.conftest import House
from tests.support.disks import Hog, small_disk
from vermilion.client import Document, Progress


def test_a_full_folder_ends_the_run_and_the_next_one_finds_everything(house: House, papers: list[Document], tmp_path: Path) -> None:
    batch = papers[:8]
    form = house.approved(batch)
    waiting: set[Code] = set()

    def follow(now: Progress) -> None:
        waiting.update([now.waiting.code] if now.waiting is not None else [])

    def run(folder: Path) -> Code | None:
        try:
            outcomes = house.office.seal(form, batch, folder, progress=follow)
        except VermilionError as fault:
            return fault.code
        assert {one.outcome for one in outcomes} == {"sealed"}
        return None

    with small_disk(tmp_path / "sealed", 2) as folder:
        hog = Hog(folder)
        hog.fill()
        assert run(folder) is Code.STORAGE_FULL  # not even for the journal
        for room in (4 * 1024, 8 * 1024, 8 * 1024):
            hog.leave(room)
            assert run(folder) is Code.STORAGE_FULL
            assert [each.name for each in folder.iterdir() if each.name.endswith(".part")] == []
            hog.fill()
        assert waiting == set()  # a full folder is no signer that is away: nothing is sent again and again
        hog.go()
        assert run(folder) is None
        assert house.seal_entries(form.number) == len(batch)
        assert run(folder) is None and house.seal_entries(form.number) == len(batch)
