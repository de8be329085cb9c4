"""Recognises a seal most of which was judged in full before (``crates/readback``): the same bytes in the same places, then the digest, the

signature, the timestamp. It never refuses: where anything differs from what is known it says no, and the seal is judged in full.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sealcore import compiled

if compiled.AVAILABLE:
    from sealcore.compiled import core

MOST_KEYS: Final = 256  # a few kB each


@dataclass(frozen=True, slots=True)
class Constants:
    """What all seals of one key have in common.

    kind               of the key: rsa, p-256, p-384
    public             PKCS#1 DER, or an uncompressed point
    head               in SignedData, from the version to the certificates
    signer_head        in SignerInfo, from the version to the digest algorithm
    attributes_before  the signed attributes as a SET up to the value of message-digest; ``attributes_after`` from behind it
    algorithm          of the signature
    """

    kind: str
    public: bytes
    head: bytes
    signer_head: bytes
    attributes_before: bytes
    attributes_after: bytes
    algorithm: bytes


class KnownCms:
    """The constants of the keys that sealed most recently. Thread-safe."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[tuple[bytes, str], core.SealConstants] = OrderedDict()

    def remember(self, spki_sha256: bytes, hash_name: str, known: Constants) -> None:
        """Keeps the constants of a CMS that was judged in full."""
        if not compiled.AVAILABLE:
            return
        self._by_key[spki_sha256, hash_name] = core.SealConstants(
            known.kind,
            known.public,
            known.head,
            known.signer_head,
            known.attributes_before,
            known.attributes_after,
            known.algorithm,
        )
        if len(self._by_key) > MOST_KEYS:
            self._by_key.popitem(last=False)

    def constants(self, spki_sha256: bytes, hash_name: str) -> core.SealConstants | None:
        """Those of a key, as the core takes them; None until one of its seals was judged in full."""
        return self._by_key.get((spki_sha256, hash_name))

    def seals(self, update: bytes, hole: tuple[int, int], digest: bytes, hash_name: str, sealed: bytes, spki_sha256: bytes) -> bool:  # noqa: PLR0917
        """Whether ``sealed`` is the update with a CMS of a known key over ``digest`` in its hole, and a timestamp over its signature value.

        False if in doubt.
        """
        constants = self._by_key.get((spki_sha256, hash_name))
        return constants is not None and core.seals(update, hole, digest, sealed, constants)
