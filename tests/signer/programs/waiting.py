"""The signer as it is, but that each document waits after a step for as long as a file is there.

python waiting.py STEP FILE --config FILE
"""

import sys
import time
from functools import partial
from pathlib import Path

from sealcore.service import main
from signer.app import build
from signer.settings import SignerSettings

step, gate = sys.argv[1], Path(sys.argv[2])


def reached(name: str) -> None:
    """Says that a document is here, and waits."""
    if name == step:
        gate.with_suffix(".reached").touch()
        while gate.exists():
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main("signer", SignerSettings, partial(build, reached=reached), sys.argv[3:]))
