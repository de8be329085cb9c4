"""``python -m benchmarks [FIGURE …]``: measures, shows, writes. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from benchmarks import catalogue, charts, machine, report
from benchmarks.bench import Bench, Options
from benchmarks.figure import Figure
from benchmarks.soundness import assert_sound
from sealcore.errors import VermilionError
from vermilion import exits
from vermilion.terminal import console as terminal

RESULTS = Path(__file__).resolve().parent / "results"
STATE = machine.REPOSITORY / "var" / "bench"
IN_MEMORY = ("tmpfs", "ramfs")  # nothing is durable there


def main() -> int:
    """Exit status: 0, 64 for a wrong argument, 130 after Ctrl-C, 70 when a measurement failed. A missed aim is no failure."""
    asked = _arguments().parse_args()
    out = terminal()
    if asked.draw:
        written = json.loads((asked.out / "latest.json").read_text("utf-8"))["figures"]
        charts.draw({name: report.from_json(name, value) for name, value in written.items()}, catalogue.AIMS, asked.out)
        return exits.DONE
    try:
        measures = catalogue.chosen(asked.figures)
    except KeyError as unknown:
        names = ", ".join(measure.name for measure in (*catalogue.MEASURES, *catalogue.ON_DEMAND))
        out.print(f"there is no figure {unknown.args[0]}; there are: {names}")
        return exits.USAGE
    if asked.quick:
        asked.runs, asked.seconds = min(asked.runs, 1), min(asked.seconds, 1.0)
    options = Options(asked.runs, asked.seconds, asked.quick, asked.ports_from, asked.soak_documents)
    _end_like_interrupt()
    try:
        return _measure(measures, options, asked, out)
    except KeyboardInterrupt:
        out.print("stopped; nothing of the benchmark runs any more")
        return exits.INTERRUPTED
    except VermilionError as fault:
        out.print(f"{fault.code}: {fault.reason}", style="invalid")
        return exits.of(fault)


def _measure(measures: list[catalogue.Measure], options: Options, asked: argparse.Namespace, out: Console) -> int:
    began_s, figures, failed = time.monotonic(), list[Figure](), list[str]()
    folder = asked.state / time.strftime("%Y%m%d-%H%M%S")
    report.show_mix(out)
    if machine.file_system(asked.state.parent if not asked.state.exists() else asked.state) in IN_MEMORY:
        out.print(f"{asked.state} is in memory: no commit is durable there, so no figure would count. --state FOLDER", style="invalid")
        return exits.CONFIGURATION
    with Bench(folder, options, out) as bench:
        assert_sound(bench)
        for measure in measures:
            out.print(measure.name, style="title")
            try:
                figures += measure.measure(bench)
            except (RuntimeError, OSError, VermilionError) as fault:  # the others are still worth their time
                failed.append(measure.name)
                bench.keep = True
                out.print(f"  {measure.name} was not measured: {fault}", style="invalid")
        durable = bench.durable
    report.show(out, figures, catalogue.AIMS)
    said = machine.describe(asked.state, durable)
    kept = report.write(asked.out / "latest.json", said, figures)
    drawn = charts.draw(kept, catalogue.AIMS, asked.out)
    out.print(
        f"{asked.out / 'latest.json'} and {len(drawn)} charts beside it, after {(time.monotonic() - began_s) / 60:.0f} min", style="quiet"
    )
    if failed:
        out.print(f"not measured: {', '.join(failed)}; the services' logs are under {folder}", style="invalid")
    return exits.INTERNAL if failed else exits.DONE


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures the office against its own yardsticks.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="which ones (all but soak.rss_growth)")
    parser.add_argument("--runs", type=int, default=3, help="how often each figure and its yardstick take turns")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each of them runs")
    parser.add_argument("--quick", action="store_true", help="one short run of each: does all of it work?")
    parser.add_argument("--soak-documents", type=int, default=200_000, metavar="N", help="how many seals soak.rss_growth makes")
    parser.add_argument("--state", type=Path, default=STATE, metavar="FOLDER", help="where the offices live meanwhile; on a real disk")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where latest.json and the charts go")
    parser.add_argument("--ports-from", type=int, default=12_000, metavar="PORT", help="the first port to try")
    parser.add_argument("--draw", action="store_true", help="measure nothing; draw the charts of latest.json again")
    return parser


def _end_like_interrupt() -> None:
    """SIGTERM and a closed terminal end the run as Ctrl-C does: in order."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


if __name__ == "__main__":
    sys.exit(main())
