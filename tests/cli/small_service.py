"""A service as small as one can be, for the test that adds it to the table: ``python -m tests.cli.small_service --config FILE``.

It has what every service with a certificate and an HTTP listener needs, so that it can be copied: errors with codes, limits, the
metrics of calls and process, and the renewal of its certificate.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sealcore.clock import Clock
from sealcore.platform import db
from sealcore.platform.config import Block, DatabaseSettings, Listen, TlsSettings
from sealcore.platform.db import database_answers
from sealcore.platform.front.limits import HttpLimits
from sealcore.platform.http import HttpEndpoint, install_errors
from sealcore.platform.identity import read
from sealcore.platform.metrics import HttpMetrics, process_metrics
from sealcore.platform.observability import ObservabilityEndpoint
from sealcore.platform.renewal import Renewal
from sealcore.platform.service import Composed, main


class SmallSettings(Block):
    """What its entry in the table implies, and a word of its own."""

    listen: Listen
    metrics: Listen
    tls: TlsSettings
    database: DatabaseSettings
    greeting: str
    http: HttpLimits = HttpLimits()


def build(settings: SmallSettings, *, clock: Clock) -> Composed:
    """Greets whoever asks, and counts."""
    registry = CollectorRegistry()
    process_metrics(registry)
    greeted = Counter("small_greetings", "Greetings", registry=registry)
    (name,) = read(settings.tls).certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)

    def greet(_request: Request) -> Response:
        greeted.inc()
        return PlainTextResponse(f"{settings.greeting} {name.value!s}")

    with ExitStack() as opened:
        engine = db.connect(settings.database.url)
        opened.callback(engine.dispose)
        app = Starlette(routes=[Route("/", greet)])
        install_errors(app)
        parts = (
            Renewal(settings.tls, clock, registry),
            HttpEndpoint(app, settings.listen, limits=settings.http, metrics=HttpMetrics(registry)),
        )
        monitoring = ObservabilityEndpoint(settings.metrics, registry, {"database": database_answers(engine)})
        return Composed(parts, monitoring, opened.pop_all())


if __name__ == "__main__":
    sys.exit(main("small", SmallSettings, build))
