"""What the log serves to everyone: checkpoint and tiles (c2sp.org/tlog-tiles), its key, its health. Read-only."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ledger.publisher import CHECKPOINT, SIGNED_CHECKPOINT, Publisher
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.http import install_errors
from sealcore.protocol.ledger_tiles import TileName
from sealcore.protocol.signed_note import VerifierKey

_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_FRESH = {"Cache-Control": "no-cache"}


def create(publisher: Publisher, public_folder: Path, key: VerifierKey, witness: VerifierKey | None) -> Starlette:
    """The application over one log's public folder."""

    def note(name: str) -> Response:
        data = durable.read(public_folder / name)
        if data is None:
            raise VermilionError(Code.NOT_FOUND, "no checkpoint is published yet")
        return Response(data, media_type="text/plain; charset=utf-8", headers=_FRESH)

    def checkpoint(_request: Request) -> Response:
        """The newest checkpoint that the witness cosigned."""
        return note(CHECKPOINT)

    def signed_checkpoint(_request: Request) -> Response:
        """The newest checkpoint that the log signed, cosigned or not."""
        return note(SIGNED_CHECKPOINT)

    def tile(request: Request) -> Response:
        """A tile or an entry bundle; only names of the layout reach the file system."""
        name = TileName.parse(f"tile/{request.path_params['path']}")
        data = durable.read(public_folder / name.path) if name is not None else None
        if data is None:
            raise VermilionError(Code.NOT_FOUND, "there is no such tile")
        return Response(data, media_type="application/octet-stream", headers=_IMMUTABLE)

    def log_key(_request: Request) -> Response:
        """The log's key and its witness's, a line each (NAME+KEYID+BASE64). Convenient; trust comes from elsewhere."""
        return PlainTextResponse("".join(f"{one}\n" for one in (key, witness) if one is not None), headers=_FRESH)

    def health(_request: Request) -> Response:
        """200 while checkpoints follow the signer; else 503 with the reason."""
        now = publisher.health()
        body = {"status": "ok", "signed_size": now.signed_size, "published_size": now.published_size}
        if now.fault is None:
            return JSONResponse(body, headers=_FRESH)
        return JSONResponse({**body, "status": "unhealthy", **now.fault.as_dict()}, status_code=503, headers=_FRESH)

    app = Starlette(
        routes=[
            Route(f"/{CHECKPOINT}", checkpoint),
            Route(f"/{SIGNED_CHECKPOINT}", signed_checkpoint),
            Route("/tile/{path:path}", tile),
            Route("/log-key", log_key),
            Route("/healthz", health),
        ]
    )
    install_errors(app)
    return app
