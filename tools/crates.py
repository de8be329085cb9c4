"""What comes into the compiled core: ``python -m tools.crates`` says which of its dependencies may not, and ends with 1 then.

Each has a licence that lets anybody use the core freely, comes from crates.io, and is pinned by its hash.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

CRATES: Final = Path(__file__).resolve().parents[1] / "crates"
PERMITTED: Final = frozenset(
    {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Zlib", "0BSD", "BSD-3-Clause", "ISC", "Unlicense", "Unicode-3.0"}
)
BESIDE: Final = {"libfuzzer-sys": frozenset({"NCSA"})}  # for the fuzz targets; nothing of it is in the core
REGISTRY: Final = "registry+https://github.com/rust-lang/crates.io-index"
_WORD: Final = re.compile(r"[()/]|[^\s()/]+")


def is_free(licence: str, permitted: frozenset[str] = PERMITTED) -> bool:
    """Whether an SPDX expression (or the older `A/B`) leaves a choice that is permitted; AND binds tighter than OR. False if it is none."""
    tokens = ["OR" if word == "/" else word for word in _WORD.findall(licence)]

    def alternatives() -> bool:
        free = together()
        while tokens[:1] == ["OR"]:
            del tokens[0]
            free = together() or free
        return free

    def together() -> bool:
        free = one()
        while tokens[:1] == ["AND"]:
            del tokens[0]
            free = one() and free
        return free

    def one() -> bool:
        name = tokens.pop(0)
        if name == "(":
            free = alternatives()
            return tokens.pop(0) == ")" and free
        if tokens[:1] == ["WITH"]:
            name = f"{name} WITH {tokens[1]}"
            del tokens[:2]
        return name in permitted

    try:
        return alternatives() and not tokens
    except IndexError:
        return False


def refused(metadata: Mapping[str, Any], lock: Mapping[str, Any]) -> Iterator[str]:
    """What may not be there, of what ``cargo metadata`` says and the lock file has."""
    for package in metadata["packages"]:
        name, source, licence = f"{package['name']} {package['version']}", package["source"], package["license"] or ""
        if not is_free(licence, PERMITTED | BESIDE.get(package["name"], frozenset())):
            yield f"{name}: its licence is {licence or 'not named'}"
        if source is not None and source != REGISTRY:
            yield f"{name}: it comes from {source}"
        if source is None:
            if not any(Path(package["manifest_path"]).is_relative_to(home) for home in (CRATES, metadata["workspace_root"])):
                yield f"{name}: it lies outside of crates/"
            unpinned = [each["name"] for each in package["dependencies"] if each["req"] == "*" and not each.get("path")]
            yield from (f"{name}: it takes any version of {each}" for each in unpinned)
    for package in lock["package"]:
        if "source" in package and "checksum" not in package:
            yield f"{package['name']} {package['version']}: the lock file has no hash of it"


def checked(crates: Path) -> list[str]:
    """The same of a folder with a Cargo.toml and a Cargo.lock, which must fit each other."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", str(crates / "Cargo.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [f"{done.stderr.strip()}"]
    return list(refused(json.loads(done.stdout), tomllib.loads((crates / "Cargo.lock").read_text("utf-8"))))


def main(crates: Path = CRATES) -> int:
    """Exit status 1 where something may not be there, which it names."""
    faults = checked(crates)
    for fault in faults:
        print(f"crates: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
