"""Figures, aims, the table, latest.json and the charts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import catalogue, charts, report
from benchmarks.figure import Aim, Figure, percentile
from vermilion import terminal

MACHINE = {"commit": "abc", "processor": "p", "cores": 2, "python": "3.11.9"}


def test_a_figure_is_the_median_with_least_and_most() -> None:
    figure = Figure.of("a.b", [3.0, 1.0, 2.5])
    assert figure.as_json() == {"value": 2.5, "min": 1.0, "max": 3.0, "unit": "ratio"}


@pytest.mark.parametrize(("relation", "value", "met"), [("≥", 0.8, True), ("≥", 0.81, False), ("≤", 0.8, True), ("≤", 0.79, False)])
def test_an_aim_is_met_at_its_very_value(relation: str, value: float, met: bool) -> None:
    assert Aim("x", relation, value).met(Figure.of("x", [0.8])) is met  # type: ignore[arg-type]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 301)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (150.0, 297.0, 7.0)


def test_every_aim_belongs_to_a_figure_that_something_measures() -> None:
    assert all(len(catalogue.chosen([aim.figure])) == 1 for aim in catalogue.AIMS)


def test_part_of_a_name_chooses_all_that_begin_with_it() -> None:
    assert [one.name for one in catalogue.chosen(["p256"])] == ["p256.of_limit", "p256.vs_pyhanko"]
    assert [one.name for one in catalogue.chosen(["interactive.p99_ms"])] == ["interactive"]
    assert "soak.rss_growth" not in [one.name for one in catalogue.chosen([])]
    with pytest.raises(KeyError, match="speed"):
        catalogue.chosen(["speed"])


def test_the_table_says_which_aims_are_missed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    figures = [Figure.of("rsa2048.of_limit", [0.5]), Figure.of("p256.of_limit", [0.6]), Figure.of("other", [1.0])]
    report.show(terminal.console(), figures, catalogue.AIMS)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("rsa2048.of_limit")).rstrip().endswith("≥ 0.8  ✗ missed")
    assert next(line for line in lines if line.startswith("p256.of_limit")).rstrip().endswith("≥ 0.4  ✓ met")
    assert any(line.startswith("other") for line in lines)


def test_results_have_exactly_the_agreed_form(tmp_path: Path) -> None:
    report.write(tmp_path / "latest.json", MACHINE, [Figure.of("rsa2048.of_limit", [0.8, 0.82, 0.81])])
    written = json.loads((tmp_path / "latest.json").read_text("utf-8"))
    assert written == {"machine": MACHINE, "figures": {"rsa2048.of_limit": {"value": 0.81, "min": 0.8, "max": 0.82, "unit": "ratio"}}}


def test_a_partial_run_keeps_the_other_figures_of_the_same_commit_only(tmp_path: Path) -> None:
    file = tmp_path / "latest.json"
    report.write(file, MACHINE, [Figure.of("a", [1.0]), Figure.of("b", [1.0])])
    assert report.write(file, MACHINE, [Figure.of("b", [2.0])]).keys() == {"a", "b"}
    assert json.loads(file.read_text("utf-8"))["figures"]["b"]["value"] == 2.0
    assert report.write(file, {**MACHINE, "commit": "def"}, [Figure.of("c", [1.0])]).keys() == {"c"}


def test_charts_are_pictures_and_only_of_what_is_there(tmp_path: Path) -> None:
    figures = {name: Figure.of(name, [1.0, 1.2]) for name in ("rsa2048.of_limit", "rsa2048.documents", "rsa2048.hsm_limit")}
    drawn = charts.draw(figures, catalogue.AIMS, tmp_path)
    assert [file.name for file in drawn] == ["aims.png", "throughput.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG\r\n") and file.stat().st_size > 5_000 for file in drawn)
