"""requests with a client certificate of the office, for programs that speak requests."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from sealcore.platform.config import TlsSettings
from sealcore.platform.http_client import client_context
from tests.workflow.conftest import Running


class _Identity(HTTPAdapter):
    """requests with our client certificate; trusts the issuing CA alone."""

    def __init__(self, tls: TlsSettings) -> None:
        self._context = client_context(tls)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context} | {name: value for name, value in pool.items() if not name.startswith("c")}


def session_of(running: Running, name: str, uri: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _Identity(running.ca.identity(name, uri)))
    return session
