"""Key and certificate change together: for readers, over crashes, and for who watches the files."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.platform import identity
from sealcore.platform.identity import LOOK_S, IdentityWatch
from tests.pki import InfrastructureCa

URI = "https://vermilion.internal/service/signer"
STEPS = Path(__file__).with_name("programs") / "replacing.py"


@pytest.fixture
def ca(tmp_path: Path) -> InfrastructureCa:
    return InfrastructureCa(tmp_path / "pki")


def test_readers_never_see_a_key_beside_anothers_certificate(ca: InfrastructureCa) -> None:
    tls = ca.bundle("signer", URI)
    known, seen, faults, ended = {ca.serial(tls)}, set[int](), list[VermilionError](), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            try:
                seen.add(identity.read(tls).certificate.serial_number)
            except VermilionError as fault:
                faults.append(fault)

    readers = [threading.Thread(target=watch) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(25):
        known.add(ca.switch(tls, URI))
    ended.set()
    for reader in readers:
        reader.join()
    assert not faults
    assert seen <= known and identity.read(tls).certificate.serial_number in known


def test_the_key_is_its_owners_alone_and_old_keys_are_removed(ca: InfrastructureCa) -> None:
    tls = ca.bundle("signer", URI)
    for _ in range(4):
        ca.switch(tls, URI)
    folder = tls.key_file.parent
    keys = [path for path in folder.rglob("key_file.pem") if not path.is_symlink()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)
    assert len({path.resolve() for path in keys}) == 2  # the present one, and the one that somebody may just be reading


def test_a_crash_at_any_step_leaves_a_pair_that_works(ca: InfrastructureCa) -> None:
    """A process is ended before each of its steps on the disk in turn; a first renewal and a later one."""
    tls = ca.bundle("signer", URI)
    for _ in range(2):
        before, successor = ca.serial(tls), ca.identity("successor", URI)
        command: list[str | Path] = [
            sys.executable,
            STEPS,
            tls.key_file,
            tls.certificate_file,
            successor.key_file,
            successor.certificate_file,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        serials = [int(line, 16) for line in done.stdout.split()]
        assert len(serials) > 5 and set(serials) == {before, ca.serial(successor)} and serials == sorted(serials, key=serials.index)
        assert serials[-1] == identity.read(tls).certificate.serial_number == ca.serial(successor)


def test_a_watch_takes_up_new_files_and_keeps_the_last_good_ones(ca: InfrastructureCa) -> None:
    tls = ca.bundle("signer", URI)
    watch = IdentityWatch(tls)
    serial = ca.switch(tls, URI)
    assert watch.look().certificate.serial_number == serial
    tls.certificate_file.unlink()
    assert watch.look().certificate.serial_number == serial
    assert LOOK_S <= 1


def test_files_that_do_not_belong_together_are_refused(ca: InfrastructureCa) -> None:
    tls, other = ca.identity("signer", URI), ca.identity("other", URI)
    for wrong in (tls.model_copy(update={"key_file": other.key_file}), tls.model_copy(update={"key_file": ca.folder / "none.pem"})):
        with pytest.raises(VermilionError) as refusal:
            identity.read(wrong)
        assert refusal.value.code is Code.CONFIGURATION_INVALID
    with pytest.raises(VermilionError) as refusal:
        identity.replace(tls.model_copy(update={"certificate_file": ca.folder / "elsewhere" / "cert.pem"}), b"", b"")
    assert refusal.value.code is Code.CONFIGURATION_INVALID
