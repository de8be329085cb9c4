"""Work over many things in a few threads, which an interrupt ends at once: nobody waits for what is being worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def side_by_side(function: Callable[[ItemT], ResultT], items: Sequence[ItemT], at_once: int) -> Iterator[tuple[ItemT, ResultT]]:
    """Each item with its result, as they come; raises what the function raises.

    Where the caller breaks off, by an interrupt too, nothing further is begun, and what runs is left to itself: its threads keep no
    program from ending, as those of ``ThreadPoolExecutor`` do.
    """
    waiting: queue.SimpleQueue[ItemT] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    results: queue.SimpleQueue[tuple[ItemT, ResultT] | BaseException] = queue.SimpleQueue()
    enough = threading.Event()

    def work() -> None:
        while not enough.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results.put((item, function(item)))
            except BaseException as fault:  # noqa: BLE001  (it is raised where the results are taken)
                results.put(fault)

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=work, name="side-by-side", daemon=True).start()
    try:
        for _ in items:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        enough.set()
