"""The load client: one process, one gRPC connection, messages that were serialised before the clock started.

It does what a client must do and nothing more: sends bytes, parses results, puts suffixes together, counts. Its own CPU is measured with each run.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.load import Order, Preparer, Sheaf
from protos.vermilion.v1 import signer_pb2
from sealcore.platform.rpc.client import channel
from vermilion.client.suffixes import Suffixes
from vermilion.planning.examples import DEMO_CLIENT
from vermilion.remote.workflow_client import tls_of
from vermilion.state.office import find

STREAM, SEAL = "/vermilion.v1.Signer/SealStream", "/vermilion.v1.Signer/Seal"
WINDOW_DOCUMENTS: Final = 1_024  # under way at one moment: several batches for every worker
WINDOW_BYTES: Final = 64 * 1024 * 1024
STREAMS_AT_ONCE: Final = 2  # the next form's stream begins before the one before has ended
CALL_S: Final = 120.0


@dataclass(frozen=True)
class Sent:
    """A run as the client saw it. ``refused`` has a count for each code; a run counts only when it is empty."""

    documents: int
    elapsed_s: float
    cpu_s: float
    refused: dict[str, int]

    @property
    def per_s(self) -> float:
        """Sealed documents a second."""
        return self.documents / self.elapsed_s


class Window:
    """How much is under way: the sender waits, the receiver lets it go on."""

    def __init__(self, stop: Any) -> None:
        self._stop = stop
        self._room = threading.Condition()
        self._documents = self._size_bytes = 0

    def take(self, documents: int, size_bytes: int) -> bool:
        """Waits for room; False once the run is to end."""
        with self._room:
            self._room.wait_for(lambda: self._documents < WINDOW_DOCUMENTS and self._size_bytes < WINDOW_BYTES)
            self._documents += documents
            self._size_bytes += size_bytes
            return not self._stop.is_set()

    def give(self, documents: int, size_bytes: int) -> None:
        """So much has come to its end."""
        with self._room:
            self._documents -= documents
            self._size_bytes -= size_bytes
            self._room.notify_all()


class Sender:
    """Prepares loads and sends them. Runs in a helper process (``remote``); ``stop`` ends a run early."""

    def __init__(self, state: Path, stop: Any) -> None:
        self._layout, self._office = find(state)
        self._stop = stop
        self._loads: list[list[Sheaf]] = []
        self._calls: list[tuple[str, bytes]] = []

    def __enter__(self) -> Sender:
        with ExitStack() as stack:
            self._preparer = stack.enter_context(Preparer(self._layout, self._office))
            self._channel = channel(self._office.listen("signer").target, tls_of(self._layout, DEMO_CLIENT))
            stack.callback(self._channel.close)
            self._stream = self._channel.stream_stream(STREAM, None, signer_pb2.SealStreamResponse.FromString)
            self._seal = self._channel.unary_unary(SEAL, None, signer_pb2.SealResponse.FromString)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._stack.close()

    # --- bulk

    def prepare(self, *orders: Order) -> list[int]:
        """Prepares loads; sends come in the same order. Answers how many bytes each has."""
        self._loads += [self._preparer.sheaves(order) for order in orders]
        return [sum(len(message.data) for sheaf in load for message in sheaf.messages) for load in self._loads[-len(orders) :]]

    def prepare_huge(self, seal: str, size_bytes: int, series: str) -> None:
        """Prepares one large document as a load."""
        self._loads.append([self._preparer.huge(seal, size_bytes, series)])

    def send(self) -> Sent:
        """Sends the next load and waits for all its results."""
        load = self._loads.pop(0)
        window, refused = Window(self._stop), Counter[str]()
        cpu_s, began_s = time.process_time(), time.monotonic()
        with ThreadPoolExecutor(STREAMS_AT_ONCE) as pool:
            done = list(pool.map(lambda sheaf: self._send(sheaf, window, refused), load))
        elapsed_s = time.monotonic() - began_s
        return Sent(sum(done), elapsed_s, time.process_time() - cpu_s, dict(refused))

    def _send(self, sheaf: Sheaf, window: Window, refused: Counter[str]) -> int:
        """One stream; how many documents were sealed."""
        average_bytes = sum(len(message.data) for message in sheaf.messages) // sheaf.documents
        sealed, suffixes = 0, Suffixes()
        if self._stop.is_set():
            return 0
        for answer in self._stream(_requests(sheaf, window, average_bytes)):
            results = answer.results
            for refusal in results.refused:
                refused[refusal.error.code] += 1
            suffixes.take(results.parts)
            for one in results.sealed:
                suffixes.whole(one)
            count = len(results.sealed)
            sealed += count
            window.give(count + len(results.refused), average_bytes * (count + len(results.refused)))
        return sealed

    # --- one document a call

    def prepare_calls(self, order: Order) -> int:
        """Prepares documents to be sealed one by one."""
        for form in self._preparer.forms(order):
            self._calls += [(form.token, item.SerializeToString()) for item in form.items()]
        return len(self._calls)

    def calls(self, count: int) -> list[float]:
        """Seals ``count`` documents one after the other; the seconds that each took. Ends early when stopped."""
        seconds = []
        for _ in range(count):
            if self._stop.is_set():
                break
            token, item = self._calls.pop()
            request = signer_pb2.SealRequest(token=token, item=signer_pb2.Item.FromString(item)).SerializeToString()
            began_s = time.perf_counter()
            self._seal(request, timeout=CALL_S)
            seconds.append(time.perf_counter() - began_s)
        return seconds

    # --- is it worth anything

    def sealed_files(self, order: Order, folder: Path) -> list[Path]:
        """Seals a few documents for a look at them: writes document ‖ suffix, held against the hash that the signer gave."""
        files = []
        for form in self._preparer.forms(order):
            for item, paper in zip(form.items(), form.papers, strict=True):
                sealed = self._seal(signer_pb2.SealRequest(token=form.token, item=item).SerializeToString(), timeout=CALL_S).sealed
                content = paper.content + sealed.suffix
                if hashlib.sha256(content).digest() != sealed.sealed_sha256:
                    raise ValueError("the suffix does not belong to the document that was sent")
                files.append(folder / f"{paper.kind.name}-{paper.structure}-{'visible' if paper.visible else 'invisible'}-{item.index}.pdf")
                files[-1].write_bytes(content)
        return files


def _requests(sheaf: Sheaf, window: Window, average_bytes: int) -> Iterator[bytes]:
    yield sheaf.opening
    for message in sheaf.messages:
        if not window.take(message.documents, message.documents * average_bytes):
            return
        yield message.data
