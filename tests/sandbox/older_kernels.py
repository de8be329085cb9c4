"""Kernels that lack a wall, for a zygote that is to find out what it does without: named in a job's ``preload``."""

from __future__ import annotations

from sealcore.platform.walls import landlock, seccomp


def without_landlock() -> None:
    """As Linux before 5.13, or where it was not switched on."""
    landlock.version = lambda: 0


def without_seccomp() -> None:
    """As a kernel that was built without, or a machine whose numbers we do not know."""
    seccomp.available = lambda: False
