"""A log that cannot be written costs its lines and nothing else: no work fails over it, and none waits for it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sealcore.platform.log_stream import LogStream

# Says more than any pipe holds, in every way that a service says something; then, on standard output, that it came to its end.
PROGRAM = """
import json, logging, sys, threading, warnings
from sealcore.platform import log
from sealcore.platform.service import hold_standard_descriptors
hold_standard_descriptors()
log.configure("signer")
mine, lib = log.get("engine"), logging.getLogger("lib")
opened = open("data", "wb", buffering=0)  # gets the first number that is free

class Unsayable:
    def __str__(self):
        raise RuntimeError("no words")
    __repr__ = __str__

def say():
    for number in range(500):
        mine.info("batch", number=number, more="x" * 200)
        lib.warning("a library warns %d", number)
    try:
        raise ValueError("inside")
    except ValueError as fault:
        mine.error("fault", exc_info=fault, what=Unsayable())
        lib.exception("failed %d", "no number")

threads = [threading.Thread(target=say) for _ in range(2)]
for each in threads:
    each.start()
for each in threads:
    each.join()
lost = log.lost()
json.dump({"lines": lost.lines, "why": lost.why, "data": opened.tell()}, sys.stdout)
"""


def said(folder: Path, stderr: int | None, *, closed: bool = False) -> dict[str, object]:
    """What the program says at its end, with this standard error."""
    shut: Callable[[], None] | None = (lambda: os.close(2)) if closed else None
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=stderr,
        preexec_fn=shut,
        timeout=60,
        check=True,
        cwd=folder,
    )
    told: dict[str, object] = json.loads(done.stdout)
    assert told["data"] == 0, "a file of the program's own got log lines"
    return told


@contextmanager
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def nobody_reads() -> Iterator[int]:
    reading, writing = os.pipe()
    yield writing
    os.close(reading)
    os.close(writing)


@contextmanager
def reader_gone() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def terminal_gone() -> Iterator[int]:
    controller, terminal = pty.openpty()
    os.close(controller)
    yield terminal
    os.close(terminal)


@contextmanager
def terminal_held() -> Iterator[int]:
    controller, terminal = pty.openpty()
    yield terminal  # as after Ctrl-S: nobody takes what it shows
    os.close(controller)
    os.close(terminal)


@contextmanager
def journal_hangs() -> Iterator[int]:
    ours, theirs = socket.socketpair()
    yield theirs.fileno()
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("where", "least", "why"),
    [
        (full, 1000, os.strerror(errno.ENOSPC)),
        (nobody_reads, 500, os.strerror(errno.EAGAIN)),
        (reader_gone, 1000, os.strerror(errno.EPIPE)),
        (terminal_gone, 1000, os.strerror(errno.EIO)),
        (terminal_held, 500, os.strerror(errno.EAGAIN)),
        (journal_hangs, 200, os.strerror(errno.EAGAIN)),
    ],
)
def test_work_goes_on_whatever_becomes_of_its_log(
    where: Callable[[], AbstractContextManager[int]], least: int, why: str, tmp_path: Path
) -> None:
    with where() as stderr:
        told = said(tmp_path, stderr)
    assert isinstance(told["lines"], int) and told["lines"] >= least
    assert told["why"] in (why, "TypeError", "RuntimeError")  # the last line of all may be one that could not be made


def test_a_process_that_begins_without_standard_error_logs_into_no_file_of_its_own(tmp_path: Path) -> None:
    assert isinstance(said(tmp_path, None, closed=True)["lines"], int)


def test_what_a_slow_reader_gets_is_whole_lines_and_the_flag_is_not_set_for_others() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    stream = LogStream(writing)
    for _ in range(3):
        for number in range(10):
            stream.write(f"{number} {'x' * 3000}\n")
        assert os.get_blocking(writing)
        data = os.read(reading, 65536)
        assert data.endswith(b"\n") and {len(line) for line in data.splitlines()} == {3002}
    lost = stream.lost
    assert lost is not None and lost.lines == 27 and lost.still
    stream.write("again\n")
    assert os.read(reading, 100) == b"again\n"
    lost = stream.lost
    assert lost is not None and lost.lines == 27 and not lost.still
    os.close(reading)
    os.close(writing)


def test_a_line_that_is_cut_off_does_not_spoil_the_next_one() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    stream = LogStream(writing)
    stream.write("x" * 20_000 + "\n")  # longer than the pipe takes at once
    cut_off = os.read(reading, 65536)
    assert 0 < len(cut_off) < 20_000
    stream.write("whole\n")
    assert os.read(reading, 100) == b"\nwhole\n"
    os.close(reading)
    os.close(writing)


def test_lines_of_many_threads_are_whole() -> None:
    reading, writing = os.pipe()
    stream = LogStream(writing)
    threads = [threading.Thread(target=lambda: [stream.write("y" * 100 + "\n") for _ in range(50)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    data = os.read(reading, 65536)
    assert len(data) == 4 * 50 * 101 and {len(line) for line in data.splitlines()} == {100}
    assert stream.lost is None
    os.close(reading)
    os.close(writing)
