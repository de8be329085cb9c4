"""The timestamp service: one unit, its key in a token of its own, over plain HTTP."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.service import HttpEndpoint
from timestamp.http import create
from timestamp.settings import TimestampSettings
from timestamp.unit import TimestampUnit


class TimestampService:
    """The running service."""

    def __init__(self, token: Token, endpoint: HttpEndpoint) -> None:
        self._token = token
        self._endpoint = endpoint

    async def start(self) -> None:
        """Serves requests."""
        await self._endpoint.start()

    async def stop(self) -> None:
        """Ends after the running requests; logs out of the token."""
        await self._endpoint.stop()
        self._token.close()


def build(settings: TimestampSettings, *, clock: Clock) -> TimestampService:
    """Opens the token and makes the service; raises CONFIGURATION_INVALID or HSM_*."""
    (certificate,) = _certificates(settings.certificate_file)[:1]
    chain = _certificates(settings.chain_file)
    token = Token.open(settings.token)
    try:
        unit = TimestampUnit(
            token.key(settings.key_label),
            certificate,
            chain,
            policy_oid=settings.policy_oid,
            accuracy_ms=settings.accuracy_ms,
            clock=clock,
        )
    except VermilionError:
        token.close()
        raise
    return TimestampService(token, HttpEndpoint(create(unit), settings.listen))


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} holds no certificate that can be read") from None
