"""Blocking work beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

_T = TypeVar("_T")


async def in_thread(executor: Executor, function: Callable[..., _T], *arguments: Any) -> _T:
    """Runs it in a thread, with the request id that logs carry. It runs on when the caller is cancelled."""
    context = contextvars.copy_context()
    # Shielded, since a thread cannot be cancelled: whoever awaits it must not take an act for
    # not carried out.
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(executor, context.run, function, *arguments))
