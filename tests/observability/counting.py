"""``python counting.py NAME COUNT``: a worker that counts in a registry of its own and writes its snapshot to standard output."""

from __future__ import annotations

import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sealcore.platform.metrics import snapshot


def main(name: str, how_often: int) -> None:
    registry = CollectorRegistry()
    documents = Counter("test_documents", 'Documents with "quotes" and \\ in the help', ["code"], registry=registry)
    seconds = Histogram("test_seconds", "Seconds", ["stage"], buckets=(0.1, 1), registry=registry)
    held = Gauge("test_held", "Held", registry=registry)
    for number in range(how_often):
        documents.labels(f"sealed\n{name}").inc()
        seconds.labels("sign").observe(0.05 if number % 2 else 0.5)
    held.set(how_often / 2)
    sys.stdout.buffer.write(snapshot(registry))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
