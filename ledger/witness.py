"""The witness: a process of its own, with its own state and its own key, that remembers what the log showed.

``python -m ledger.witness --config FILE``. Anyone may submit a checkpoint; the log's signature on it is the authentication.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ledger.cosigner import MOST_REQUEST_BYTES, Cosigner
from ledger.metrics import WitnessMetrics
from ledger.settings import WitnessSettings
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.http import HttpEndpoint, install_errors
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.service import Composed, main
from sealcore.protocol.signed_note import VerifierKey, witness_key

SIZE_TYPE = "text/x.tlog.size"


def create(cosigner: Cosigner, key: VerifierKey, metrics: WitnessMetrics) -> Starlette:
    """The application: add-checkpoint, the witness's key, health."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            # Counted as it comes; anybody may call.
            if len(body) > MOST_REQUEST_BYTES:
                raise VermilionError(Code.INVALID_ARGUMENT, "the request is too long")
        answer = await run_in_threadpool(cosigner.add, bytes(body))
        metrics.answers.labels(str(answer.status)).inc()
        if answer.status == 409:
            return Response(answer.body, status_code=409, headers={"Content-Type": SIZE_TYPE})
        return PlainTextResponse(answer.body, status_code=answer.status)

    def public_key(_request: Request) -> Response:
        return PlainTextResponse(f"{key}\n")

    def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    app = Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/witness-key", public_key),
            Route("/healthz", health),
        ]
    )
    install_errors(app)
    return app


def build(settings: WitnessSettings, *, clock: Clock) -> Composed:
    """Opens the token and makes the service; raises CONFIGURATION_INVALID, HSM_*, or LEDGER_INCONSISTENT for damaged state."""
    logs = [VerifierKey.parse(text) for text in settings.logs]
    with ExitStack() as opened:
        token = Token.open(settings.token)
        opened.callback(token.close)
        signing_key = token.key(settings.key_label)
        key = witness_key(settings.name, signing_key.spki_der)
        cosigner = Cosigner(key=key, sign=signing_key.sign, logs=logs, state_folder=settings.state_folder, clock=clock)
        for log in logs:
            # A damaged record is found now, not at the first request: a witness that forgot what it
            # saw must not start.
            cosigner.known(log.name)
        metrics = WitnessMetrics(settings.state_folder)
        parts = (HttpEndpoint(create(cosigner, key, metrics), settings.listen, limits=settings.http, metrics=metrics.http),)
        monitoring = ObservabilityEndpoint(settings.metrics, metrics.registry, {"hsm": token.probe})
        return Composed(parts, monitoring, opened.pop_all())


if __name__ == "__main__":
    sys.exit(main("ledger.witness", WitnessSettings, build))
