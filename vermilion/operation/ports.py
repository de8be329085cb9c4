"""Which ports an office's services get."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from vermilion.services import SERVICES, ServiceSpec

HIGHEST_PORT = 32767  # above begins Linux's range for outgoing connections: such a port may be taken tomorrow


def default_ports(services: Sequence[ServiceSpec] = SERVICES) -> dict[str, int]:
    """Name → number, in the order of the services."""
    return {name: port for service in services for name, port in service.ports.items()}


def choose_ports(
    first: int | None,
    is_free: Callable[[int], bool],
    known: Mapping[str, int] | None = None,
    services: Sequence[ServiceSpec] = SERVICES,
) -> dict[str, int]:
    """A free port for each listener: the default or, where that is taken, the next free one; ``first`` moves the whole row.

    ``known`` ports stay as they are: an office from before a listener came about gets the missing ones beside its own.
    """
    defaults = default_ports(services)
    chosen = dict(known or {})
    if first is None and "signer" in chosen:
        first = chosen["signer"]
    shift = 0 if first is None else first - min(defaults.values())
    for name, default in defaults.items():
        if name in chosen:
            continue
        candidates = (port for port in range(default + shift, HIGHEST_PORT) if port not in chosen.values() and is_free(port))
        chosen[name] = next(candidates)
    return chosen


def port_is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
