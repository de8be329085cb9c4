"""A client of one outside TSA over HTTP (RFC 3161 §3.4). Nothing in an answer is trusted before it is checked."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from sealcore import pem
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import read_secret, require_private
from sealcore.platform.http_client import OK, Answer, AsyncHttpClient, Failure, HttpError, public_context
from timestamp.client import answer, question
from timestamp.client.answer import malformed
from timestamp.client.question import Question
from timestamp.client.settings import HttpSource, Login
from timestamp.client.signed import Signers

ENVELOPE_BYTES: Final = 2048  # of a response without its token: status and texts
_REDIRECTS: Final = range(300, 400)


class Tsa:
    """A client of one TSA, for one event loop. Raises CONFIGURATION_INVALID if a file that the settings name cannot be used."""

    def __init__(self, settings: HttpSource, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        issuers = _certificates(settings.issuers_file) if settings.issuers_file is not None else []
        self._signers = Signers(_certificates(settings.anchors_file), issuers)
        self._headers = {"Content-Type": question.CONTENT_TYPE, "Accept": answer.CONTENT_TYPE, **_login_header(settings)}
        self._http = AsyncHttpClient(
            within_s=settings.total_s,
            tls=_tls(settings),
            at_once=settings.at_once,
            connect_s=settings.connect_s,
            silent_s=settings.read_s,
        )

    async def stamp(self, digest: bytes, *, hash_name: str = "sha256", within_s: float | None = None) -> bytes:
        """A TimeStampToken (DER) over ``digest``, fully checked, within ``total_s`` (or ``within_s`` when that is less).

        TSA_UNREACHABLE, TSA_SLOW, TSA_REFUSED, TSA_ANSWER_*, TSA_WRONG_*, TSA_SIGNATURE_INVALID, TSA_UNTRUSTED, INVALID_ARGUMENT.
        """
        total_s = self._settings.total_s if within_s is None else min(within_s, self._settings.total_s)
        asked = Question(digest, hash_name, self._settings.policy_oid)
        sent = self._clock.now()
        data = await self._ask(asked.encoded(), total_s)
        token = answer.read(data, asked, most_bytes=self._settings.largest_token_bytes)
        answer.require_time(token, sent=sent, received=self._clock.now(), window_s=self._settings.clock_window_s)
        self._signers.require_trusted(token)
        return token.encoded

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.close()

    async def _ask(self, body: bytes, total_s: float) -> bytes:
        """The body of the answer. Asking twice is harmless, as it may when a kept connection is closed: it gives another token."""
        most_bytes = self._settings.largest_token_bytes + ENVELOPE_BYTES
        try:
            reply = await self._http.ask(
                "POST", self._settings.url, body=body, headers=self._headers, most_bytes=most_bytes, within_s=total_s
            )
        except HttpError as fault:
            raise VermilionError(_CODES[fault.failure], fault.reason) from None
        _require_reply(reply)
        return reply.body


_CODES: Final = {
    Failure.UNREACHABLE: Code.TSA_UNREACHABLE,
    Failure.SLOW: Code.TSA_SLOW,
    Failure.TOO_LARGE: Code.TSA_ANSWER_TOO_LARGE,
    Failure.MALFORMED: Code.TSA_ANSWER_MALFORMED,
}


def _require_reply(reply: Answer) -> None:
    if reply.status in _REDIRECTS:
        raise VermilionError(Code.TSA_REFUSED, f"the TSA redirects (HTTP {reply.status}); a digest goes to the configured address alone")
    if reply.status != OK:
        raise VermilionError(Code.TSA_REFUSED, f"the TSA answers with HTTP {reply.status}")
    if reply.media_type != answer.CONTENT_TYPE:
        raise malformed(f"is of the type {reply.media_type[:80]!a} instead of {answer.CONTENT_TYPE}")


def _login_header(settings: HttpSource) -> dict[str, str]:
    if settings.secret_file is None:
        return {}
    secret = read_secret(settings.secret_file, "secret file")
    if settings.login is Login.BASIC:
        return {"Authorization": f"Basic {base64.b64encode(f'{settings.user}:{secret}'.encode()).decode()}"}
    if not (secret.isascii() and secret.isprintable()):
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the secret file {settings.secret_file.name} holds what no HTTP header carries")
    return {settings.header: secret} if settings.login is Login.HEADER else {"Authorization": f"Bearer {secret}"}


def _tls(settings: HttpSource) -> ssl.SSLContext:
    try:
        context = public_context(settings.tls_anchors_file)
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
