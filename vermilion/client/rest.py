"""The workflow's REST interface from the caller's side: JSON over mTLS, problems back as typed errors."""

from __future__ import annotations

import time
from typing import Any

import httpx

from sealcore.errors import Code, VermilionError, code_named
from sealcore.platform.config import TlsSettings
from sealcore.platform.http_client import REQUEST_ID_HEADER, context_of_client, request_headers
from sealcore.platform.identity import IdentityWatch, require_current
from sealcore.platform.log import request_id

PATIENCE_S = 30.0  # with a service that is busy
TOO_MANY = 429
TIMEOUT_S = 60.0  # a form with thousands of documents takes a while to check


class Rest:
    """A connection to the workflow as the holder of ``tls``."""

    def __init__(self, url: str, tls: TlsSettings) -> None:
        self._watch = IdentityWatch(tls)
        self._identity = self._watch.current
        self._context = context_of_client(self._identity)
        self._client = httpx.Client(base_url=url, verify=self._context, timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get(self, path: str, **query: str | int) -> Any:
        """The answer's JSON; raises the problem's own code, or SERVICE_UNAVAILABLE."""
        return self._request("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> Any:
        """As ``get``."""
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **content: Any) -> Any:
        self._take_up_renewal()
        try:
            answer = self._answered(method, path, **content)
            value = answer.json()
        except httpx.HTTPError as fault:
            raise _under(VermilionError(Code.SERVICE_UNAVAILABLE, f"the workflow does not answer ({type(fault).__name__})")) from fault
        except ValueError:
            raise _under(VermilionError(Code.INTERNAL, f"the workflow answered {answer.status_code} without JSON")) from None
        if answer.is_success:
            return value
        raise _under(_problem(value, answer.status_code), answer.headers.get(REQUEST_ID_HEADER))

    def _answered(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The answer; a service that says when to come again did nothing yet, so that is done for as long as we have patience."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            answer = self._client.request(method, path, headers=request_headers(), **content)
            after = answer.headers.get("Retry-After", "")
            if answer.status_code != TOO_MANY or not after.isdecimal() or time.monotonic() + int(after) > deadline_s:
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
