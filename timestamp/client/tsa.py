"""A client of one outside TSA over HTTP (RFC 3161 §3.4). Nothing in an answer is trusted before it is checked."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509

from sealcore import pem
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import read_secret, require_private
from sealcore.platform.httpx_alone import httpx
from timestamp.client import answer, question
from timestamp.client.answer import malformed
from timestamp.client.question import Question
from timestamp.client.settings import HttpSource, Login
from timestamp.client.signed import Signers

ENVELOPE_BYTES: Final = 2048  # of a response without its token: status and texts
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
KEPT_S: Final = 30.0  # how long an idle connection is kept


class Tsa:
    """A client of one TSA, for one event loop. Raises CONFIGURATION_INVALID if a file that the settings name cannot be used."""

    def __init__(self, settings: HttpSource, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        issuers = _certificates(settings.issuers_file) if settings.issuers_file is not None else []
        self._signers = Signers(_certificates(settings.anchors_file), issuers)
        headers = {"Content-Type": question.CONTENT_TYPE, "Accept": answer.CONTENT_TYPE, "Accept-Encoding": "identity"}
        self._http = httpx.AsyncClient(
            headers=headers | _login_header(settings),
            auth=_basic(settings),
            verify=_tls(settings),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(settings.read_s, connect=settings.connect_s, pool=None),  # ``total_s`` bounds the pool
            limits=httpx.Limits(max_connections=settings.at_once, max_keepalive_connections=settings.at_once, keepalive_expiry=KEPT_S),
        )

    async def stamp(self, digest: bytes, *, hash_name: str = "sha256", within_s: float | None = None) -> bytes:
        """A TimeStampToken (DER) over ``digest``, fully checked, within ``total_s`` (or ``within_s`` when that is less).

        TSA_UNREACHABLE, TSA_SLOW, TSA_REFUSED, TSA_ANSWER_*, TSA_WRONG_*, TSA_SIGNATURE_INVALID, TSA_UNTRUSTED, INVALID_ARGUMENT.
        """
        total_s = self._settings.total_s if within_s is None else min(within_s, self._settings.total_s)
        asked = Question(digest, hash_name, self._settings.policy_oid)
        sent = self._clock.now()
        try:
            async with asyncio.timeout(total_s):
                data = await self._ask(asked.encoded())
        except TimeoutError:
            raise VermilionError(Code.TSA_SLOW, f"the TSA did not finish its answer within {total_s:g} s") from None
        token = answer.read(data, asked, most_bytes=self._settings.largest_token_bytes)
        answer.require_time(token, sent=sent, received=self._clock.now(), window_s=self._settings.clock_window_s)
        self._signers.require_trusted(token)
        return token.encoded

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def _ask(self, body: bytes) -> bytes:
        """Tries again on a new connection if the TSA had just closed the idle one. Asking twice is harmless: it gives another token."""
        with suppress(httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            return await self._exchange(body)
        try:
            return await self._exchange(body)
        except httpx.TransportError as fault:
            raise VermilionError(Code.TSA_UNREACHABLE, f"the TSA breaks the connection off ({type(fault).__name__})") from None

    async def _exchange(self, body: bytes) -> bytes:
        try:
            async with self._http.stream("POST", self._settings.url, content=body) as response:
                _require_reply(response)
                return await self._body(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as fault:
            cause = "TLS: " if isinstance(fault.__context__, ssl.SSLError) or "SSL" in str(fault) else ""
            raise VermilionError(Code.TSA_UNREACHABLE, f"no connection to the TSA ({cause}{fault or type(fault).__name__})") from None
        except ssl.SSLError as fault:  # with TLS 1.3 a server may reject our certificate after the handshake
            raise VermilionError(
                Code.TSA_UNREACHABLE, f"the TSA ends the TLS connection ({fault.reason or type(fault).__name__})"
            ) from None
        except httpx.TimeoutException:
            raise VermilionError(Code.TSA_SLOW, f"the TSA said nothing for {self._settings.read_s:g} s") from None

    async def _body(self, response: httpx.Response) -> bytes:
        most_bytes = self._settings.largest_token_bytes + ENVELOPE_BYTES
        data = bytearray()
        async for part in response.aiter_raw():
            data += part
            if len(data) > most_bytes:
                raise VermilionError(Code.TSA_ANSWER_TOO_LARGE, f"the answer has more than {most_bytes} bytes")
        return bytes(data)


def _require_reply(response: httpx.Response) -> None:
    status = response.status_code
    if status in _REDIRECTS:
        raise VermilionError(Code.TSA_REFUSED, f"the TSA redirects (HTTP {status}); a digest goes to the configured address alone")
    if status != _OK:
        raise VermilionError(Code.TSA_REFUSED, f"the TSA answers with HTTP {status}")
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != answer.CONTENT_TYPE:
        raise malformed(f"is of the type {content_type[:80]!a} instead of {answer.CONTENT_TYPE}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise malformed("is compressed, which was not asked for")


def _login_header(settings: HttpSource) -> dict[str, str]:
    if settings.secret_file is None or settings.login is Login.BASIC:
        return {}
    secret = read_secret(settings.secret_file, "secret file")
    if not (secret.isascii() and secret.isprintable()):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the secret file {settings.secret_file.name} holds what no HTTP header carries")
    return {settings.header: secret} if settings.login is Login.HEADER else {"Authorization": f"Bearer {secret}"}


def _basic(settings: HttpSource) -> httpx.BasicAuth | None:
    if settings.secret_file is None or settings.login is not Login.BASIC:
        return None
    return httpx.BasicAuth(settings.user, read_secret(settings.secret_file, "secret file"))


def _tls(settings: HttpSource) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_anchors_file)
        if settings.certificate_file is not None and settings.key_file is not None:
            require_private(settings.key_file, "key file")
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ssl.SSLError):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the TLS files of the timestamp source {settings.name} cannot be used") from None
    return context


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return pem.certificates(path.read_bytes())
    except OSError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} cannot be read ({type(fault).__name__})") from None
    except pem.EncodingError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} {fault}") from None
