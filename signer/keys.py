"""The seal keys as the engine uses them: each with the template of its signatures, found once and kept."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token, TokenKey
from signer.pades.cms import SignatureTemplate
from signer.register import Seal


@dataclass(frozen=True)
class SealKey:
    """A seal's key in the token, and the DER that all its signatures under this certificate share."""

    key: TokenKey
    template: SignatureTemplate
    certificate_sha256: str


class SealKeys:
    """Finds the key behind a seal and signs with it, in bounded time. Thread-safe.

    A call that hangs keeps its thread until the HSM lets go; the caller gets HSM_TIMEOUT, and the late signature is thrown
    away. ``workers`` bounds how many calls can be in flight, hung ones included.
    """

    def __init__(self, token: Token, *, workers: int, timeout_s: float) -> None:
        self._token = token
        self._timeout_s = timeout_s
        self._calls = ThreadPoolExecutor(workers, thread_name_prefix="hsm")
        self._known: dict[str, SealKey] = {}
        self._lock = threading.Lock()

    def of(self, seal: Seal) -> SealKey:
        """The seal's key; HSM_KEY_MISSING when the token has none, or another, under the label."""
        certificate_sha256 = hashlib.sha256(seal.certificate).hexdigest()
        with self._lock:
            known = self._known.get(certificate_sha256)
        if known is not None:
            return known
        key = self._token.key(seal.key_label)
        if key.spki_sha256 != seal.spki_sha256:
            raise VermilionError(
                Code.HSM_KEY_MISSING, f"the key {seal.key_label} in the token is not the one that the seal's certificate names"
            )
        found = SealKey(key, SignatureTemplate(seal.leaf, seal.issuers, key.algorithm), certificate_sha256)
        with self._lock:
            return self._known.setdefault(certificate_sha256, found)

    def sign(self, seal_key: SealKey, signed_attributes: bytes) -> bytes:
        """One signature by one HSM call; HSM_UNAVAILABLE, HSM_TIMEOUT. Never tried again here: an attempt calls once."""
        call = self._calls.submit(seal_key.key.sign, signed_attributes)
        try:
            return call.result(self._timeout_s)
        except FutureTimeoutError:
            call.cancel()  # if it has not begun, it never will
            raise VermilionError(Code.HSM_TIMEOUT, f"the HSM did not sign within {self._timeout_s:g} s") from None

    def listed(self) -> list[TokenKey]:
        """Every key of the token."""
        return self._token.keys()

    def close(self) -> None:
        """Takes no further calls; does not wait for a hung one."""
        self._calls.shutdown(wait=False, cancel_futures=True)
