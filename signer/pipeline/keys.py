"""The seal keys as the engine uses them: each found once, and kept with the template of its signatures."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sealcore.errors import Code, VermilionError
from sealcore.hsm.keys import Found
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Token, TokenKey
from sealcore.hsm.watch import Watched
from signer.pdf.cms import SignatureTemplate
from signer.register.model import Seal

MOST_HUNG: Final = 8  # each holds one of the HSM's few sessions

Result = TypeVar("Result")


@dataclass(frozen=True)
class SealKey:
    """A seal's key in the token, and the DER that its signatures under this certificate have in common."""

    key: TokenKey
    template: SignatureTemplate
    certificate_sha256: str


class SealKeys:
    """Finds the key of a seal and signs with it, within a time limit. Thread-safe.

    timeout_s  for one call of the HSM; a hung call is abandoned, and a signature that comes late is discarded
    most_hung  while so many calls hang, no further one is made
    """

    def __init__(self, token: Token, *, timeout_s: float, most_hung: int = MOST_HUNG) -> None:
        self._token = token
        self._watched = Watched(timeout_s, most_hung, token.give_up)
        self._known: dict[str, SealKey] = {}
        self._lock = threading.Lock()

    @property
    def hung(self) -> int:
        """How many calls hang now."""
        return self._watched.hung

    @property
    def cpu_s(self) -> float:
        """CPU seconds spent so far in the threads that call the HSM; with SoftHSM these include the cryptography."""
        return self._watched.cpu_s

    def of(self, seal: Seal) -> SealKey:
        """The seal's key; HSM_KEY_MISSING when the token has no key, or a different one, under the label."""
        certificate_sha256 = hashlib.sha256(seal.certificate).hexdigest()
        with self._lock:
            known = self._known.get(certificate_sha256)
        if known is not None:
            return known
        key = self._found(seal.key_label, seal.spki_sha256)
        # Found by label, and whoever can write the token's folder can label another key so. Its
        # signatures would match no certificate.
        if key.spki_sha256 != seal.spki_sha256:
            raise VermilionError(
                Code.HSM_KEY_MISSING, f"the key {seal.key_label} in the token is not the one that the seal's certificate names"
            )
        found = SealKey(key, SignatureTemplate(seal.leaf, seal.issuers, key.algorithm), certificate_sha256)
        with self._lock:
            return self._known.setdefault(certificate_sha256, found)

    def sign_all(self, seal_key: SealKey, signed_attributes: Sequence[bytes]) -> list[bytes | VermilionError]:
        """For each, in order, its signature or why there is none: HSM_UNAVAILABLE, HSM_TIMEOUT, HSM_KEY_MISSING, HSM_PIN_REFUSED.

        The HSM is called at most once for each, and never again after a failure: the attempt ends with the call (docs/protocol.md, "Use").
        """
        return self._watched.run([partial(seal_key.key.sign, one) for one in signed_attributes])

    def watched(self, jobs: Sequence[Callable[[], Result]]) -> list[Result | VermilionError]:
        """The outcomes of other jobs that call the HSM (timestamps), in order, under the same time limit."""
        return self._watched.run(jobs)

    def listed(self) -> Found:
        """Every key of the token; HSM_UNAVAILABLE, HSM_TIMEOUT."""
        return _only(self._watched.run([self._token.found]))

    def certificate_request(self, label: str, common_name: str, organization: str | None) -> bytes:
        """A PKCS#10 request (DER) by the key of this label; as ``listed``, and HSM_KEY_MISSING, INVALID_ARGUMENT."""
        key = self._found(label)
        return _only(self._watched.run([lambda: certificate_request(key, common_name, organization=organization)]))

    def close(self) -> None:
        """Takes no further calls; does not wait for hung ones."""
        self._watched.close()

    def _found(self, label: str, spki_sha256: bytes | None = None) -> TokenKey:
        return _only(self._watched.run([lambda: self._token.key(label, spki_sha256)]))


def _only(outcomes: Sequence[Result | VermilionError]) -> Result:
    (outcome,) = outcomes
    if isinstance(outcome, VermilionError):
        raise outcome
    return outcome
