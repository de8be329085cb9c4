"""The compiled core keeps its borders: who depends on whom, where `unsafe` may stand, what licences come in."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from sealcore import compiled
from tests.conftest import REPOSITORY

CRATES = REPOSITORY / "crates"
PURE = ("lean", "readback", "cms", "proofs", "protocol")
PERMITTED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Zlib", "0BSD", "BSD-3-Clause", "ISC", "Unlicense", "Unicode-3.0"}


def manifest(crate: str) -> dict[str, Any]:
    return tomllib.loads((CRATES / crate / "Cargo.toml").read_text("utf-8"))


def sources(crate: str) -> list[Path]:
    return sorted((CRATES / crate / "src").rglob("*.rs"))


def test_the_core_is_built_where_tests_run() -> None:
    """Else the tests of the lean way would pass by having nothing to say."""
    assert compiled.WHY_NOT is None


def test_writer_and_safeguard_share_no_code() -> None:
    names = {manifest(crate)["package"]["name"] for crate in PURE}
    for crate in PURE:
        assert not names & manifest(crate)["dependencies"].keys(), crate


def test_unsafe_code_stands_in_the_binding_alone_and_once() -> None:
    workspace = tomllib.loads((CRATES / "Cargo.toml").read_text("utf-8"))["workspace"]
    assert workspace["lints"]["rust"]["unsafe_code"] == "forbid"
    assert set(workspace["members"]) == {*PURE, "binding"}
    for crate in PURE:
        assert manifest(crate)["lints"] == {"workspace": True}
        assert not [path for path in sources(crate) if re.search(r"\bunsafe\b", path.read_text("utf-8"))], crate
    blocks = [
        match
        for path in sources("binding")
        for match in re.findall(r"(?m)^\s*(?:// SAFETY:.*\n(?:\s*//.*\n)*)?\s*unsafe \{", path.read_text("utf-8"))
    ]
    assert len(blocks) == 1 and "SAFETY" in blocks[0]


def test_everything_that_is_built_in_may_be_used_freely() -> None:
    """Each crate of the lock file has a licence to choose among those permitted."""
    said = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"],
        cwd=CRATES,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    packages = json.loads(said)["packages"]
    assert len(packages) > len(PURE) + 1
    for package in packages:
        licence = package["license"] or ""
        parts = [part.strip(" ()") for part in re.split(r" AND ", licence)]
        assert all({each.strip(" ()") for each in re.split(r" OR |/", part)} & PERMITTED for part in parts), (package["name"], licence)
