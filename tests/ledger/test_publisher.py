"""Whatever write fails, and whether it failed before or after it happened: one history, signed once, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from ledger import witness
from ledger.check import check
from ledger.cosigner import Cosigner
from ledger.http import create
from ledger.metrics import WitnessMetrics
from ledger.publisher import Publisher
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db, durable
from sealcore.platform.ledger import store
from sealcore.platform.ledger.follower import Head
from sealcore.platform.ledger.reader import LogReader
from sealcore.platform.ledger.sources import FolderSource
from sealcore.protocol.signed_note import SignatureType, VerifierKey
from tests.ledger.conftest import ORIGIN, Books, signature_of
from tests.support.disks import Hog, small_disk
from tests.support.strange import patterns, walk

KEY = Ed25519PrivateKey.generate()
LOG = VerifierKey(ORIGIN, SignatureType.ED25519, KEY.public_key().public_bytes_raw())
FIRST, MORE = 250, 300


class _BookSource:
    """The signer's ledger without the wire."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def head(self) -> Head:
        with db.read(self.books.engine) as connection:
            head = store.head(connection)
        return Head(head.size, head.root)

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        with db.read(self.books.engine) as connection:
            yield from store.entries(connection, start, end)

    def close(self) -> None:
        pass


def _publisher(books: Books, folder: Path, signed: list[bytes]) -> Publisher:
    def sign(data: bytes) -> bytes:
        signed.append(data)
        return KEY.sign(data)

    return Publisher(
        key=LOG, sign=sign, source=_BookSource(books), witness=None, public_folder=folder / "public", state_folder=folder / "state",
        cosign_refresh_s=15, clock=SystemClock(),
    )  # fmt: skip


def _one_root_a_size(signed: list[bytes]) -> bool:
    roots: dict[bytes, set[bytes]] = {}
    for body in signed:
        _, size, root, _ = body.split(b"\n")
        roots.setdefault(size, set()).add(root)
    return all(len(each) == 1 for each in roots.values())


class _CrashError(Exception):
    """The process dies here."""


class _FailingDisk:
    """Lets writes through until the chosen one; that one does not happen, or happens, and then everything ends."""

    def __init__(self, fails_at: int, *, happens: bool, write: Callable[[Path, bytes], None]) -> None:
        self.left, self.happens, self._write, self.failed = fails_at, happens, write, False

    def __call__(self, path: Path, data: bytes) -> None:
        if self.failed:
            raise AssertionError("a write after the crash")
        if self.left == 0:
            self.failed = True
            if self.happens:
                self._write(path, data)
            raise _CrashError
        self.left -= 1
        self._write(path, data)


@pytest.mark.parametrize("happens", [False, True], ids=["failed", "failed, but it happened"])
def test_a_crash_at_any_write_leaves_one_history(happens: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, number, crashed = durable.write, 0, True
    books = Books(tmp_path / "signer.db")
    books.append(FIRST)
    before = tmp_path / "before"
    signed: list[bytes] = []
    _publisher(books, before, signed).run_pass()
    books.append(MORE)
    while crashed:
        folder = tmp_path / f"crash-{number}"
        _copy(before, folder)
        disk = _FailingDisk(number, happens=happens, write=write)
        monkeypatch.setattr(durable, "write", disk)
        _publisher(books, folder, signed).run_pass()
        monkeypatch.setattr(durable, "write", write)
        crashed = disk.failed
        reader = LogReader(FolderSource(folder / "public"), LOG)
        assert reader.update().size in (FIRST, FIRST + MORE)  # what is published always reads whole
        after = _publisher(books, folder, signed)
        after.run_pass()
        assert after.health().fault is None
        assert reader.update().size == FIRST + MORE
        assert check(folder / "public", LOG).findings == ()
        number += 1
    assert number > 8  # bundles, tiles of two levels, state, two checkpoints
    assert _one_root_a_size(signed)


def _copy(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file():
            (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / file.relative_to(source)).write_bytes(file.read_bytes())


def test_a_full_disk_is_said_and_got_over(tmp_path: Path) -> None:
    """Wherever a pass stops for want of room, the next one with room publishes one history."""
    books, signed = Books(tmp_path / "signer.db"), list[bytes]()
    with small_disk(tmp_path / "log", 4) as folder:
        hog, publisher = Hog(folder), _publisher(books, folder, signed)
        publisher.run_pass()
        for room_bytes in (0, 4096, 8192, 16_384, 32_768):
            books.append(300)
            hog.fill()
            hog.leave(room_bytes)
            publisher.run_pass()
            fault = publisher.health().fault
            assert fault is None or fault.code is Code.STORAGE_FULL
            assert fault is not None or room_bytes
        hog.go()
        publisher.run_pass()
        assert (publisher.health().fault, publisher.health().published_size) == (None, 1500)
        assert check(folder / "public", LOG).findings == ()
    assert _one_root_a_size(signed)


def test_a_broken_token_signs_nothing_and_is_got_over(tmp_path: Path) -> None:
    books = Books(tmp_path / "signer.db")
    books.append(2)
    working = False

    def sign(data: bytes) -> bytes:
        if not working:
            raise VermilionError(Code.HSM_UNAVAILABLE, "the token is away")
        return KEY.sign(data)

    publisher = Publisher(
        key=LOG, sign=sign, source=_BookSource(books), witness=None, public_folder=tmp_path / "public", state_folder=tmp_path / "state",
        cosign_refresh_s=15, clock=SystemClock(),
    )  # fmt: skip
    publisher.run_pass()
    fault = publisher.health().fault
    assert fault is not None and fault.code is Code.HSM_UNAVAILABLE
    assert not (tmp_path / "public/checkpoint").exists()
    working = True
    publisher.run_pass()
    assert publisher.health().published_size == 2


def test_entries_of_another_form_are_never_published(tmp_path: Path) -> None:
    books = Books(tmp_path / "signer.db")
    books.append(1)

    class Smuggler(_BookSource):
        def entries(self, start: int, end: int) -> Iterator[bytes]:
            yield b"a name in the clear"

    publisher = _publisher(books, tmp_path, [])
    publisher._source = Smuggler(books)
    publisher.run_pass()
    fault = publisher.health().fault
    assert fault is not None and fault.code is Code.LEDGER_INCONSISTENT
    assert not (tmp_path / "public/tile").exists()


def test_a_follower_notices_a_shrunk_log(tmp_path: Path) -> None:
    books = Books(tmp_path / "signer.db")
    books.append(5)
    _publisher(books, tmp_path / "a", []).run_pass()
    source = FolderSource(tmp_path / "a/public")
    reader = LogReader(source, LOG)
    reader.update()
    assert reader.find(signature_of(4)) is not None
    shorter = Books(tmp_path / "shorter.db")
    shorter.append(3)
    _publisher(shorter, tmp_path / "b", []).run_pass()
    source.folder = tmp_path / "b/public"
    with pytest.raises(VermilionError) as refusal:
        reader.update()
    assert refusal.value.code is Code.LEDGER_INCONSISTENT
    longer = Books(tmp_path / "longer.db")
    longer.append(9, mark="!")
    _publisher(longer, tmp_path / "c", []).run_pass()
    source.folder = tmp_path / "c/public"
    with pytest.raises(VermilionError) as refusal:
        reader.update()
    assert refusal.value.code is Code.LEDGER_INCONSISTENT


def test_no_value_in_a_request_to_the_log_is_a_fault_of_ours(tmp_path: Path) -> None:
    """A tile's name of 4,503 digits was one."""
    books = Books(tmp_path / "signer.db")
    (tmp_path / "public").mkdir()
    app = create(_publisher(books, tmp_path, []), tmp_path / "public", LOG, None)
    routes = [*patterns(app.routes), "/tile/entries/{index}", "/tile/0/{index}", "/tile/{level}/000", "/tile/0/000.p/{width}"]
    assert len(routes) == 9 and walk(routes, TestClient(app).request) > 400


def test_no_value_in_a_request_to_the_witness_is_a_fault_of_ours(tmp_path: Path) -> None:
    key = VerifierKey(f"{ORIGIN}-witness", SignatureType.COSIGNATURE_V1, KEY.public_key().public_bytes_raw())
    cosigner = Cosigner(key=key, sign=KEY.sign, logs=[LOG], state_folder=tmp_path, clock=SystemClock())
    app = witness.create(cosigner, key, WitnessMetrics(tmp_path))
    client = TestClient(app)
    assert walk([*patterns(app.routes), "/{other}"], client.request, is_problem=False) > 100
    for body in (b"old " + b"9" * 5000 + b"\n\n", b"old 1\n" + b"A" * 5000, b"\xff", b"old 0\n\n" + b"9\n" * 3000, b""):
        assert client.post("/add-checkpoint", content=body).status_code == 400
