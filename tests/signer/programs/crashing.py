"""The signer as it is, but for one thing: when a step of a document's way is done for the n-th time, its processes are killed.

python crashing.py STEP N all|worker --config FILE

``all`` kills front and worker, as a power failure would; ``worker`` kills the worker alone, once, and its successors live.
"""

import itertools
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

from sealcore.service import main
from signer.app import build
from signer.settings import SignerSettings
from signer.worker import process

step, times, who = sys.argv[1], int(sys.argv[2]), sys.argv[3]
counter = itertools.count(1)


def reached(name: str) -> None:
    """No handler runs, nothing is flushed."""
    if name != step or next(counter) != times:
        return
    if who == "all":
        os.kill(os.getppid(), signal.SIGKILL)
    else:
        mark = Path(tempfile.gettempdir()) / f"killed-under-{os.getppid()}"
        if mark.exists():
            return
        mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if "--line" in sys.argv:
        sys.exit(process.main(sys.argv[4:], reached=reached))
    sys.exit(main("signer", SignerSettings, partial(build, worker_command=sys.argv[:4]), sys.argv[4:]))
