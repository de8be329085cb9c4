"""What a process shuts behind itself before it reads a stranger's bytes: it can compute and answer, and reach nothing else.

    walls = Walls.prepare(READABLE)    # once, in the process that forks; SERVICE_UNAVAILABLE where the kernel cannot
    walls.close_behind(3)              # in each child: descriptor 3 and the null device stay, for ever

The process that forks gives up its capabilities, dumps, debuggers and environment, which children inherit; each child shuts descriptors and
resources, the file system and the scope of signals (``landlock``), and at last system calls (``seccomp``). None can be taken back, by
nobody: no other program is executed afterwards that could have rights of its own.

Where the kernel has no Landlock nothing can be opened at all: documents are drawn without the system's fonts (``doctor`` says so).
Without seccomp there is no sandbox.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sealcore.errors import Code, VermilionError
from sealcore.platform.walls import kernel, landlock, seccomp

READABLE: Final = tuple(
    map(Path, ("/usr/share/fonts", "/usr/share/X11/fonts/Type1", "/usr/share/X11/fonts/TTF", "/usr/local/share/fonts", "/dev/urandom"))
)
"""Where PDFium looks for fonts (core/fxge/linux/fx_linux_impl.cpp), and where qpdf begins with any encrypted document."""
OPEN_FILES: Final = 16  # the answer, the null device, an event loop's three, and fonts
_NONE: Final = (
    *(resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC),
    *(resource.RLIMIT_MSGQUEUE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO),
)


@dataclass(frozen=True)
class Walls:
    """What was worked out before the fork, so that a child loses no time with it.

    ruleset  Landlock's, as a descriptor; None where the kernel has no Landlock
    filter   what of seccomp's goes for all children
    null     a descriptor of the null device
    """

    ruleset: int | None
    filter: bytes
    null: int

    @classmethod
    def prepare(cls, readable: Sequence[Path]) -> Self:
        """What this process gives up itself, and what its children will. ``readable`` may be read, and files below; SERVICE_UNAVAILABLE where the kernel has no seccomp or no filter for this machine."""
        if not seccomp.available():
            raise VermilionError(
                Code.SERVICE_UNAVAILABLE, "this kernel or machine has no seccomp filters, without which strangers' documents are not read"
            )
        ruleset = landlock.ruleset(readable) if landlock.version() else None
        os.environ.clear()
        kernel.drop_capabilities()
        kernel.no_new_privileges()
        kernel.not_dumpable()
        return cls(ruleset, seccomp.program(may_open=ruleset is not None), os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))

    def close_behind(self, answer: int) -> None:
        """From here on this process has the descriptor ``answer`` and itself; OSError when the kernel refuses to shut something."""
        for descriptor in (0, 1, 2):
            os.dup2(self.null, descriptor)
        for limit in _NONE:
            resource.setrlimit(limit, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        if self.ruleset is not None:
            landlock.restrict(self.ruleset)
        kernel.close_descriptors(3, answer - 1)
        kernel.close_descriptors(answer + 1)
        seccomp.restrict(self.filter)


def lacking() -> list[str]:
    """The walls that this kernel does not have: ``seccomp``, ``landlock``, or Landlock's rules that came later (``network``, ``scopes``)."""
    found = [] if seccomp.available() else ["seccomp"]
    version = landlock.version()
    if not version:
        return [*found, "landlock"]
    return [*found, *(name for name, least in landlock.LATER.items() if version < least)]
