"""Exit codes of the command line, the same for every command (BSD's sysexits.h where it has one)."""

from __future__ import annotations

from sealcore.errors import Code, Kind, VermilionError

DONE = 0
REFUSED = 1  # a rule said no; `verify`: invalid
UNDETERMINED = 2  # `verify` only
UNREADABLE = 3  # `verify` only
USAGE = 64
UNAVAILABLE = 69
INTERNAL = 70
CONFIGURATION = 78
INTERRUPTED = 130
PIPE_CLOSED = 141  # as a shell says it of SIGPIPE


def of(fault: VermilionError) -> int:
    """The exit code for a fault that ended a command."""
    if fault.code is Code.CONFIGURATION_INVALID:
        return CONFIGURATION
    if fault.code is Code.FILE_UNUSABLE:  # here it is a path that was typed
        return USAGE
    return {Kind.INVALID: USAGE, Kind.UNAVAILABLE: UNAVAILABLE, Kind.BUSY: UNAVAILABLE, Kind.INTERNAL: INTERNAL}.get(fault.kind, REFUSED)
