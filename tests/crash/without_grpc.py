"""The nursery of workers: like a worker that is started on its own, it never loads gRPC."""

import sys

import signer.worker.process  # noqa: F401
import tests.crash.mutants
import tests.crash.sandboxed  # noqa: F401
from tests.crash.services import main

assert "grpc" not in sys.modules

__all__ = ["main"]
