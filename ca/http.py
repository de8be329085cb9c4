"""What strangers fetch: CRLs and CA certificates, over plain HTTP (RFC 2585); both are signed in themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine

from ca.certificate import der
from ca.crl import newest
from ca.profiles import IssuerName
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.http import install_errors

CRL_TYPE: Final = "application/pkix-crl"
CERTIFICATE_TYPE: Final = "application/pkix-cert"
PEM_TYPE: Final = "application/x-pem-file"

# A cache may hold a CRL for a minute: a revocation is published within that time, whatever stands between.
CRL_CACHE_S: Final = 60
CERTIFICATE_CACHE_S: Final = 86_400


def create(engine: Engine, authorities: Mapping[IssuerName, x509.Certificate], *, clock: Clock) -> FastAPI:
    """The public HTTP interface of the CAs."""
    app = FastAPI(title="Vermilion certificate authorities", docs_url=None, redoc_url=None, openapi_url=None)
    install_errors(app)

    def known(name: str) -> x509.Certificate:
        for authority, certificate in authorities.items():
            if authority == name:
                return certificate
        raise VermilionError(Code.NOT_FOUND, f"there is no CA {name}; there are {', '.join(authorities)}")

    @app.api_route("/crl/{name}.crl", methods=["GET", "HEAD"])
    def crl(name: str, request: Request) -> Response:
        known(name)
        published = newest(engine, name)
        if published is None:
            raise VermilionError(Code.NOT_FOUND, f"the CA {name} has no CRL yet")
        seconds_left = int((published.next_update - clock.now()).total_seconds())
        headers = {
            "Cache-Control": f"public, max-age={max(0, min(CRL_CACHE_S, seconds_left))}",
            "ETag": f'"{name}-{published.number}"',
            "Last-Modified": _http_date(published.this_update),
            "Expires": _http_date(published.next_update),
        }
        return _answer(request, published.der, CRL_TYPE, headers)

    @app.api_route("/ca/{name}.cer", methods=["GET", "HEAD"])
    def certificate(name: str, request: Request) -> Response:
        found = known(name)
        headers = {"Cache-Control": f"public, max-age={CERTIFICATE_CACHE_S}", "ETag": f'"{found.serial_number:x}"'}
        return _answer(request, der(found), CERTIFICATE_TYPE, headers)

    @app.api_route("/root.pem", methods=["GET", "HEAD"])
    def root(request: Request) -> Response:
        found = known("root")
        headers = {"Cache-Control": f"public, max-age={CERTIFICATE_CACHE_S}", "ETag": f'"{found.serial_number:x}-pem"'}
        return _answer(request, found.public_bytes(Encoding.PEM), PEM_TYPE, headers)

    @app.get("/healthz")
    def healthy() -> Response:
        """Fails once a CRL has lapsed: relying parties would then refuse every certificate."""
        for name in authorities:
            published = newest(engine, name)
            if published is None or published.next_update <= clock.now():
                raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CRL of the CA {name} has lapsed")
        return Response("ok\n", media_type="text/plain")

    return app


def _answer(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    if headers["ETag"] in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _http_date(instant: datetime) -> str:
    return format_datetime(instant, usegmt=True)
