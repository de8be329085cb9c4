"""Installed from a wheel into an empty environment on a machine without Rust: the wheel's core runs, or its absence is said."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import EXAMPLES, REPOSITORY
from vermilion import exits

LONGEST_S = 1500.0
RUST = {"cargo", "rustc", "rustup"}
NOT_BUILT_FROM = ("crates/rustfmt.toml", "crates/fuzz/pdf.dict")

pytestmark = pytest.mark.timeout(2 * LONGEST_S)


def _run(*command: str | Path, cwd: Path, path: str | None = None, **environment: str) -> str:
    """Its output; it must end well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    told = {**kept, **({"PATH": path} if path else {}), **environment}
    done = subprocess.run(command, cwd=cwd, env=told, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == exits.DONE, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def without_rust(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which is all that this machine has, but for Rust."""
    folder = tmp_path_factory.mktemp("bin")
    for place in map(Path, os.environ["PATH"].split(":")):
        for program in place.iterdir() if place.is_dir() else ():
            if program.name not in RUST and not os.path.lexists(folder / program.name):
                (folder / program.name).symlink_to(program)
    assert shutil.which("cc", path=str(folder)) and not shutil.which("cargo", path=str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the project, new ones too."""
    said = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY)
    return [name for name in said.split("\0") if name and (REPOSITORY / name).exists()]


@pytest.fixture(scope="module")
def source(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of a clean checkout, unpacked."""
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("source")
    for name in tracked:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, checkout / name)
    (checkout / "crates" / "target").mkdir()
    (checkout / "crates" / "target" / "left.rs").write_text("// of an earlier build")
    _run(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})", cwd=checkout)
    (archive,) = out.iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(out, filter="data")
    return out / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, without_rust: str) -> Path:
    """A virtual environment with the pinned packages and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    _run(sys.executable, "-m", "venv", folder, cwd=folder)
    lock = ("--require-hashes", "--only-binary", ":all:", "-r", REPOSITORY / "requirements.lock")
    _run(folder / "bin" / "python", "-m", "pip", "-q", "install", *lock, cwd=folder, path=without_rust)
    return folder


def _wheel(source: Path, out: Path, path: str | None = None, **environment: str) -> Path:
    _run(sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", out, ".", cwd=source, path=path, **environment)
    (wheel,) = out.iterdir()
    return wheel


def _sealed_with(wheel: Path, environment: Path, path: str, folder: Path) -> tuple[str, str]:
    """Installs it and seals the examples that it brings: what doctor says of the core, and the signer's log."""
    bin_ = environment / "bin"
    _run(bin_ / "python", "-m", "pip", "-q", "install", "--no-deps", "--no-index", "--force-reinstall", wheel, cwd=folder, path=path)
    state = folder / "var"
    ports = str(random.randrange(20_000, 31_000, 20))
    told = ("--state", state, "--out", folder / "out", "--ports-from", ports)
    _run(bin_ / "vermilion", "demo", *told, cwd=folder, path=path)
    report = json.loads((folder / "out" / "demo" / "report.json").read_text("utf-8"))
    assert report["documents"] == len(list(EXAMPLES.glob("*.pdf")))
    assert report["sealed"] == report["valid"] > 5
    doctor = subprocess.run([bin_ / "vermilion", "doctor", "--state", state, "--json"], capture_output=True, text=True, check=False)
    (core,) = [one for one in json.loads(doctor.stdout) if one["check"] == "Compiled core"]
    return core["health"], (state / "log" / "signer.log").read_text("utf-8")


def test_the_source_distribution_has_what_builds_the_core(source: Path, tracked: list[str]) -> None:
    wanted = {name for name in tracked if name.startswith("crates/") and not name.startswith(NOT_BUILT_FROM)}
    packed = {str(path.relative_to(source)) for path in (source / "crates").rglob("*") if path.is_file()}
    assert "crates/Cargo.lock" in packed and "crates/binding/src/lib.rs" in packed
    assert packed == wanted


def test_a_wheel_with_the_core_works_where_there_is_no_rust(source: Path, environment: Path, without_rust: str, tmp_path: Path) -> None:
    wheel = _wheel(source, tmp_path / "wheel")
    assert wheel.name.split("-")[2:4] == ["cp311", "abi3"]
    health, log = _sealed_with(wheel, environment, without_rust, tmp_path)
    assert health == "well"
    assert "the compiled core" in log


def test_without_rust_the_wheel_is_pure_and_works(source: Path, environment: Path, without_rust: str, tmp_path: Path) -> None:
    """Also from a folder in which there was Rust before."""
    left = source / "build" / f"lib.{sys.platform}-x86_64-cpython-3{sys.version_info.minor}" / "sealcore" / "compiled" / "core.abi3.so"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    wheel = _wheel(source, tmp_path / "wheel", without_rust)
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert not [name for name in packed.namelist() if name.endswith(".so")]
    health, log = _sealed_with(wheel, environment, without_rust, tmp_path)
    assert health == "warning"
    assert "it is not built" in log and "the compiled core" not in log


def test_where_no_crates_can_be_had_the_wheel_is_pure(source: Path, tmp_path: Path) -> None:
    home = tmp_path / "cargo"
    home.mkdir()
    offline = {"CARGO_HOME": str(home), "CARGO_NET_OFFLINE": "true", "CARGO_TARGET_DIR": str(tmp_path / "target")}
    assert _wheel(source, tmp_path / "wheel", **offline).name.endswith("-py3-none-any.whl")
