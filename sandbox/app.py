"""The composition root: what may be asked for and by whom, and the life of the process."""

from __future__ import annotations

import argparse
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import signer.pipeline.dry_run
import signer.pipeline.examiner
import signer.pipeline.sandbox
import verify.sandbox
from sandbox.settings import CallerSettings, SandboxServiceSettings
from sealcore import __version__
from sealcore.errors import Code, VermilionError
from sealcore.platform import walls
from sealcore.platform.config import load
from sealcore.platform.log import configure
from sealcore.platform.log import get as get_log
from sealcore.platform.sandbox import Job
from sealcore.platform.sandbox.address import listen
from sealcore.platform.sandbox.zygote import Role, Zygote
from sealcore.text import shown

JOBS: Final[Mapping[str, Sequence[Job]]] = {
    "signer": (signer.pipeline.sandbox.JOB, signer.pipeline.dry_run.JOB, signer.pipeline.examiner.JOB),
    "verify": (verify.sandbox.JOB,),
}
"""Caller → what it may ask for. The closed table: nothing else is run here."""
_READY: Final = "ready\n"  # as every service says it (``sealcore.platform.service``)
_FAILED_START: Final = 1


def serve(settings: SandboxServiceSettings, jobs: Mapping[str, Sequence[Job]] = JOBS) -> None:
    """Until SIGTERM or SIGINT; CONFIGURATION_INVALID, SERVICE_UNAVAILABLE."""
    zygote = Zygote([job for each in jobs.values() for job in each])
    if lacking := walls.lacking():
        get_log("sandbox").warning("this kernel lacks walls", walls=lacking)
    callers = {"signer": settings.signer, "verify": settings.verify}
    paths = [settings.folder / name for name in jobs]
    listeners = [_opened(zygote, path, callers[path.name], jobs[path.name]) for path in paths]
    ours = [path.stat().st_ino for path in paths]
    ending = _Ending(zygote)
    sys.stdout.write(_READY)
    sys.stdout.flush()
    try:
        zygote.serve(lambda: ending.now)
    finally:
        for path, listener, number in zip(paths, listeners, ours, strict=True):
            if path.exists() and path.stat().st_ino == number:  # a process that has taken our place keeps its own
                path.unlink()
            listener.close()


def _opened(zygote: Zygote, path: Path, caller: CallerSettings, jobs: Sequence[Job]) -> socket.socket:
    def may_call(account: int) -> bool:
        try:
            return account == caller.owner_of.stat().st_uid
        except OSError:
            return False

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o711)  # whatever the unit's umask: callers pass through
        listener = listen(path)
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path} cannot be listened on: {fault.strerror}") from None
    zygote.take_lines(listener, Role(frozenset(job.function for job in jobs), caller.at_once, caller.waiting), may_call)
    return listener


class _Ending:
    """Whether a signal has come that ends the process; it wakes the zygote, which sleeps until something is asked."""

    def __init__(self, zygote: Zygote) -> None:
        self.now = False
        self._waking, self._woken = socket.socketpair()
        for each in (self._waking, self._woken):
            each.setblocking(False)
        signal.set_wakeup_fd(self._waking.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._come)
        zygote.watch(self._woken.fileno(), self._awake)

    def _come(self, _number: int, _frame: FrameType | None) -> None:
        self.now = True

    def _awake(self) -> None:
        self._woken.recv(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole of ``__main__``; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sandbox")
    parser.add_argument("--version", action="version", version=f"vermilion {__version__}")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings of the service (TOML)")
    chosen = parser.parse_args(arguments)
    configure("sandbox")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        serve(load(chosen.config, SandboxServiceSettings))
    except VermilionError as fault:
        sys.stderr.write(f"sandbox: {shown(str(fault))}\n{fault.way_out}\n")
        return _FAILED_START
    return 0
