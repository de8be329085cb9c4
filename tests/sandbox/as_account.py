"""The service in an account of the system: ``python -m tests.sandbox.as_account NUMBER CONFIG``, started by root.

It loads what it needs before it changes accounts, since the files of this checkout need not be anybody's to read. Beside the jobs of the
service each caller may ask for what a document does that has taken its process over (``tests.attacks.escaping``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from sandbox.app import JOBS, serve
from sandbox.environment import keep_little
from sandbox.settings import SandboxServiceSettings
from sealcore.platform.config import load
from sealcore.platform.log import configure
from sealcore.platform.sandbox import Job, Limits
from sealcore.platform.sandbox.zygote import load_encodings

ESCAPE: Final = Job("tests.attacks.escaping:work", limits=Limits(cpu_s=2, wall_s=20.0))

if __name__ == "__main__":
    keep_little()
    configure("sandbox")
    jobs = {caller: (*each, ESCAPE) for caller, each in JOBS.items()}
    for each in jobs.values():
        for job in each:
            job.load()
    load_encodings()
    number = int(sys.argv[1])
    if number:
        os.setgroups([])
        os.setgid(number)
        os.setuid(number)
    serve(load(Path(sys.argv[2]), SandboxServiceSettings), jobs)
