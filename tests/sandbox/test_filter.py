"""The filter of system calls is made before the fork, but for one number: that of the process itself, which it learns at its begin."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from sealcore.platform.walls import seccomp

_STEP: Final = struct.Struct("=HBBI")  # struct sock_filter
_PROGRAM: Final = """
import os, signal
from sealcore.platform.walls import kernel, seccomp
program = seccomp.program(may_open=False)
kernel.no_new_privileges()
children = []
for _ in range(2):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        seccomp.restrict(program)
        said = b""
        for number in (os.getpid(), os.getppid(), 1, -1, 0, %d):
            try:
                os.kill(number, 0)
                said += b"y"
            except OSError:
                said += b"n"
        os.write(writing, said)
        os._exit(0)
    os.waitpid(pid, 0)
    children.append(os.read(reading, 10).decode())
print(*children)
"""


@pytest.mark.parametrize("may_open", [True, False])
def test_the_number_of_nobody_stands_where_the_process_names_itself_and_nowhere_else(may_open: bool) -> None:
    program = seccomp.program(may_open=may_open)
    steps = list(_STEP.iter_unpack(program))
    compared = [step for step in steps if step[3] == seccomp._OWN_PID]
    assert len(compared) == 3, "limits, kill, tgkill"
    assert {code for code, *_rest in compared} == {0x15}, "each is compared with"
    assert program.count(struct.pack("=I", seccomp._OWN_PID)) == 3, "and nothing else of the program is taken for it"
    assert int(Path("/proc/sys/kernel/pid_max").read_text("ascii")) < seccomp._OWN_PID


def test_a_process_may_signal_itself_and_nobody_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM % seccomp._OWN_PID], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.split() == ["ynnnnn", "ynnnnn"]
