"""Pictures of the figures in the office's colours, drawn from what latest.json holds: charts.draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from benchmarks.documents import KINDS
from benchmarks.figure import Aim, Figure
from vermilion.terminal import AMBER, GREEN, VERMILION

PAPER, INK, HAIRLINE, GREY, LIGHT = "#FBFAF7", "#1C1B19", "#DDD9D0", "#8C877D", "#C9C4B8"
STAGES = ("wire", "gate", "intend", "prepare", "sign", "timestamp", "assemble", "read_back", "commit", "release")
WITH_HSM = ("sign", "timestamp", "workers")
TICKS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20)
DPI = 144
Figures = Mapping[str, Figure]

_STYLE: Any = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": HAIRLINE,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titlepad": 14,
    "font.size": 10,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def draw(figures: Figures, aims: Sequence[Aim], folder: Path) -> list[Path]:
    """Draws what the figures are there for; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with plt.rc_context(_STYLE):
        pictures = {
            "aims": _aims(figures, aims),
            "throughput": _throughput(figures),
            "cpu": _cpu(figures),
            "interactive": _interactive(figures),
        }
        for name, picture in pictures.items():
            if picture is not None:
                file = folder / f"{name}.png"
                picture.savefig(file, dpi=DPI, bbox_inches="tight", pad_inches=0.3)
                plt.close(picture)
                drawn.append(file)
    return drawn


def _aims(figures: Figures, aims: Sequence[Aim]) -> Any:
    """Each figure over its aim, so that 1 is the aim and right of it is better; the line is from the least to the most run."""
    shown = [(aim, figures[aim.figure]) for aim in aims if aim.figure in figures]
    if not shown:
        return None
    picture, axes = plt.subplots(figsize=(8.6, 0.9 + 0.38 * len(shown)))
    rows = range(len(shown) - 1, -1, -1)
    for row, (aim, figure) in zip(rows, shown, strict=True):
        low, middle, high = (_score(aim, value) for value in (figure.minimum, figure.value, figure.maximum))
        met = aim.met(figure)
        axes.plot([low, high], [row, row], color=LIGHT, linewidth=3, solid_capstyle="round", zorder=2)
        axes.plot(middle, row, "o" if met else "D", color=GREEN if met else AMBER, markersize=7, zorder=3)
        said = f"{_number(figure.value)}{'' if figure.unit == 'ratio' else ' ' + figure.unit}   aim {aim}   {'met' if met else 'missed'}"
        axes.text(1.02, row, said, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK if met else AMBER)
    axes.axvline(1, color=VERMILION, linewidth=1.2, zorder=1)
    axes.set_xscale("log")
    lowest, highest = axes.get_xlim()
    ticks = [tick for tick in TICKS if lowest <= tick <= highest]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(list(rows), [aim.figure for aim, _ in shown])
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_title("Figures over their aims (the line at 1×; right is better)")
    return picture


def _score(aim: Aim, value: float) -> float:
    value = max(value, 1e-6)
    return value / aim.value if aim.relation == "≥" else aim.value / value


def _throughput(figures: Figures) -> Any:
    """Sealed documents a second in front of the HSM limit that was measured around them."""
    algorithms = [(name, title) for name, title in (("rsa2048", "RSA-2048"), ("p256", "P-256")) if f"{name}.documents" in figures]
    if not algorithms:
        return None
    picture, all_axes = plt.subplots(1, len(algorithms), figsize=(4.6 * len(algorithms), 3.6), squeeze=False)
    classes = ["mix", *(kind.name for kind in KINDS)]
    for axes, (name, title) in zip(all_axes[0], algorithms, strict=True):
        for place, what in enumerate(classes):
            prefix = name if what == "mix" else f"{name}.{what}"
            documents, limit = figures.get(f"{prefix}.documents"), figures.get(f"{prefix}.hsm_limit")
            if documents is None or limit is None:
                continue
            axes.bar(place, limit.value, width=0.62, color=HAIRLINE, label="HSM limit" if place == 0 else None)
            axes.bar(place, documents.value, width=0.62, color=VERMILION, label="sealed documents" if place == 0 else None)
            share = f"{figures[f'{prefix}.of_limit'].value:.0%}"
            axes.text(place, documents.value, share, ha="center", va="bottom", fontsize=9)
        axes.set_xticks(range(len(classes)), classes)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.set_title(f"{title}, a second")
        axes.spines["left"].set_visible(False)
    handles, labels = all_axes[0][0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="lower center", ncols=2, frameon=False, bbox_to_anchor=(0.5, -0.08))
    picture.subplots_adjust(wspace=0.28)
    return picture


def _cpu(figures: Figures) -> Any:
    """Where the signer's CPU goes for a small document."""
    prefix = "cpu_ms_per_document"
    rows = [(name.replace("_", " "), figures[f"{prefix}.stage.{name}"]) for name in STAGES if f"{prefix}.stage.{name}" in figures]
    if not rows:
        rows = [(name, figures[f"{prefix}.{name}"]) for name in ("front", "workers", "sandboxes") if f"{prefix}.{name}" in figures]
    if not rows:
        return None
    picture, axes = plt.subplots(figsize=(7.6, 0.9 + 0.36 * len(rows)))
    places = range(len(rows) - 1, -1, -1)
    edge = 1800 * max((figure.value for name, figure in rows if name not in WITH_HSM), default=1.0)  # the HSM's bars go beyond it
    for place, (name, figure) in zip(places, rows, strict=True):
        micros, with_hsm = figure.value * 1000, name in WITH_HSM
        axes.barh(place, min(micros, edge), height=0.6, color=LIGHT if with_hsm else VERMILION)
        said = f"  {micros:,.0f} µs{' with the HSM' if with_hsm else ''}{' →' if micros > edge else ''}"
        axes.text(0 if micros > edge else micros, place, said, va="center", fontsize=9)
    axes.set_xlim(0, edge)
    axes.set_yticks(list(places), [name for name, _ in rows])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("µs of CPU a small document", color=GREY)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    besides = figures[prefix].value * 1000
    axes.set_title(f"CPU of the signer by stage; {besides:,.0f} µs besides the HSM")
    return picture


def _interactive(figures: Figures) -> Any:
    """Waiting times of one-document calls."""
    rows = [("nothing else, median", "idle"), ("beside bulk, median", "p50"), ("beside bulk, 90 %", "p90"), ("beside bulk, 99 %", "p99")]
    found = [(title, figures[f"interactive.{name}_ms"]) for title, name in rows if f"interactive.{name}_ms" in figures]
    if not found:
        return None
    picture, axes = plt.subplots(figsize=(7.6, 0.9 + 0.4 * len(found)))
    places = range(len(found) - 1, -1, -1)
    for place, (_, figure) in zip(places, found, strict=True):
        axes.barh(place, figure.value, height=0.6, color=LIGHT if place == len(found) - 1 else VERMILION)
        axes.plot([figure.minimum, figure.maximum], [place, place], color=INK, linewidth=1)
        axes.text(max(figure.value, figure.maximum), place, f"  {_number(figure.value)} ms", va="center", fontsize=9)
    axes.set_yticks(list(places), [title for title, _ in found])
    axes.margins(x=0.15)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_title("Waiting time of one-document calls, ms")
    return picture


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
