"""A cache of admissions: a token is judged once for many documents."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import timedelta
from typing import Final

from sealcore.clock import Clock
from signer.gate import Admission, admit_token
from signer.model import Call
from signer.pipeline.keys import SealKey, SealKeys
from signer.register.model import Register
from signer.status.judge import StatusJudge

JUDGED_AGAIN: Final = timedelta(seconds=60)  # certificates and tokens end while a stream is open
MOST_KEPT: Final = 256


class Admissions:
    """Judges tokens and finds the keys that they are for. Thread-safe."""

    def __init__(self, status: StatusJudge, keys: SealKeys, clock: Clock, *, audience: str) -> None:
        self._status = status
        self._keys = keys
        self._clock = clock
        self._audience = audience
        self._kept: OrderedDict[tuple[str, str], Admission] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, call: Call, register: Register) -> tuple[Admission, SealKey]:
        """The token's admission and the seal's key; raises the code of the step that refuses, HSM_*.

        A token is judged again when the register has changed or a minute has passed; the certificate's status, each time.
        """
        # The client is part of the key: the same token from another peer must fail at ``subject``,
        # not hit the cache.
        kept_as, now = (call.jws, call.client), self._clock.now()
        with self._lock:
            admission = self._kept.get(kept_as)
        # ``abs``: when the clock is set back, what was judged in the future counts as old, too.
        if admission is None or admission.register.version != register.version or abs(now - admission.judged_at) >= JUDGED_AGAIN:
            admission = admit_token(call.jws, peer=call.client, register=register, now=now, audience=self._audience)
        # Not cached: a revocation must take effect with the next batch.
        self._status.require_good(admission.seal)
        key = self._keys.of(admission.seal)
        with self._lock:
            self._kept[kept_as] = admission
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return admission, key
