"""The workflow's REST interface from the caller's side: JSON over mTLS, problems back as typed errors."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import urlencode

from sealcore.errors import Code, VermilionError, code_named
from sealcore.platform.config import TlsSettings
from sealcore.platform.http_client import REQUEST_ID_HEADER, Answer, HttpClient, HttpError, context_of_client, request_headers
from sealcore.platform.identity import IdentityWatch, require_current
from sealcore.platform.log import request_id

PATIENCE_S = 30.0  # with a service that is busy
TOO_MANY = 429
SUCCESS = range(200, 300)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
TIMEOUT_S = 60.0  # a form with thousands of documents takes a while to check
MOST_BYTES = 256 * 1024 * 1024  # of an answer: a form lists up to 100,000 documents


class Rest:
    """A connection to the workflow as the holder of ``tls``."""

    def __init__(self, url: str, tls: TlsSettings) -> None:
        self._watch = IdentityWatch(tls)
        self._identity = self._watch.current
        self._context = context_of_client(self._identity)
        self._url = url.rstrip("/")
        self._client = HttpClient(within_s=TIMEOUT_S, tls=self._context)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get(self, path: str, **query: str | int) -> Any:
        """The answer's JSON; raises the problem's own code, or SERVICE_UNAVAILABLE."""
        return self._request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Any = None) -> Any:
        """As ``get``."""
        return self._request("POST", path, b"" if body is None else json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._take_up_renewal()
        try:
            answer = self._answered(method, path, body)
            value = json.loads(answer.body)
        except HttpError as fault:
            raise _under(VermilionError(Code.SERVICE_UNAVAILABLE, f"the workflow does not answer: {fault.reason}")) from fault
        except (ValueError, RecursionError):
            raise _under(VermilionError(Code.INTERNAL, f"the workflow answered {answer.status} without JSON")) from None
        if answer.status in SUCCESS:
            return value
        raise _under(_problem(value, answer.status), answer.headers.get(REQUEST_ID_HEADER.lower()))

    def _answered(self, method: str, path: str, body: bytes | None) -> Answer:
        """The answer; a service that says when to come again did nothing yet, so that is done for as long as we have patience."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            headers = request_headers() | ({"Content-Type": "application/json"} if body else {})
            answer = self._client.ask(
                method, self._url + path, body=body, headers=headers, most_bytes=MOST_BYTES, repeatable=method == "GET"
            )
            after = answer.headers.get("retry-after", "")
            if answer.status != TOO_MANY or not _SECONDS.fullmatch(after) or time.monotonic() + int(after) > deadline_s:
                return answer
            time.sleep(int(after))

    def _take_up_renewal(self) -> None:
        """New connections are made with the certificate that lies in the files now; open ones stay as they are."""
        identity = self._watch.current
        if identity is not self._identity:
            self._context.load_verify_locations(cadata=identity.trust.decode("ascii"))
            self._context.load_cert_chain(str(identity.certificate_file), str(identity.key_file))
            self._identity = identity
        require_current(identity)


def _under(fault: VermilionError, named: str | None = None) -> VermilionError:
    """The fault, with the id under which the services' logs tell of it."""
    fault.request_id = named or request_id()
    return fault


def _problem(value: Any, status: int) -> VermilionError:
    if not isinstance(value, dict) or not isinstance(value.get("code"), str):
        return VermilionError(Code.INTERNAL, f"the workflow answered {status} without a code")
    return VermilionError(
        code_named(value["code"], Code.INTERNAL), str(value.get("reason")), document=value.get("document"), rule=value.get("rule")
    )
