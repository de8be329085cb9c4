"""Hostile documents are read in a process that is made for one document, bounded, walled in, and thrown away.

Importing a PDF library costs most of a second, so the work is forked from a *zygote*: a single-threaded process that has imported what is
needed and has never loaded grpc or PKCS#11 (neither survives a fork). The way of a call:

1. The caller (``server``) makes a socket pair and hands one end to the zygote.
2. The zygote (``zygote``) forks; it ends the child when its time is over or its caller is gone.
3. The child (``child``) takes its limits and shuts the walls (``sealcore.platform.walls``) behind itself before it reads a byte. It reads the
   request's parts, takes the limit of memory that goes with their size, runs the one function it was made for, answers, and ends.
4. The caller reads the answer. An end without an answer means that a limit was hit.

Requests come from us; answers come from a process that a hostile document may have taken over, so they are plain bytes,
bounded in length and never unpickled (``wire``), and each caller holds what they say to what it asked (``answers``).
"""

from sealcore.platform.sandbox.answers import TELLABLE, damaged, refusal, understood
from sealcore.platform.sandbox.job import PRELOAD, Job, Limits
from sealcore.platform.sandbox.server import ForkServer, UnansweredError
from sealcore.platform.sandbox.wire import PARTS_LIMIT

__all__ = [
    "PARTS_LIMIT",
    "PRELOAD",
    "TELLABLE",
    "ForkServer",
    "Job",
    "Limits",
    "UnansweredError",
    "damaged",
    "refusal",
    "understood",
]
