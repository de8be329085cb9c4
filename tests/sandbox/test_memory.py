"""What children share lies in large pages where the kernel has them, and takes no more memory than before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

_PROGRAM: Final = """
import json, mmap
from sealcore.platform.sandbox import memory
size = 8 * memory.LARGE_BYTES
full, sparse = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, size, mmap.PAGESIZE):
    full[at:at + 2] = (at // mmap.PAGESIZE).to_bytes(2, "little")
for at in range(0, size, 4 * mmap.PAGESIZE):
    sparse[at] = 1
def told(name):
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
before = told("Rss"), told("AnonHugePages")
gathered = memory.gather()
after = told("Rss"), told("AnonHugePages")
kept = all(full[at:at + 2] == (at // mmap.PAGESIZE).to_bytes(2, "little") for at in range(0, size, mmap.PAGESIZE))
print(json.dumps([gathered, before, after, kept]))
"""


def test_what_is_there_is_gathered_and_what_is_not_takes_no_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    gathered, (rss, _large), (rss_after, large_after), kept = json.loads(done.stdout)
    assert kept, "the bytes stay what they were"
    assert large_after >= gathered * 2048  # a kernel without MADV_COLLAPSE gathers none
    assert rss_after - rss < 8 * 2048 // 2, "what was touched at every fourth page alone was not filled up"


_HOLES: Final = """
import json, mmap
from sealcore.platform.sandbox import memory
def pages(size):
    held = [bytes(size) for _ in range(64)]
    return len({id(each) // mmap.PAGESIZE for each in held})
def strew(size):
    kept = [bytes(size) for _ in range(4000)]
    del kept[::60]
    return kept
strewn = [strew(size) for size in (150, 1500)]
before = [pages(size) for size in (150, 1500)]
filling = memory.fill_holes()
print(json.dumps([before, [pages(size) for size in (150, 1500)], sum(map(len, filling))]))
"""


def test_what_a_child_makes_lies_together_and_not_in_the_holes_between_other_things() -> None:
    done = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True)
    before, after, filling = json.loads(done.stdout)
    assert min(before) > 40, "each on a page of others"
    assert after[0] <= 6, "64 of Python's own of 183 bytes"
    assert after[1] <= 27, "64 of the C library's of 1,533 bytes"
    assert filling < 2_000_000
