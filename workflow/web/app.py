"""The workflow's REST interface over mTLS: the application, put together from each subject's routes. HTTP types stop at those."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from sealcore.errors import Code, VermilionError
from sealcore.platform.http import install_errors, peer, problem
from sealcore.platform.peer import Revocations
from workflow.delivery import routes as delivery
from workflow.directory import routes as directory
from workflow.forms import routes as forms
from workflow.office import Office
from workflow.policies import routes as policies
from workflow.principal import Principal, principal_of
from workflow.seals import routes as seals
from workflow.web import fields
from workflow.web.limits import Admission
from workflow.web.openapi import install_openapi
from workflow.web.quota import Quotas

API_VERSION = "1"
CLIENT_OR_OPERATOR = frozenset({"client", "operator"})
OPERATOR = frozenset({"operator"})


def app(office: Office, revocations: Revocations, quotas: Quotas) -> FastAPI:
    """The application; the composition root serves it."""
    result = FastAPI(
        title="Vermilion workflow",
        version=API_VERSION,
        summary="Who may seal what: forms, people's decisions, approval tokens.",
        docs_url=None,
        redoc_url=None,
    )
    install_errors(result)
    result.exception_handler(RequestValidationError)(_malformed)
    known, operator = _allow(CLIENT_OR_OPERATOR, revocations), _allow(OPERATOR, revocations)
    for routes in (forms.routes(office, known), directory.routes(office, operator), policies.routes(office, operator),
                   seals.routes(office, known), delivery.routes(office, operator)):  # fmt: skip
        result.include_router(routes, prefix="/v1")
    install_openapi(result)
    result.add_middleware(Admission, quotas=quotas)
    return result


async def _malformed(_request: Request, fault: RequestValidationError) -> JSONResponse:
    found = fault.errors()
    first = next((one for one in found if one["type"] == fields.DECEPTIVE), found[0])  # of a union, each branch has a fault of its own
    reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    code = Code.TEXT_DECEPTIVE if first["type"] == fields.DECEPTIVE else Code.INVALID_ARGUMENT
    return problem(VermilionError(code, reason.encode("utf-8", "replace").decode("utf-8")))  # lone surrogates


def _allow(roles: frozenset[str], revocations: Revocations) -> Any:
    def caller(request: Request) -> Principal:
        return principal_of(peer(request, roles, revocations).uri)

    return Depends(caller)
