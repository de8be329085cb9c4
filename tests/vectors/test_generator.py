"""The vectors are what their independent generator makes today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.vectors.load import FOLDER

GENERATOR = FOLDER / "generate.py"


def test_the_generator_makes_exactly_the_published_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-I", GENERATOR, tmp_path], check=True)
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_bytes() for file in FOLDER.glob("*.json")}


def test_the_generator_shares_no_code_with_the_implementation() -> None:
    imported = set(re.findall(r"^(?:from|import) (\w+)", GENERATOR.read_text(), re.MULTILINE))
    assert imported <= {"__future__", "base64", "hashlib", "json", "sys", "pathlib", "typing", "cryptography"}
