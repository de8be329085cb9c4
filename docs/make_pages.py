"""Writes what docs/ has from the code: errors.md and schemas/ of verification reports and plans. Run by `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from sealcore.errors import REGISTRY
from verify.report import schema
from vermilion.planning.model import schema as plan_schema

HERE = Path(__file__).parent

HEAD = """# Error codes

One registry for every door: gRPC status details, problem+json, the command line and reports carry the same code, and a
code never changes its meaning. *Kind* decides the gRPC and HTTP status; `busy` and `unavailable` mean that the very same
request may be sent again and continues where it stood.

| code | kind | rule | way out |
| --- | --- | --- | --- |
"""


def main() -> None:
    """Writes them beside this file."""
    rows = "".join(f"| `{code}` | {row.kind} | {row.rule} | {row.way_out} |\n" for code, row in REGISTRY.items())
    (HERE / "errors.md").write_text(HEAD + rows, "utf-8")
    for name, made in (("verification-report", schema()), ("office-plan", plan_schema())):
        (HERE / "schemas" / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
