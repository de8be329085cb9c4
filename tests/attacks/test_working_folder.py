"""Files of strangers lie in the folder that a command is given in, and one is called like a module: it is data, and never run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("json.py", "socket.py", "sealcore/__init__.py", "sealcore.py", "encodings/__init__.py", "sitecustomize.py", "usercustomize.py")
PREPARE = """
from sealcore.errors import VermilionError
from longterm.sandbox import Sandbox
try:
    Sandbox().read(b"%PDF-1.7")
except VermilionError as refusal:
    print(refusal.code)
"""
TOKEN = """
import sys
from pathlib import Path
from sealcore.hsm import softhsm
softhsm.create(Path(sys.argv[1]), "token")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Each file in it leaves ``ran`` behind when it is run."""
    made = tmp_path / "downloads"
    for name in NAMES:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(f'open({str(tmp_path / "ran")!r}, "w")\n')
    return made


def test_the_process_that_documents_are_read_in_takes_its_modules_from_where_its_caller_does(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", PREPARE], cwd=folder, capture_output=True, text=True, check=False)
    assert not (folder.parent / "ran").exists()
    assert done.stdout == "DOCUMENT_DAMAGED\n", done.stderr


def test_the_process_that_makes_a_token_takes_its_modules_from_where_its_caller_does(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", TOKEN, folder.parent / "state"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert not (folder.parent / "ran").exists()
    assert (folder.parent / "state" / "token.toml").exists(), done.stderr
