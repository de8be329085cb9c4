"""asn1crypto in several threads.

It prepares each of its classes when the first object of it is made, in steps that other threads see half done; and it reads a
structure when it is first looked into. So classes are prepared before threads begin, and a parsed object belongs to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from asn1crypto import algos, cms, core, crl, keys, ocsp, tsp, x509

MODULES = (algos, cms, core, crl, keys, ocsp, tsp, x509)  # with all their classes


@cache
def prepare() -> None:
    """Prepares all classes that are known by now; once a process."""
    for kind in kinds():
        with suppress(Exception):  # some cannot be made out of nothing, and are prepared by then
            kind()


def kinds() -> Iterator[type[core.Asn1Value]]:
    """asn1crypto's classes, and what others derived from them."""
    waiting: list[type[core.Asn1Value]] = [core.Asn1Value]
    seen: set[type[core.Asn1Value]] = set()
    while waiting:
        kind = waiting.pop()
        if kind not in seen:
            seen.add(kind)
            waiting += kind.__subclasses__()
            yield kind
