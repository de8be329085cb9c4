"""What all services share.

``protocol``  pure: approvals, tokens, manifests, the ledger's formats
``hsm``       PKCS#11: the only place that speaks to tokens
``platform``  what a service process is made of: its life, databases, calls, logs, background work

Beside them what all three need: ``errors`` (every refusal has a code from there), ``clock``, ``ids``, ``text``.
"""

from __future__ import annotations

import os
from typing import Final

# gRPC reads it when it is loaded, hence before anything of ours loads it. It would write a line for each handshake that fails and, as an
# error, for each header that it cannot read, and strangers decide how many do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

__version__: Final = "0.1.0"  # of all that is released together; the package, every service and the command line say this one
