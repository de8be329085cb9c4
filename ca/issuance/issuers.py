"""The issuing CAs that this process can sign as, of all generations. What a rollover makes joins without a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cryptography import x509
from sqlalchemy import Engine

from ca.issuance.issue import Issuer
from ca.names import ISSUING, IssuerName, parts, role_of
from ca.pki import PkiFolder
from ca.revocation.crl import newest
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log


class PresentIssuers(Mapping[IssuerName, Issuer]):
    """By name. One thread takes up; others read.

    A successor joins once the ceremony has made its first CRL, and one that certifies mTLS identities once this process trusts it
    itself: before that, nobody could use what it issues.
    """

    def __init__(self, folder: PkiFolder, engine: Engine, trust_file: Path, make: Callable[[IssuerName, x509.Certificate], Issuer]) -> None:
        """Raises HSM_*, DATABASE_*, CONFIGURATION_INVALID."""
        self._folder = folder
        self._engine = engine
        self._trust_file = trust_file
        self._make = make
        self._found: Mapping[IssuerName, Issuer] = {}
        self._log = get_log("ca")
        self.take_up()

    def __getitem__(self, name: IssuerName) -> Issuer:
        return self._found[name]

    def __iter__(self) -> Iterator[IssuerName]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def authorities(self) -> list[IssuerName]:
        """The roots, and these: whose CRLs are to be fresh."""
        return [name for name in self._folder.current.authorities if role_of(name) not in ISSUING or name in self._found]

    def take_up(self) -> None:
        """Adds what the PKI folder has got; raises as ``__init__``."""
        for name, certificate in self._folder.current.authorities.items():
            if role_of(name) in ISSUING and name not in self._found and self._is_finished(name, certificate):
                self._found = {**self._found, name: self._make(name, certificate)}
                self._log.info("a CA issues here", ca=name)

    def _is_finished(self, name: IssuerName, certificate: x509.Certificate) -> bool:
        role, generation = parts(name)
        if generation == 1:
            return True
        return newest(self._engine, name) is not None and (role != "infrastructure" or certificate in self._trusted())

    def _trusted(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self._trust_file.read_bytes())
        except (OSError, ValueError):
            raise VermilionError(Code.CONFIGURATION_INVALID, f"{self._trust_file.name} cannot be read") from None
