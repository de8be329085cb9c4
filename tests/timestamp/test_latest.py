"""The unit's latest time: shared by processes, kept over restarts."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from timestamp.latest import Latest, SharedLatest

ACCURACY_US = 1_000_000

_ANOTHER_PROCESS = """
import random, sys, time
from pathlib import Path
from timestamp.latest import SharedLatest
latest = SharedLatest(Path(sys.argv[1]))
sys.stdin.readline()
for _ in range(2000):
    before = time.monotonic_ns()
    told = latest.advance(lambda: time.time_ns() // 1000 + random.randint(-200_000, 200_000), lambda _: None, 1_000_000)
    print(before, time.monotonic_ns(), told)
"""


def advance(latest: Latest, now_us: int) -> int:
    return latest.advance(lambda: now_us, lambda _time_us: None, ACCURACY_US)


def test_no_process_is_told_less_than_what_another_was_told_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ANOTHER_PROCESS, str(tmp_path / "latest")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    with ThreadPoolExecutor(len(processes)) as pool:
        printed = list(pool.map(lambda process: process.communicate("go\n", timeout=60)[0], processes))
    told = [tuple(map(int, line.split())) for output in printed for line in output.splitlines()]
    assert len(told) == 6000
    by_begin, by_end = sorted(told), sorted(told, key=lambda each: each[1])
    ended, highest = 0, 0
    for begun_ns, _ended_ns, time_us in by_begin:
        while by_end[ended][1] < begun_ns:
            highest = max(highest, by_end[ended][2])
            ended += 1
        assert time_us >= highest


@pytest.mark.parametrize("shared", [False, True])
def test_threads_are_told_ever_later_times(shared: bool, tmp_path: Path) -> None:
    latest = SharedLatest(tmp_path / "latest") if shared else Latest()
    start_us = 1_800_000_000_000_000
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda i: advance(latest, start_us + i + random.randint(-500, 500)), range(2000)))
    assert max(told) <= start_us + 2500 and advance(latest, start_us) == max(told)
    latest.close()


def test_it_is_kept_over_restarts(tmp_path: Path) -> None:
    first = SharedLatest(tmp_path / "latest")
    assert advance(first, 5_000_000) == 5_000_000
    first.close()
    second = SharedLatest(tmp_path / "latest")
    assert advance(second, 4_500_000) == 5_000_000
    with pytest.raises(VermilionError, match=r"1\.5 s") as refused:
        advance(second, 3_500_000)
    assert refused.value.code is Code.TIMESTAMP_UNAVAILABLE
    second.close()


def test_a_refused_time_is_not_kept() -> None:
    latest = Latest()

    def refuse(_time_us: int) -> None:
        raise VermilionError(Code.TIMESTAMP_UNAVAILABLE, "the certificate is not valid then")

    with pytest.raises(VermilionError):
        latest.advance(lambda: 9_000_000, refuse, ACCURACY_US)
    assert advance(latest, 1_000_000) == 1_000_000


def test_a_file_that_cannot_be_had_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(VermilionError) as refused:
        SharedLatest(tmp_path / "absent" / "latest")
    assert refused.value.code is Code.CONFIGURATION_INVALID
