"""Long-term proof for released files: the product's own extension, as `vermilion extend` runs it, measured in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from longterm.augmenter import Aim
from longterm.model import Level
from vermilion.state.office import find
from vermilion.use_cases.extending import Job, Means, Word, extender

FILES_AT_ONCE = 4  # what the command has without `--jobs`


@dataclass(frozen=True)
class Extended:
    """What was done in a turn: files a second, and CPU seconds a file."""

    per_s: float
    cpu_s: float


class Ours:
    """Runs in a helper process; context manager. Every turn is a run of the command: it begins with nothing fetched."""

    def __init__(self, state: Path, files: list[Path], out: Path) -> None:
        layout, office = find(state)
        self._means = Means.of(layout, office, anchors=[], tsa=None, hosts=[])
        self._files, self._out = files, out
        self._round = 0

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None: ...

    def extend_for(self, seconds: float) -> Extended:
        """Extends all files to B-LTA, over and over, for so long; RuntimeError when one of them does not get there."""
        done, began_s, cpu_s = 0, time.monotonic(), time.process_time()
        with extender(self._means, Aim(Level.B_LTA), at_once=FILES_AT_ONCE) as runner:
            while (elapsed_s := time.monotonic() - began_s) < seconds or not done:
                for one in runner.run(self._jobs(), report=lambda _done: None):
                    if one.word is not Word.EXTENDED or one.level is not Level.B_LTA:
                        raise RuntimeError(f"{one.job.source.name} was not extended to B-LTA: {one.word}, {one.level}, {one.fault}")
                    done += 1
        return Extended(done / elapsed_s, (time.process_time() - cpu_s) / done)

    def levels(self, files: list[Path]) -> list[str]:
        """At what levels files are, as they stand."""
        with extender(self._means, Aim(Level.B_LTA), at_once=1) as runner:
            found = [runner.extend(Job(file, file.with_suffix(".again.pdf"), named=True)) for file in files]
        return [str(one.before or one.fault) for one in found]

    def _jobs(self) -> list[Job]:
        """The same files, to places where none has been written yet."""
        self._round += 1
        folder = self._out / f"{self._round:06d}"
        folder.mkdir(parents=True)
        return [Job(file, folder / file.name, named=True) for file in self._files]
