"""What strangers reach over HTTP: the page, ``POST /v1/verify``, the root certificate, health."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from python_multipart.multipart import parse_options_header
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from sealcore.errors import Code, VermilionError
from sealcore.platform.http import address_of, install_errors, problem
from verify import catalogue
from verify.arrivals import Arrival
from verify.report import Report, schema
from verify.service import Verification
from verify.web import openapi
from verify.web.pages import Office, result_page, upload_page

_FORM: Final = b"multipart/form-data"
_CHARSETS: Final = frozenset({b"utf-8", b"us-ascii"})
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
FORM_OVERHEAD_BYTES = 64 * 1024  # boundaries and headers of a multipart body around the file
_STATIC = {"tokens.css": "text/css", "page.css": "text/css", "page.js": "text/javascript", "mark.svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(verification: Verification, office_name: str, health: Callable[[], dict[str, Any]]) -> Starlette:
    """The application; ``health`` says how the parts are."""
    office = _office(verification, office_name)
    root_pem = b"".join(each.public_bytes(Encoding.PEM) for each in verification.trust.roots)
    description = openapi.description()
    static = {name: files("verify.web").joinpath("static", name).read_bytes() for name in _STATIC}

    async def headers(request: Request, call_next: Callable[[Request], Any]) -> Response:
        response: Response = await call_next(request)
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def verify_document(request: Request) -> Response:
        """The report on one PDF. A document that is not valid is still an answer: status 200, the verdict inside."""
        try:
            report = await _checked(request, verification, _language(request))
        except VermilionError as fault:
            return _problem(fault)
        return JSONResponse(report.as_dict())

    def report_schema(_request: Request) -> Response:
        return JSONResponse(schema(), media_type="application/schema+json")

    def page(request: Request) -> Response:
        return HTMLResponse(upload_page(office, _language(request)), headers={"Vary": "Accept-Language"})

    async def check(request: Request) -> Response:
        language = _language(request)
        try:
            report = await _checked(request, verification, language)
        except VermilionError as fault:
            return HTMLResponse(upload_page(office, language, fault=fault), status_code=_problem(fault).status_code)
        return HTMLResponse(result_page(office, language, report))

    def root(_request: Request) -> Response:
        return Response(root_pem, media_type="application/x-pem-file", headers={"Cache-Control": "public, max-age=3600"})

    def static_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in static:
            raise VermilionError(Code.NOT_FOUND, "there is no such file")
        return Response(static[name], media_type=_STATIC[name], headers={"Cache-Control": "public, max-age=600"})

    def healthz(_request: Request) -> Response:
        return JSONResponse(health())

    async def described(_request: Request) -> Response:
        return JSONResponse(description)

    app = Starlette(
        routes=[
            Route("/openapi.json", described),
            Route("/v1/verify", verify_document, methods=["POST"]),
            Route("/v1/verify/schema", report_schema),
            Route("/", page),
            Route("/", check, methods=["POST"]),
            Route("/root.pem", root),
            Route("/static/{name}", static_file),
            Route("/healthz", healthz),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=headers)],
    )
    install_errors(app)
    return app


async def _checked(request: Request, verification: Verification, language: str) -> Report:
    """The report on the file in the request's field ``file``; raises what ``_receive`` and ``Verification`` raise."""
    address = address_of(request)
    async with verification.document(address) as arrival:
        name, document = await _receive(request, verification, arrival)
        return await verification.check(document, name, language, address)


async def _receive(request: Request, verification: Verification, arrival: Arrival) -> tuple[str, bytes]:
    """Name and bytes of the field ``file``; raises DOCUMENT_TOO_LARGE, OVERLOADED, DEADLINE_EXCEEDED or INVALID_ARGUMENT."""
    limit = verification.limits.document_bytes
    MultiPartParser.spool_max_size = limit + FORM_OVERHEAD_BYTES  # all of it is read below: it takes no way through /tmp, which may be full
    declared = request.headers.get("content-length", "")
    if _NUMBER.fullmatch(declared) and int(declared) > limit + FORM_OVERHEAD_BYTES:
        raise verification.too_large()
    _require_form(request.headers.get("content-type", ""))
    async with arrival.arriving():
        bounded = Request(request.scope, _bounded(request, limit + FORM_OVERHEAD_BYTES, verification, arrival))
        try:
            async with bounded.form(max_files=1, max_fields=4) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile) or not file.filename:
                    raise VermilionError(Code.INVALID_ARGUMENT, "the form has no file in its field `file`")
                document = await file.read(limit + 1)
                name = file.filename
        except HTTPException as fault:
            raise VermilionError(Code.INVALID_ARGUMENT, f"the form cannot be read: {fault.detail}") from None
    if len(document) > limit:
        raise verification.too_large()
    return name, document


def _require_form(content_type: str) -> None:
    """What reads a form would also take URL encoding, a byte of which may cost as much as a file, and any character set that Python knows,

    some of which raise what no reader of a form foresees. A browser names none (RFC 7578 §5.1.2). INVALID_ARGUMENT for either.
    """
    kind, options = parse_options_header(content_type)
    if kind != _FORM or options.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise VermilionError(Code.INVALID_ARGUMENT, "the body is no form of the type multipart/form-data in UTF-8")


def _bounded(request: Request, limit_bytes: int, verification: Verification, arrival: Arrival) -> Callable[[], Any]:
    async def receive() -> Message:
        message = await request.receive()
        count = len(message.get("body", b""))
        if arrival.held_bytes + count > limit_bytes:
            raise verification.too_large()
        await arrival.take(count)
        return message

    return receive


def _problem(fault: VermilionError) -> JSONResponse:
    """As everywhere, but with HTTP's own status for what is too large (RFC 9110 §15.5.14)."""
    if fault.code is not Code.DOCUMENT_TOO_LARGE:
        return problem(fault)
    return problem(fault, status=413)


def _language(request: Request) -> str:
    return catalogue.chosen(request.query_params.get("lang"), request.headers.get("accept-language", ""))


def _office(verification: Verification, name: str) -> Office:
    root = verification.trust.roots[0]
    return Office(name, root.fingerprint(hashes.SHA256()).hex(), verification.limits.document_bytes)
