"""What strangers reach over HTTP: the page, ``POST /v1/verify``, the root certificate, health."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from sealcore.errors import Code, VermilionError
from sealcore.http import install_errors, problem
from verify import catalogue
from verify.page import Office, upload_page
from verify.page_result import refused_page, result_page
from verify.report import schema
from verify.service import Verification

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


def create_app(verification: Verification, office_name: str, health: Callable[[], dict[str, Any]]) -> FastAPI:
    """The application; ``health`` says how the parts are."""
    app = FastAPI(title="Vermilion verification", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    install_errors(app)
    office = _office(verification, office_name)
    root_pem = b"".join(each.public_bytes(Encoding.PEM) for each in verification.trust.roots)
    static = {name: files("verify").joinpath("static", name).read_bytes() for name in _STATIC}

    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Any]) -> Response:
        response: Response = await call_next(request)
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.post("/v1/verify", response_class=JSONResponse, openapi_extra=_UPLOAD)
    async def verify_document(request: Request) -> Response:
        """The report on one PDF. A document that is not valid is still an answer: status 200, the verdict inside."""
        try:
            name, document = await _receive(request, verification)
        except VermilionError as fault:
            return _problem(fault)
        report = await verification.check(document, name, _language(request))
        return JSONResponse(report.as_dict())

    @app.get("/v1/verify/schema", include_in_schema=False)
    def report_schema() -> Response:
        return JSONResponse(schema(), media_type="application/schema+json")

    @app.get("/", include_in_schema=False)
    def page(request: Request) -> Response:
        return HTMLResponse(upload_page(office, _language(request)), headers={"Vary": "Accept-Language"})

    @app.post("/", include_in_schema=False)
    async def check(request: Request) -> Response:
        language = _language(request)
        try:
            name, document = await _receive(request, verification)
            report = await verification.check(document, name, language)
        except VermilionError as fault:
            return HTMLResponse(refused_page(office, language, fault), status_code=_problem(fault).status_code)
        return HTMLResponse(result_page(office, language, report))

    @app.get("/root.pem", include_in_schema=False)
    def root() -> Response:
        return Response(root_pem, media_type="application/x-pem-file", headers={"Cache-Control": "public, max-age=3600"})

    @app.get("/static/{name}", include_in_schema=False)
    def static_file(name: str) -> Response:
        if name not in static:
            raise VermilionError(Code.NOT_FOUND, "there is no such file")
        return Response(static[name], media_type=_STATIC[name], headers={"Cache-Control": "public, max-age=600"})

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        return JSONResponse(health())

    return app


async def _receive(request: Request, verification: Verification) -> tuple[str, bytes]:
    """Name and bytes of the field ``file``; raises DOCUMENT_TOO_LARGE, OVERLOADED, DEADLINE_EXCEEDED or INVALID_ARGUMENT."""
    limit = verification.limits.document_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit + FORM_OVERHEAD_BYTES:
        raise verification.too_large()
    async with verification.upload():
        bounded = Request(request.scope, _bounded(request, limit + FORM_OVERHEAD_BYTES, verification))
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


def _bounded(request: Request, limit_bytes: int, verification: Verification) -> Callable[[], Any]:
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit_bytes:
            raise verification.too_large()
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


_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
            }
        },
    },
    "responses": {"200": {"description": "The report.", "content": {"application/json": {"schema": schema()}}}},
}
