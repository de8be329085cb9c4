"""``python -m workflow --config FILE``: runs the service until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from sealcore.errors import VermilionError
from sealcore.platform import config, log, tracing
from workflow.app import Service, build
from workflow.settings import WorkflowSettings

READY_POLL_S = 0.02


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after a clean stop, 1 when the service cannot start."""
    parser = argparse.ArgumentParser(prog="python -m workflow", description="The workflow: forms, decisions, approval tokens.")
    parser.add_argument("--config", required=True, type=Path, help="the service's TOML file")
    settings_file = parser.parse_args(arguments).config
    log.configure("workflow")
    # uvicorn stops at these signals and then raises them again for whoever listened before it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        settings = config.load(settings_file, WorkflowSettings)
        tracing.start("workflow", settings.tracing)
        service = build(settings)
    except VermilionError as fault:
        log.get("workflow").error("cannot start", **fault.as_dict())
        return 1
    service.start()
    try:
        asyncio.run(_serve(service))
    except VermilionError as fault:
        log.get("workflow").error("cannot serve", **fault.as_dict())
        return 1
    finally:
        service.close()
        tracing.stop()
    return 0 if service.server.started else 1


async def _serve(service: Service) -> None:
    serving = asyncio.create_task(service.serve())
    while not (service.server.started or serving.done()):
        await asyncio.sleep(READY_POLL_S)
    if service.server.started:
        print("ready", flush=True)  # noqa: T201  (the launcher waits for this line)
    await serving


if __name__ == "__main__":
    sys.exit(main())
