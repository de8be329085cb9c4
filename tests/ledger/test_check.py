"""The checker: a sound log passes, and one changed byte in any file is named by its place."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.check import check
from ledger.tree import TileFolder
from sealcore.errors import Code, VermilionError
from sealcore.protocol import signed_note as note
from sealcore.protocol.ledger_tiles import WIDTH, TileName
from sealcore.protocol.signed_note import Checkpoint, SignatureType, VerifierKey
from tests.conftest import REPOSITORY
from tests.ledger.conftest import ORIGIN, WITNESS, draft

SIZE = 2 * WIDTH + 88
CHANGES_A_FILE = 12


@dataclass
class Published:
    """A log's public folder, made with keys in memory."""

    folder: Path
    log: VerifierKey
    witness: VerifierKey

    def places(self) -> set[str]:
        return {finding.place for finding in check(self.folder, self.log, self.witness).findings}

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


def _publish(folder: Path, steps: tuple[int, ...], *, rewritten_from: int | None = None) -> Published:
    keys = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    log = VerifierKey(ORIGIN, SignatureType.ED25519, keys[0].public_key().public_bytes_raw())
    witness = VerifierKey(WITNESS, SignatureType.COSIGNATURE_V1, keys[1].public_key().public_bytes_raw())
    tiles, size = TileFolder(folder), 0
    for step in steps:
        marks = ["!" if rewritten_from is not None and number >= rewritten_from else "" for number in range(size, size + step)]
        tiles.extend(size, [draft(size + at, mark).entry.encode() for at, mark in enumerate(marks)])
        size += step
    checkpoint = Checkpoint(ORIGIN, size, tiles.root(size))
    signed = note.sign_checkpoint(checkpoint, log, keys[0].sign)
    (folder / "checkpoint-signed").write_bytes(signed.encode())
    cosigned = signed.with_signatures((note.cosign(checkpoint, witness, 1_790_000_000, keys[1].sign),))
    (folder / "checkpoint").write_bytes(cosigned.encode())
    return Published(folder, log, witness)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return _publish(tmp_path / "public", (1, 100, WIDTH, SIZE - WIDTH - 101 - 7, 7))


def test_a_sound_log_passes(published: Published) -> None:
    report = check(published.folder, published.log, published.witness)
    assert (report.size, report.cosigned_at_s, report.findings) == (SIZE, 1_790_000_000, ())
    expected = {"checkpoint", "checkpoint-signed", "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000",
                "tile/entries/001", "tile/entries/002.p/88"}  # fmt: skip
    assert expected <= set(published.files())
    assert set(published.files()) - expected  # partial tiles of earlier checkpoints are there too, and checked


def test_an_empty_log_passes(tmp_path: Path) -> None:
    assert _publish(tmp_path, ()).places() == set()


@pytest.mark.parametrize("steps", [(1,), (WIDTH - 1,), (WIDTH,), (WIDTH + 1,), (2 * WIDTH,), (3,) * 200])
def test_logs_of_any_size_pass(steps: tuple[int, ...], tmp_path: Path) -> None:
    assert _publish(tmp_path, steps).places() == set()


def test_one_changed_byte_in_any_file_is_named_by_its_place(published: Published) -> None:
    chance = random.Random(20260921)
    for path in published.files():
        file = published.folder / path
        whole = file.read_bytes()
        for at in {0, 1, len(whole) // 2, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(CHANGES_A_FILE))}:
            changed = bytearray(whole)
            changed[at] ^= 1 << chance.randrange(8)
            file.write_bytes(bytes(changed))
            expected = {"checkpoint", "cosignature"} if path == "checkpoint" else {path}
            places = published.places()
            assert places and places <= expected, f"byte {at} of {path}: {places}"
        file.write_bytes(whole)
    assert published.places() == set()


def test_a_missing_file_is_named(published: Published) -> None:
    for path in ("tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000", "tile/entries/002.p/88"):
        file = published.folder / path
        away = file.rename(file.with_suffix(".away"))
        assert path in published.places()
        away.rename(file)


def test_a_foreign_file_is_named(published: Published) -> None:
    (published.folder / "tile/0/notes.txt").write_text("x")
    assert published.places() == {"tile/0/notes.txt"}


def test_a_history_rewritten_in_entries_and_tiles_alike_does_not_lead_to_the_signed_root(tmp_path: Path) -> None:
    honest = _publish(tmp_path / "honest", (SIZE,))
    rewritten = _publish(tmp_path / "rewritten", (SIZE,), rewritten_from=300)
    for name in ("checkpoint", "checkpoint-signed"):
        shutil.copy(honest.folder / name, rewritten.folder / name)
    assert Published(rewritten.folder, honest.log, honest.witness).places() == {"tile"}


def test_without_a_checkpoint_there_is_nothing_to_check(tmp_path: Path) -> None:
    log = VerifierKey(ORIGIN, SignatureType.ED25519, bytes(32))
    for source in (tmp_path, "http://127.0.0.1:9"):
        with pytest.raises(VermilionError) as refusal:
            check(source, log)
        assert refusal.value.code is Code.SERVICE_UNAVAILABLE


def test_the_program_says_what_it_found_and_ends_accordingly(published: Published) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "ledger.check",
            *arguments,
            "--log-key",
            str(published.log),
            "--witness-key",
            str(published.witness),
        ]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=REPOSITORY)

    sound = run(str(published.folder))
    assert (sound.returncode, f"{SIZE} entries recomputed" in sound.stdout) == (0, True)
    file = published.folder / TileName(None, 1, WIDTH).path
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    damaged = run(str(published.folder))
    assert (damaged.returncode, damaged.stdout) == (1, f"tile/entries/001: entry {2 * WIDTH - 1} does not fit the tree\n")
    assert run(str(published.folder / "nowhere")).returncode == 2
