"""The signer as it is, but for one thing: it kills itself when a step of a document's way is done for the n-th time.

python crashing.py STEP N --config FILE
"""

import itertools
import os
import signal
import sys
from functools import partial

from sealcore.service import main
from signer.app import build
from signer.settings import SignerSettings

step, times = sys.argv[1], int(sys.argv[2])
counter = itertools.count(1)


def reached(name: str) -> None:
    """Ends the process as a power failure would: no handler runs, nothing is flushed."""
    if name == step and next(counter) == times:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main("signer", SignerSettings, partial(build, reached=reached), sys.argv[3:]))
