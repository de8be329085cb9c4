"""A token that opens in a process does not disturb the TLS connections that the process has open."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sealcore.hsm import softhsm
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings
from sealcore.platform.http_client import client_context
from tests.pki import InfrastructureCa


class _Connection:
    """Both ends of an open TLS connection, in memory."""

    def __init__(self, folder: Path) -> None:
        ca = InfrastructureCa(folder)
        service = ca.identity("service", "https://vermilion.internal/service/test")
        accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        accepting.load_cert_chain(service.certificate_file, service.key_file)
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client_context(service).wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
        self.server = accepting.wrap_bio(to_server, to_client, server_side=True)
        for end in (self.client, self.server, self.client, self.server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_an_open_tls_connection_goes_on_while_a_token_is_opened(tmp_path: Path) -> None:
    """SoftHSM leaves an error in OpenSSL's queue for this thread, which Python's ssl took for the connection's own."""
    settings: TokenSettings = softhsm.create(tmp_path / "token", "beside-tls")
    connection = _Connection(tmp_path / "pki")
    with pytest.raises(ssl.SSLWantReadError):  # takes in the session tickets: OpenSSL clears its queue whenever it shakes hands
        connection.client.read(1)
    with Token.open(settings):
        with pytest.raises(ssl.SSLWantReadError):  # nothing is there yet: wait, not "the connection failed"
            connection.client.read(1)
        connection.server.write(b"sealed")
        assert connection.client.read(6) == b"sealed"
