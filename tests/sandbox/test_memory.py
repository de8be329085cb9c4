"""What children share lies in large pages where the kernel has them, and takes no more memory than before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

_PROGRAM: Final = """
import json, mmap
from sealcore.platform.sandbox import large_pages
size = 8 * large_pages.LARGE_BYTES
full, sparse = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, size, mmap.PAGESIZE):
    full[at:at + 2] = (at // mmap.PAGESIZE).to_bytes(2, "little")
for at in range(0, size, 4 * mmap.PAGESIZE):
    sparse[at] = 1
def told(name):
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
before = told("Rss"), told("AnonHugePages")
gathered = large_pages.gather()
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
