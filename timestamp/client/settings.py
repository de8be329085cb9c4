"""Where timestamps come from, in order of preference, as the operator configures it."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from sealcore.clock import SKEW
from sealcore.platform.config import Block

MOST_TOKEN_BYTES: Final = 64 * 1024
_OID: Final = r"^[0-2](\.(0|[1-9][0-9]*))+$"


class Login(StrEnum):
    """How a TSA authenticates its customer, besides or instead of a client certificate."""

    NONE = "none"
    BASIC = "basic"  # the secret is the password of ``user`` (RFC 7617)
    BEARER = "bearer"  # the secret is the token (RFC 6750)
    HEADER = "header"  # the secret is the value of the header field ``header``


class OwnSource(Block):
    """The signer's own timestamp unit."""

    kind: Literal["own"] = "own"


class HttpSource(Block):
    """An outside TSA.

    anchors_file         trust anchors, PEM: the chain of its signing certificate must end in one of them
    issuers_file         intermediate certificates, PEM, for a TSA that does not send its chain
    policy_oid           the policy to ask for and to insist on; without one, the TSA's default
    largest_token_bytes  a larger token is refused; every sealed document keeps room for it
    at_once              most requests in flight
    connect_s, read_s    the longest wait for a connection, and for the next piece of an answer
    total_s              the longest time from the question to the whole answer
    clock_window_s       how far genTime may differ from our clock, and the worst accuracy that the TSA may claim
    patience             after how many failures in a row it is not asked for a while
    rest_s               for how long; afterwards one request tries it
    distrust_s           for how long after a wrong answer (nonce, imprint, time, signature …)
    login                with ``user`` or ``header``; the secret is the content of ``secret_file`` (mode 0600)
    tls_anchors_file     trust anchors for its HTTPS certificate; without them, the system's roots
    certificate_file     with ``key_file``: a client certificate
    """

    kind: Literal["http"] = "http"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    url: str
    anchors_file: Path
    issuers_file: Path | None = None
    policy_oid: str | None = Field(default=None, pattern=_OID)
    largest_token_bytes: int = Field(default=8192, ge=512, le=MOST_TOKEN_BYTES)
    at_once: int = Field(default=8, ge=1, le=64)
    connect_s: float = Field(default=3.0, gt=0)
    read_s: float = Field(default=3.0, gt=0)
    total_s: float = Field(default=5.0, gt=0)
    clock_window_s: float = Field(default=SKEW.total_seconds(), gt=0)
    patience: int = Field(default=3, ge=1)
    rest_s: float = Field(default=30.0, gt=0)
    distrust_s: float = Field(default=3600.0, gt=0)
    login: Login = Login.NONE
    user: str = Field(default="", pattern=r"^[^:\x00-\x1f\x7f]*$")
    header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    secret_file: Path | None = None
    tls_anchors_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> HttpSource:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.fragment:
            raise ValueError("url is http://… or https://…, without a user in it")
        if (self.login is Login.NONE) != (self.secret_file is None):
            raise ValueError("login and secret_file go together")
        if (self.login is Login.BASIC) != bool(self.user) or (self.login is Login.HEADER) != bool(self.header):
            raise ValueError("user goes with login = basic, header with login = header")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        secret = self.secret_file is not None or self.key_file is not None
        if secret and address.scheme == "http" and not _is_loopback(address.hostname):
            raise ValueError("a secret goes over https alone")
        return self


Source = Annotated[OwnSource | HttpSource, Field(discriminator="kind")]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
