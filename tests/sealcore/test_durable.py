"""Files that are created replace none."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable


def test_a_created_file_has_its_name_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.pem"
    durable.create(path, b"one", mode=durable.PRIVATE)
    assert path.read_bytes() == b"one" and path.stat().st_mode & 0o777 == 0o600
    durable.create(path, b"one")  # the same again is no conflict
    for there in (path, tmp_path / "link"):
        if there != path:
            there.symlink_to(tmp_path / "nowhere")
        with pytest.raises(VermilionError) as refusal:
            durable.create(there, b"two")
        assert refusal.value.code is Code.CONFLICT
    assert path.read_bytes() == b"one" and not (tmp_path / "nowhere").exists()
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["a.pem"], "no draft stays behind"
