"""Which PIN files a token has refused: none is presented twice, for a few more tries would lock a real HSM.

A process remembers refusals for as long as it lives. A note beside the PIN file tells the service's other processes and the next start:
it names the token and the state of the file that it refused (inode, size, time of change), never the content. A file that was
rewritten is tried.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TokenSettings

_SUFFIX: Final = ".refused"


class Refusals:
    """The refusals that this process knows of. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[tuple[Path, str]] = set()

    def remember(self, settings: TokenSettings) -> None:
        """The token has refused what is in its PIN file."""
        pin_file = settings.pin_file.resolve()
        with self._lock:
            # In memory first: the note below may fail, and this process must not try again all the
            # same.
            self._known.add((pin_file, _token(settings)))
        try:
            descriptor = os.open(_note(pin_file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as note:
                note.write(_state(settings))
        except OSError:  # a folder that the service cannot write to: each process then finds out by itself
            return

    def check(self, settings: TokenSettings) -> None:
        """HSM_PIN_REFUSED when the token is known to refuse what is in its PIN file."""
        pin_file = settings.pin_file.resolve()
        with self._lock:
            known = (pin_file, _token(settings)) in self._known
        if known:
            raise VermilionError(Code.HSM_PIN_REFUSED, "the token refused this PIN file before; this process does not try it again")
        try:
            noted = _note(pin_file).read_text("utf-8") == _state(settings)
        except (OSError, UnicodeDecodeError):
            return
        if noted:
            raise VermilionError(
                Code.HSM_PIN_REFUSED, f"the token refused this PIN file before; it is tried again when {pin_file.name} is written anew"
            )


def _note(pin_file: Path) -> Path:
    return pin_file.with_name(pin_file.name + _SUFFIX)


def _token(settings: TokenSettings) -> str:
    return f"{settings.label} {settings.softhsm_conf or settings.module}"


def _state(settings: TokenSettings) -> str:
    facts = settings.pin_file.stat()
    return f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {_token(settings)}\n"


REFUSALS: Final = Refusals()  # of this process, as PKCS#11 keeps its logins
