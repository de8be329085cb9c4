"""The signer as it is, but that each batch waits after a step for as long as a file is there.

python waiting.py STEP FILE --config FILE
"""

import sys
import time
from functools import partial
from pathlib import Path

from sealcore.service import main
from signer.app import build
from signer.settings import SignerSettings
from signer.worker import process

step, gate = sys.argv[1], Path(sys.argv[2])


def reached(name: str) -> None:
    """Says that a batch is here, and waits."""
    if name == step:
        gate.with_suffix(".reached").touch()
        while gate.exists():
            time.sleep(0.01)


if __name__ == "__main__":
    if "--line" in sys.argv:
        sys.exit(process.main(sys.argv[3:], reached=reached))
    sys.exit(main("signer", SignerSettings, partial(build, worker_command=sys.argv[:3]), sys.argv[3:]))
