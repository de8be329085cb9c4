"""Writes docs/errors.md from the registry of codes. Run by `make docs`."""

from __future__ import annotations

from pathlib import Path

from sealcore.errors import REGISTRY

HEAD = """# Error codes

One registry for every door: gRPC status details, problem+json, the command line and reports carry the same code, and a
code never changes its meaning. *Kind* decides the gRPC and HTTP status; `busy` and `unavailable` mean that the very same
request may be sent again and continues where it stood.

| code | kind | rule | way out |
| --- | --- | --- | --- |
"""


def main() -> None:
    """Writes the page beside this file."""
    rows = "".join(f"| `{code}` | {row.kind} | {row.rule} | {row.way_out} |\n" for code, row in REGISTRY.items())
    (Path(__file__).parent / "errors.md").write_text(HEAD + rows, "utf-8")


if __name__ == "__main__":
    main()
