"""A service as small as one can be, for the test that adds it to the table: ``python -m tests.cli.small_service --config FILE``."""

from __future__ import annotations

import sys

from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sealcore.clock import Clock
from sealcore.platform import db
from sealcore.platform.config import Block, DatabaseSettings, Listen, TlsSettings
from sealcore.platform.db import database_answers
from sealcore.platform.identity import read
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.service import HttpEndpoint, main


class SmallSettings(Block):
    """What its entry in the table implies, and a word of its own."""

    listen: Listen
    metrics: Listen
    tls: TlsSettings
    database: DatabaseSettings
    greeting: str


class SmallService:
    """Greets whoever asks, and counts."""

    def __init__(self, endpoint: HttpEndpoint, monitoring: ObservabilityEndpoint, engine: Engine) -> None:
        self._endpoint, self._monitoring, self._engine = endpoint, monitoring, engine

    async def start(self) -> None:
        await self._endpoint.start()
        await self._monitoring.start()

    async def stop(self) -> None:
        await self._endpoint.stop()
        await self._monitoring.stop()
        self._engine.dispose()


def build(settings: SmallSettings, *, clock: Clock) -> SmallService:
    registry = CollectorRegistry()
    greeted = Counter("small_greetings", "Greetings", registry=registry)
    (name,) = read(settings.tls).certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    engine = db.connect(settings.database.url)

    def greet(_request: Request) -> Response:
        greeted.inc()
        return PlainTextResponse(f"{settings.greeting} {name.value}")

    endpoint = HttpEndpoint(Starlette(routes=[Route("/", greet)]), settings.listen)
    return SmallService(endpoint, ObservabilityEndpoint(settings.metrics, registry, {"database": database_answers(engine)}), engine)


if __name__ == "__main__":
    sys.exit(main("small", SmallSettings, build))
