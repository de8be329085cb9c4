"""What strangers fetch: CRLs and CA certificates, over plain HTTP (RFC 2585); both are signed in themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ca.issuance.certificate import der
from ca.names import parts, role_of
from ca.pki import Hierarchy
from ca.revocation.crl import NewestCrls, newest
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.http import install_errors

CRL_TYPE: Final = "application/pkix-crl"
CERTIFICATE_TYPE: Final = "application/pkix-cert"
CERTIFICATES_TYPE: Final = "application/pkcs7-mime"  # certs-only CMS, where several lead on (RFC 5280 §4.2.2.1)
PEM_TYPE: Final = "application/x-pem-file"

# A cache may hold a CRL for a minute: a revocation is published within that time, whatever stands between.
CRL_CACHE_S: Final = 60
CERTIFICATE_CACHE_S: Final = 86_400


def create(engine: Engine, present: Callable[[], Hierarchy], *, clock: Clock) -> Starlette:
    """The public HTTP interface of the CAs that ``present`` names; a cross certificate is handed out with the authority it is for."""

    crls = NewestCrls(engine)

    def crl(request: Request) -> Response:
        return crl_of(request.path_params["name"], request)

    def crl_of(name: str, request: Request) -> Response:
        present().certificates_of(name)  # refuses what is no CA of ours
        found = crls.of(name)
        if found is None:
            raise VermilionError(Code.NOT_FOUND, f"the CA {name} has no CRL yet")
        published, alone = found
        now = clock.now()
        fresh_s = max(0, min(CRL_CACHE_S, int((published.next_update - now).total_seconds())))
        headers = {
            "Cache-Control": f"public, max-age={fresh_s}",
            "ETag": f'"{name}-{published.number}"',
            "Expires": _http_date(now + timedelta(seconds=fresh_s)),  # for caches that know no max-age
        }
        if alone:  # else it would not tell this CRL from the one before
            headers["Last-Modified"] = _http_date(published.this_update)
        return _answer(request, published.der, CRL_TYPE, headers)

    def crl_of_key(request: Request) -> Response:
        """For who knows a CA by its certificate alone: ``key`` is its subjectKeyIdentifier in hex."""
        key = request.path_params["key"]
        for name, certificate in present().authorities.items():
            if key == certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex():
                return crl_of(name, request)
        raise VermilionError(Code.NOT_FOUND, "there is no CA with this key")

    def certificate(request: Request) -> Response:
        found = present().certificates_of(request.path_params["name"])
        headers = {"Cache-Control": f"public, max-age={CERTIFICATE_CACHE_S}", "ETag": _tag(found)}
        if len(found) == 1:
            return _answer(request, der(found[0]), CERTIFICATE_TYPE, headers)
        return _answer(request, serialize_certificates(found, Encoding.DER), CERTIFICATES_TYPE, headers)

    def root(request: Request) -> Response:
        """The roots in force, oldest first."""
        now = clock.now()
        roots = [each for name, each in present().authorities.items() if role_of(name) == "root" and each.not_valid_after_utc > now]
        headers = {"Cache-Control": f"public, max-age={CERTIFICATE_CACHE_S}", "ETag": _tag(roots)}
        return _answer(request, b"".join(each.public_bytes(Encoding.PEM) for each in roots), PEM_TYPE, headers)

    def healthy(_request: Request) -> Response:
        """Fails once a CRL has lapsed: relying parties would then refuse every certificate."""
        for name in present().authorities:
            published = newest(engine, name)
            if published is None and parts(name)[1] > 1:
                continue  # its rollover is not finished
            if published is None or published.next_update <= clock.now():
                raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CRL of the CA {name} has lapsed")
        return Response("ok\n", media_type="text/plain")

    app = Starlette(
        routes=[
            Route("/crl/{name}.crl", crl),
            Route("/crl/by-key/{key}.crl", crl_of_key),
            Route("/ca/{name}.cer", certificate),
            Route("/root.pem", root),
            Route("/healthz", healthy),
        ]
    )
    install_errors(app)
    return app


def _answer(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    if _has_it(request.headers, headers):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _tag(certificates: Sequence[x509.Certificate]) -> str:
    return f'"{"-".join(f"{each.serial_number:x}" for each in certificates)}"'


def _has_it(asked: Headers, have: Mapping[str, str]) -> bool:
    """Whether the asker holds this very representation (RFC 9110 §13.1.2, §13.2.2: If-None-Match goes before If-Modified-Since)."""
    if (tags := asked.get("if-none-match")) is not None:
        return any(tag.strip().removeprefix("W/") in (have["ETag"], "*") for tag in tags.split(","))
    since, made = asked.get("if-modified-since"), have.get("Last-Modified")
    if since is None or made is None:
        return False
    try:
        return parsedate_to_datetime(made) <= parsedate_to_datetime(since)
    except (ValueError, TypeError, OverflowError):
        return False  # what is no date is passed over (RFC 9110 §13.1.3)


def _http_date(instant: datetime) -> str:
    return format_datetime(instant, usegmt=True)
