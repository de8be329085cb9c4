"""Certificates for the keys of the signer's token: a request for an outside CA, or one that our own CA answers at once.

A key's signature under a request is no use of a seal: what is signed is a CertificationRequestInfo (RFC 2986 §4.1), which no
reader takes for a document's signed attributes. The ledger notes each, so that the HSM's count of signatures stays explained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from sealcore.platform.ledger import store
from sealcore.protocol.ledger_entry import Entry, EntryKind, time_us
from signer.api.ca_link import Issued, OwnCa
from signer.api.threads import in_thread

PROFILES: Final = {"seal": "seal", "tsa": "tsa"}  # how a label begins → the profile that its key is certified under

MakeRequest = Callable[[str, str, str], Awaitable[bytes]]
"""Label, common name, organization ("" for none) → PKCS#10, DER; by a worker, which has the token."""


@dataclass(frozen=True)
class Noted:
    """A request, and where the ledger notes it."""

    request: bytes
    ledger_index: int


class CertificateRequests:
    """Makes requests for declared keys, and hands them to our own CA."""

    def __init__(
        self,
        make: MakeRequest,
        *,
        declared: Collection[str],
        database: Engine,
        ca: OwnCa | None,
        executor: Executor,
        clock: Clock,
    ) -> None:
        self._make = make
        self._declared = frozenset(declared)
        self._database = database
        self._ca = ca
        self._executor = executor
        self._clock = clock

    async def request(self, label: str, common_name: str, organization: str) -> Noted:
        """A request that is in the ledger; HSM_KEY_MISSING when no such key is declared, INVALID_ARGUMENT, HSM_*."""
        if label not in self._declared:
            raise VermilionError(Code.HSM_KEY_MISSING, f"no key {label!r} is declared for the signer's token")
        made = await self._make(label, common_name, organization)
        return Noted(made, await in_thread(self._executor, self._note, made))

    async def certify(self, label: str, common_name: str, organization: str) -> Issued:
        """Certificate and chain by our own CA, under the profile that the label stands for; as ``request``, and what the CA refuses."""
        profile = PROFILES.get(label.partition(".")[0])
        if profile is None:
            raise VermilionError(Code.INVALID_ARGUMENT, f"our CA certifies no {label!r} here; labels begin with {' or '.join(PROFILES)}")
        if self._ca is None:
            raise VermilionError(Code.CONFIGURATION_INVALID, "the signer's setting tls.ca_target is missing")
        noted = await self.request(label, common_name, organization)
        return await in_thread(self._executor, self._ca.issue, noted.request, profile)

    def _note(self, request: bytes) -> int:
        key = x509.load_der_x509_csr(request).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        entry = Entry(
            EntryKind.AUDIT,
            time_us(self._clock.now()),
            spki_sha256=hashlib.sha256(spki).digest(),
            subject_sha256=hashlib.sha256(request).digest(),
        )
        with db.write(self._database) as connection:
            (appended,) = store.append(connection, [store.Draft.committing(entry, {})])
        return appended.index
