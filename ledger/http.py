"""What the log serves to everyone: checkpoint and tiles (c2sp.org/tlog-tiles), its key, its health. Read-only."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from ledger.publisher import CHECKPOINT, SIGNED_CHECKPOINT, Publisher
from sealcore import durable
from sealcore.errors import Code, VermilionError
from sealcore.http import install_errors
from sealcore.ledger.note import VerifierKey
from sealcore.ledger.tiles import TileName

_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_FRESH = {"Cache-Control": "no-cache"}


def create(publisher: Publisher, public_folder: Path, key: VerifierKey, witness: VerifierKey | None) -> FastAPI:
    """The application over one log's public folder."""
    app = FastAPI(title="Vermilion ledger", docs_url=None, redoc_url=None, openapi_url=None)
    install_errors(app)

    def note(name: str) -> Response:
        data = durable.read(public_folder / name)
        if data is None:
            raise VermilionError(Code.NOT_FOUND, "no checkpoint is published yet")
        return Response(data, media_type="text/plain; charset=utf-8", headers=_FRESH)

    @app.get(f"/{CHECKPOINT}")
    def checkpoint() -> Response:
        """The newest checkpoint that the witness cosigned."""
        return note(CHECKPOINT)

    @app.get(f"/{SIGNED_CHECKPOINT}")
    def signed_checkpoint() -> Response:
        """The newest checkpoint that the log signed, cosigned or not."""
        return note(SIGNED_CHECKPOINT)

    @app.get("/tile/{path:path}")
    def tile(path: str) -> Response:
        """A tile or an entry bundle; only names of the layout reach the file system."""
        name = TileName.parse(f"tile/{path}")
        data = durable.read(public_folder / name.path) if name is not None else None
        if data is None:
            raise VermilionError(Code.NOT_FOUND, "there is no such tile")
        return Response(data, media_type="application/octet-stream", headers=_IMMUTABLE)

    @app.get("/log-key")
    def log_key() -> Response:
        """The log's key and its witness's, a line each (NAME+KEYID+BASE64). Convenient; trust comes from elsewhere."""
        return PlainTextResponse("".join(f"{one}\n" for one in (key, witness) if one is not None), headers=_FRESH)

    @app.get("/healthz")
    def health() -> Response:
        """200 while checkpoints follow the signer; else 503 with the reason."""
        now = publisher.health()
        body = {"status": "ok", "signed_size": now.signed_size, "published_size": now.published_size}
        if now.fault is None:
            return JSONResponse(body, headers=_FRESH)
        return JSONResponse({**body, "status": "unhealthy", **now.fault.as_dict()}, status_code=503, headers=_FRESH)

    return app
