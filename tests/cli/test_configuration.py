"""Settings files: made from what the office knows, an operator's own over them, and written only where something is to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.platform.config import load
from signer.settings import SignerSettings
from tests.cli.running import RunningOffice
from tests.support.disks import Hog, small_disk
from vermilion.operation.configuration import write_all
from vermilion.state import toml
from vermilion.state.layout import Layout


@pytest.fixture
def layout(office: RunningOffice, tmp_path: Path) -> Layout:
    """What settings are made of."""
    layout = Layout.at(tmp_path / "var")
    for part in ("pki", "hsm"):
        shutil.copytree(office.layout.state / part, layout.state / part)
    layout.make_folders()
    return layout


def test_what_an_operator_sets_in_a_file_of_their_own_counts_and_stays(layout: Layout, office: RunningOffice) -> None:
    assert write_all(layout, office.office) == []
    file, own = layout.config("signer"), layout.config("signer.local")
    made = load(file, SignerSettings)
    text = "[storage]\nmark_bytes = 1\n\n[listen]\nhost = '::1'\n"
    own.write_text(text, "utf-8")
    assert write_all(layout, office.office) == []
    settings = load(file, SignerSettings)
    assert settings.storage.mark_bytes == 1
    assert (settings.listen.host, settings.listen.port) == ("::1", made.listen.port)
    assert settings.token == made.token
    assert own.read_text("utf-8") == text
    assert own.name in file.read_text("utf-8").partition("\n\n")[0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[storage]\nmark_byte = 1\n", "signer.local.toml: storage.mark_byte: "),
        ("sorage = 1\n", "signer.local.toml: sorage: "),
        ("storage = 1\n", "signer.local.toml: storage: "),
        ("[storage\n", "signer.local.toml is not TOML: "),
    ],
)
def test_what_is_wrong_with_it_is_told_with_file_and_key(layout: Layout, office: RunningOffice, text: str, named: str) -> None:
    write_all(layout, office.office)
    layout.config("signer.local").write_text(text, "utf-8")
    with pytest.raises(VermilionError) as caught:
        load(layout.config("signer"), SignerSettings)
    assert caught.value.code is Code.CONFIGURATION_INVALID and caught.value.reason.startswith(named)


def test_a_file_of_ones_own_for_no_service_is_refused(layout: Layout, office: RunningOffice) -> None:
    layout.config("singer.local").write_text("", "utf-8")
    with pytest.raises(VermilionError, match=r"singer\.local\.toml: there is no service of this name") as caught:
        write_all(layout, office.office)
    assert caught.value.code is Code.CONFIGURATION_INVALID


def test_a_file_that_was_changed_by_hand_is_kept_and_told(layout: Layout, office: RunningOffice) -> None:
    write_all(layout, office.office)
    file = layout.config("signer")
    made = file.read_text("utf-8")
    changed = f"{made}\n[storage]\nmark_bytes = 1\n"
    file.write_text(changed, "utf-8")
    assert write_all(layout, office.office) == [file]
    assert file.read_text("utf-8") == made
    before = file.with_name("signer.toml.before")
    assert before.read_text("utf-8") == changed and before.stat().st_mode & 0o777 == 0o600
    assert write_all(layout, office.office) == []
    before.unlink()

    moved = office.office.model_copy(update={"ports": {**office.office.ports, "signer": 1234}})
    assert write_all(layout, moved) == []  # nobody has changed it: the office has
    assert load(file, SignerSettings).listen.port == 1234 and not before.exists()


def test_settings_that_are_as_they_should_be_take_no_room(layout: Layout, office: RunningOffice, tmp_path: Path) -> None:
    shutil.rmtree(layout.config("").parent)
    with small_disk(layout.config("").parent, 1) as small:
        write_all(layout, office.office)
        older = layout.config("signer")  # as an earlier release wrote it
        toml.write(older, {**load(older, SignerSettings).model_dump(mode="json", exclude_unset=True)})
        texts = {file: file.read_bytes() for file in small.iterdir()}
        Hog(small).fill()
        assert write_all(layout, office.office) == []
        assert {file: file.read_bytes() for file in texts} == texts
        with pytest.raises(VermilionError, match=r"the disk is full") as caught:
            write_all(layout, office.office.model_copy(update={"ports": {**office.office.ports, "signer": 1234}}))
        assert caught.value.code is Code.STORAGE_FULL and "give the command" in caught.value.way_out
        assert {file: file.read_bytes() for file in texts} == texts
