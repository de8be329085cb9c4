"""Certificates ordered by files, for issuing without the service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.names import Role
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import Block, load
from sealcore.unreadable import UNREADABLE

_PEM_BEGIN = b"-----BEGIN"


class FileOrder(Block):
    """One certificate to be issued.

    request  a PKCS#10 file, DER or PEM
    out      where the certificate goes, PEM; ``chain`` appends that of the issuing CA
    """

    profile: str
    request: Path
    out: Path
    chain: bool = False
    issuer: Role | None = None
    generation: int | None = None
    uri: str = ""
    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()

    def request_der(self) -> bytes:
        """The request's DER; INVALID_ARGUMENT when the file cannot be read."""
        try:
            data = self.request.read_bytes()
            return x509.load_pem_x509_csr(data).public_bytes(Encoding.DER) if data.startswith(_PEM_BEGIN) else data
        except (OSError, *UNREADABLE):
            raise VermilionError(Code.INVALID_ARGUMENT, f"the request {self.request.name} cannot be read") from None


class _OrdersFile(Block):
    order: tuple[FileOrder, ...]


def load_orders(path: Path) -> Sequence[FileOrder]:
    """The [[order]] tables of a TOML file; CONFIGURATION_INVALID naming the field."""
    return load(path, _OrdersFile).order
