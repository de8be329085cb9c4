"""The CAs that are answered for now: every generation in the PKI folder, until its own certificate ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from ca.names import IssuerName, Role, role_of
from ca.ocsp.authority import Authority
from ca.ocsp.delegate import Delegation
from ca.pki import Hierarchy
from sealcore.clock import Clock
from sealcore.hsm.token import TokenKey
from sealcore.platform.log import get as get_log


class Delegations:
    """One delegation for each generation; what a rollover adds joins without a restart. Safe to use from several threads.

    All generations of a CA are answered for with one key, each under a certificate of its own.
    """

    def __init__(
        self,
        present: Callable[[], Hierarchy],
        keys: Mapping[Role, TokenKey],
        make: Callable[[Authority, TokenKey], Delegation],
        *,
        clock: Clock,
    ) -> None:
        self._present = present
        self._keys = keys
        self._make = make
        self._clock = clock
        self._seen: Hierarchy | None = None
        self._found: Mapping[IssuerName, Delegation] = {}
        self._lock = threading.Lock()
        self._log = get_log("ocsp")

    def __iter__(self) -> Iterator[Delegation]:
        if self._present() is not self._seen:
            self._look()
        now = self._clock.now()
        return (one for one in self._found.values() if one.authority.certificate.not_valid_after_utc > now)

    def _look(self) -> None:
        with self._lock:
            hierarchy = self._present()
            found = dict(self._found)
            for name, certificate in hierarchy.authorities.items():
                if role_of(name) in self._keys and name not in found:
                    found[name] = self._make(Authority(name, certificate), self._keys[role_of(name)])
                    self._log.info("answers are given for a CA", ca=name)
            self._found, self._seen = found, hierarchy
