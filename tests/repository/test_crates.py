"""The compiled core keeps its borders: who depends on whom, where `unsafe` may stand, what licences come in."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sealcore import compiled
from tests.conftest import REPOSITORY
from tools import crates

CRATES = REPOSITORY / "crates"
PURE = ("lean", "readback", "cms", "proofs", "protocol")


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
    assert set(workspace["members"]) == {*PURE, "binding", "fuzz"}
    for crate in PURE:
        assert manifest(crate)["lints"] == {"workspace": True}
        assert not [path for path in sources(crate) if re.search(r"\bunsafe\b", path.read_text("utf-8"))], crate
    blocks = [
        match
        for path in sources("binding")
        for match in re.findall(r"(?m)^\s*(?:// SAFETY:.*\n(?:\s*//.*\n)*)?\s*unsafe \{", path.read_text("utf-8"))
    ]
    assert len(blocks) == 1 and "SAFETY" in blocks[0]


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "(MIT OR GPL-2.0-only) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
    ],
)
def test_a_licence_that_leaves_a_free_choice_is_taken(licence: str) -> None:
    assert crates.is_free(licence)


@pytest.mark.parametrize(
    "licence",
    [
        *(
            "",
            "GPL-3.0-or-later",
            "LGPL-2.1-only",
            "MPL-2.0",
            "AGPL-3.0-only",
            "BUSL-1.1",
            "SSPL-1.0",
            "LicenseRef-Own",
            "MITX",
            "mit-but-not",
        ),
        *(
            "MIT AND GPL-3.0-only",
            "(MIT OR Apache-2.0) AND NCSA",
            "GPL-3.0-only OR MIT AND MPL-2.0",
            "GPL-2.0-only WITH Classpath-exception-2.0",
        ),
        *("Apache-2.0 WITH Own-exception", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT MIT", "MIT, GPL-3.0-only", "WITH", "AND"),
    ],
)
def test_any_other_licence_is_none(licence: str) -> None:
    assert not crates.is_free(licence)


def changed(crate: str, **values: object) -> list[str]:
    """What is refused where a dependency of the core is different."""
    metadata, lock = whole()
    (package,) = (each for each in metadata["packages"] if each["name"] == crate)
    package.update(values)
    return list(crates.refused(metadata, lock))


def whole() -> tuple[dict[str, Any], dict[str, Any]]:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    said = subprocess.run(command, cwd=CRATES, capture_output=True, text=True, check=True).stdout
    return json.loads(said), tomllib.loads((CRATES / "Cargo.lock").read_text("utf-8"))


def test_everything_that_is_built_in_may_be_used_freely_and_is_pinned() -> None:
    metadata, lock = whole()
    assert len(metadata["packages"]) > 20
    assert crates.main() == 0
    (fault,) = changed("memchr", license="GPL-3.0-only")
    assert fault.startswith("memchr 2") and "GPL-3.0-only" in fault
    assert "not named" in changed("ring", license=None)[0]
    assert "it comes from git+" in changed("sha2", source="git+https://example.com/sha2#0123456")[0]
    assert "it comes from registry+" in changed("sha2", source="registry+https://example.com/index")[0]
    assert "outside of crates/" in changed("vermilion-lean", manifest_path="/elsewhere/Cargo.toml")[0]
    any_version = [{"name": "libc", "req": "*", "path": None}]
    assert "any version of libc" in changed("vermilion-lean", dependencies=any_version)[0]
    del next(each for each in lock["package"] if each["name"] == "pyo3")["checksum"]
    assert "no hash" in next(crates.refused(metadata, lock))


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ('license = "GPL-3.0-only"', "its licence is GPL-3.0-only"),
        ("", "its licence is not named"),
        ('license = "MIT"\n[dependencies]\nlibc = "0.2"', "--locked"),
    ],
)
def test_a_crate_that_may_not_come_in_ends_the_check(
    manifest: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `make lint` runs it."""
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.rs").touch()
    own = '[workspace]\n[package]\nname = "own"\nversion = "1.0.0"\n'
    (tmp_path / "Cargo.toml").write_text(own + 'license = "MIT"\n')
    (tmp_path / "Cargo.lock").write_text('version = 4\n[[package]]\nname = "own"\nversion = "1.0.0"\n')
    assert crates.main(tmp_path) == 0
    (tmp_path / "Cargo.toml").write_text(own + manifest + "\n")
    assert crates.main(tmp_path) == 1
    assert told in capsys.readouterr().err
