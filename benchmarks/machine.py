"""What the run was made on and with, so that a reader knows what the absolute numbers are worth."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import processes
from benchmarks.documents import KINDS
from sealcore import compiled

REPOSITORY = Path(__file__).resolve().parents[1]
GIBIBYTE = 1024**3


def describe(folder: Path, durable: dict[str, str]) -> dict[str, Any]:
    """Machine, versions, durability, the mix. ``folder`` is where the offices were: its file system took the commits."""
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _said("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"),
        "processor": _processor(),
        "cores": processes.cores(),
        "memory_gib": round(psutil.virtual_memory().total / GIBIBYTE, 1),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": file_system(folder),
        "python": platform.python_version(),
        "softhsm": _said("softhsm2-util", "--version"),
        "core": compiled.WHY_NOT or "compiled",
        "packages": {name: version(name) for name in ("grpcio", "cryptography", "python-pkcs11", "sqlalchemy", "pyhanko")},
        "durable": dict(durable),
        "mix": {kind.name: f"{kind.of_ten} of 10, {kind.size_bytes:,} bytes, {kind.pages} page(s)" for kind in KINDS},
    }


def file_system(folder: Path) -> str:
    """The type of the file system that holds ``folder``."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    mounts = sorted(psutil.disk_partitions(all=True), key=lambda mount: len(mount.mountpoint))
    return next((one.fstype for one in reversed(mounts) if existing.is_relative_to(one.mountpoint)), "unknown")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
