"""What a run says at its end: the table on the terminal, and results/latest.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.documents import KINDS
from benchmarks.figure import Aim, Figure
from vermilion.terminal import VERMILION


def show_mix(console: Console) -> None:
    """The load: the shares of the mix in one place."""
    _title(console, "The load: every document distinct; half classic, half cross-reference streams; half of the seals visible")
    table = _table()
    for head in ("class", "of ten", "size", "pages"):
        table.add_column(head, justify="left" if head == "class" else "right")
    for kind in KINDS:
        table.add_row(kind.name, str(kind.of_ten), f"{kind.size_bytes:,} B", str(kind.pages))
    console.print(table)


def show(console: Console, figures: Sequence[Figure], aims: Sequence[Aim]) -> None:
    """Figures that have an aim first, with whether they keep it; then what they came from."""
    by_name = {figure.name: figure for figure in figures}
    table = _table()
    for head in ("figure", "median", "least … most", "unit", "aim", ""):
        table.add_column(head, justify="left" if head in ("figure", "unit", "") else "right", no_wrap=True)
    for aim in aims:
        if (figure := by_name.pop(aim.figure, None)) is not None:
            table.add_row(*_cells(figure), str(aim), _verdict(aim.met(figure)))
    if table.rows:
        _title(console, "Figures: medians of runs that took turns with their yardsticks")
        console.print(table)
    if by_name:
        _title(console, "Behind them")
        rest = _table()
        for head in ("figure", "median", "least … most", "unit"):
            rest.add_column(head, justify="left" if head in ("figure", "unit") else "right", no_wrap=True)
        for figure in by_name.values():
            rest.add_row(*_cells(figure))
        console.print(rest)


def write(file: Path, machine: Mapping[str, Any], figures: Sequence[Figure]) -> dict[str, Figure]:
    """Writes the results; answers all figures that the file has then.

    A run over a part of the figures keeps the others of the same commit and machine, since each figure is a ratio within its own
    run; anything else starts anew.
    """
    kept: dict[str, Figure] = {}
    if file.exists():
        before = json.loads(file.read_text("utf-8"))
        if all(before["machine"].get(key) == machine.get(key) for key in ("commit", "processor", "cores", "python")):
            kept = {name: from_json(name, value) for name, value in before["figures"].items()}
    merged = kept | {figure.name: figure for figure in figures}
    written = {"machine": dict(machine), "figures": {name: figure.as_json() for name, figure in merged.items()}}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return merged


def from_json(name: str, value: Mapping[str, Any]) -> Figure:
    """A figure as ``write`` wrote it."""
    return Figure(name, value["value"], value["min"], value["max"], value["unit"])


def _title(console: Console, words: str) -> None:
    console.print()
    console.print(words, style=f"bold {VERMILION}")


def _table() -> Table:
    return Table(header_style="quiet", box=None, padding=(0, 2, 0, 0), pad_edge=False)


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    return figure.name, _number(figure.value), f"{_number(figure.minimum)} … {_number(figure.maximum)}", figure.unit


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _verdict(met: bool) -> Text:
    return Text("✓ met", "valid") if met else Text("✗ missed", "undetermined")
