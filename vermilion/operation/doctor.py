"""`vermilion doctor`: what is missing or wrong on this machine and in this state folder, and how to mend it. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from cryptography import x509

from sealcore import compiled
from sealcore.clock import SystemClock
from sealcore.errors import VermilionError
from sealcore.platform import walls
from sealcore.platform.config import SOFTHSM_MODULE
from sealcore.platform.http_client import HttpClient, HttpError
from timestamp.client.settings import HttpSource
from timestamp.clock_sources import read_clock_state
from vermilion.messages import hints, text
from vermilion.operation import launcher
from vermilion.operation.ports import port_is_free
from vermilion.operation.watched import absence
from vermilion.services import SERVICES, ServiceSpec
from vermilion.state import tsas
from vermilion.state.layout import Layout
from vermilion.state.office import Office

FONT_FILE = Path("/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc")
LEAST_FREE_BYTES = 256 * 1024 * 1024
PROGRAMS = {"pdfsig": "poppler-utils", "certutil": "libnss3-tools", "openssl": "openssl"}
SECRETS = ("hsm/*/pin", "hsm/*/so-pin", "tls/*/key.pem")
RENEW_DAYS = 3
READY_TIMEOUT_S = 5.0
MOST_READY_BYTES = 1024 * 1024


class Health(StrEnum):
    """What a check found."""

    WELL = "well"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``mend`` says what to do; empty when all is well."""

    check: str
    health: Health
    what: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        return {"check": self.check, "health": str(self.health), "what": self.what, "mend": self.mend}


def examine(layout: Layout, now: datetime, services: Sequence[ServiceSpec] = SERVICES) -> list[Finding]:
    """Every check in order; those of the office only when there is one."""
    findings = [*_machine(layout)]
    if not layout.office_file.exists():
        return [*findings, _fault("office", "absent", state=layout.state)]
    try:
        plan = Office.load(layout)
    except VermilionError as fault:
        return [
            *findings,
            Finding(text("doctor.office.name"), Health.FAULT, hints.complete(fault.reason), text("doctor.office.mend_invalid")),
        ]
    for check in (_ceremony, _accounts, _secrets, _officer_pins, _folders, _certificates, _identities):
        findings += check(layout, now)
    return [*findings, *_services(layout, plan, services), *outside_tsas(layout, plan)]


def worst(findings: list[Finding]) -> Health:
    """The heaviest health among them."""
    order = list(Health)
    return max((finding.health for finding in findings), key=order.index, default=Health.WELL)


def _well(check: str, what: str = "well", **values: object) -> Finding:
    return Finding(text(f"doctor.{check}.name"), Health.WELL, text(f"doctor.{check}.{what}", **values))


def _fault(check: str, what: str, health: Health = Health.FAULT, **values: object) -> Finding:
    return Finding(
        text(f"doctor.{check}.name"), health, text(f"doctor.{check}.{what}", **values), text(f"doctor.{check}.mend_{what}", **values)
    )


def _machine(layout: Layout) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _well("python", version=version) if sys.version_info >= (3, 11) else _fault("python", "old", version=version)
    yield _well("softhsm") if SOFTHSM_MODULE.exists() else _fault("softhsm", "absent", module=SOFTHSM_MODULE)
    yield _well("font") if FONT_FILE.exists() else _fault("font", "absent", file=FONT_FILE)
    for program, package in PROGRAMS.items():
        present = shutil.which(program) is not None
        yield (
            _well("program", program=program) if present else _fault("program", "absent", Health.WARNING, program=program, package=package)
        )
    folder = next(parent for parent in (layout.state, *layout.state.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    megabytes = f"{free // 1_000_000:,}"
    yield _clock()
    yield _walls()
    yield _core()
    yield _well("disk", free=megabytes) if free >= LEAST_FREE_BYTES else _fault("disk", "full", free=megabytes, folder=folder)


def _clock() -> Finding:
    reading = read_clock_state(None)
    if reading.bound_us is None:
        return _fault("clock", "free", Health.WARNING)
    return _well("clock", source=reading.source, bound=f"{reading.bound_us / 1000:.1f}")


def _core() -> Finding:
    if compiled.WHY_NOT is None:
        return _well("core")
    return _fault("core", "absent", Health.WARNING, why=compiled.WHY_NOT)


def _walls() -> Finding:
    """Of Landlock's later rules, for networks and signals, seccomp has its own."""
    lacking = walls.lacking()
    if "seccomp" in lacking:
        return _fault("walls", "seccomp")
    if "landlock" in lacking:
        return _fault("walls", "landlock", Health.WARNING)
    return _well("walls", "older" if lacking else "well")


def _accounts(layout: Layout, _now: datetime) -> Iterator[Finding]:
    if one_account(layout):
        yield _fault("accounts", "one", Health.WARNING, state=layout.state)
    else:
        yield _well("accounts") if layout.ready else _fault("accounts", "none", Health.WARNING)


def one_account(layout: Layout, services: Sequence[ServiceSpec] = SERVICES) -> bool:
    """Whether what belongs to different services has one owner."""
    folders = [folder for service in services if (folder := layout.service(service.name)).exists()]
    return len({folder.stat().st_uid for folder in folders}) < len(folders)


def _ceremony(layout: Layout, _now: datetime) -> Iterator[Finding]:
    yield _well("ceremony") if layout.ready else _fault("ceremony", "unfinished", state=layout.state)


def _secrets(layout: Layout, _now: datetime) -> Iterator[Finding]:
    files = [path for pattern in SECRETS for path in sorted(layout.state.glob(pattern))]
    wide = [path for path in files if path.stat().st_mode & 0o077]
    yield from (_fault("secrets", "open", file=path, mode=f"{path.stat().st_mode & 0o777:04o}") for path in wide)
    if not wide:
        yield _well("secrets", count=len(files))


def _officer_pins(layout: Layout, _now: datetime) -> Iterator[Finding]:
    """A token's security officer sets a new PIN without the old one. Earlier releases kept that PIN where the service finds its own."""
    files = sorted(layout.state.glob("hsm/*/so-pin"))
    yield from (_fault("officer_pins", "kept", Health.WARNING, file=path) for path in files)
    if not files:
        yield _well("officer_pins")


def _folders(layout: Layout, _now: datetime) -> Iterator[Finding]:
    wide = [path for path in (layout.state, *sorted(layout.state.glob("hsm/*"))) if path.is_dir() and path.stat().st_mode & 0o077]
    yield from (_fault("folders", "open", folder=path, mode=f"{path.stat().st_mode & 0o777:04o}") for path in wide)
    if not wide:
        yield _well("folders")


def _certificates(layout: Layout, now: datetime) -> Iterator[Finding]:
    ending: list[Finding] = []
    files = sorted(layout.state.glob("tls/*/cert.pem"))
    if not files:
        ending.append(_fault("certificates", "none", Health.WARNING))
    for file in files:
        end = x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
        if (end - now).days < RENEW_DAYS:
            ending.append(_fault("certificates", "ending", Health.WARNING, name=file.parent.name, until=end.strftime("%Y-%m-%d")))
    yield from ending or [_well("certificates")]


def _identities(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Releases that issued on an operator's word let a URI have any number of holders; the record goes on with what they issued."""
    record = layout.service("ca") / "ca.db"
    if not record.exists():
        return  # it lies elsewhere, and the CA names them in its log
    from sqlalchemy import create_engine  # noqa: PLC0415  (every command imports this module, and few ask a database)
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from ca.issuance.holders import contested  # noqa: PLC0415

    engine = create_engine(f"sqlite:///file:{quote(str(record))}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            found = contested(connection, now)
    except DBAPIError:
        return  # of a release that knew no holders: `vermilion up` brings it up to date first
    finally:
        engine.dispose()
    for uri, serials in found.items():
        yield _fault("identities", "several", Health.WARNING, uri=uri, serials=" ".join(serials), serial=serials[0])
    if not found:
        yield _well("identities")


def _services(layout: Layout, plan: Office, services: Sequence[ServiceSpec]) -> Iterator[Finding]:
    alive = {record.service for record in launcher.running(layout, services)}
    held = launcher.is_held(layout)
    if alive and not held:
        yield _fault("launcher", "gone", count=len(alive))
    for service in services:
        ports = service.ports_in(plan)
        shown = " ".join(map(str, ports))
        taken = [port for port in ports if not port_is_free(port)]
        if service.name in alive:
            if len(taken) < len(ports):
                yield _fault("services", "silent", name=service.name, ports=shown, log=layout.log(service.name))
            elif parts := failing_parts(plan, service.name):
                yield _fault("services", "failing", name=service.name, parts=parts, log=layout.log(service.name))
            else:
                yield _well("services", "running" if ports else "portless", name=service.name, ports=shown)
        elif (away := absence(layout, service.name)) is not None and held:
            what, health = ("down", Health.FAULT) if away.given_up else ("away", Health.WARNING)
            yield _fault("services", what, health, name=service.name, cause=away.cause, since=away.since, log=layout.log(service.name))
        elif taken:
            yield _fault("services", "taken", name=service.name, ports=" ".join(map(str, taken)), file=layout.office_file)
        elif alive:
            yield _fault("services", "missing", Health.WARNING if held else Health.FAULT, name=service.name, log=layout.log(service.name))
        else:
            yield _well("services", "stopped" if ports else "idle", name=service.name, ports=shown)


def outside_tsas(layout: Layout, plan: Office) -> Iterator[Finding]:
    """Each outside TSA is asked for one timestamp, whose answer is checked in full."""
    for source in tsas.outside(layout, plan.timestamp_sources):
        try:
            asyncio.run(_stamped(source))
        except VermilionError as fault:
            yield _fault("tsa", "fails", name=source.name, code=fault.code, reason=fault.reason, way_out=fault.way_out)
        else:
            yield _well("tsa", name=source.name)


async def _stamped(source: HttpSource) -> None:
    from timestamp.client.tsa import Tsa  # noqa: PLC0415  (only an office with an outside TSA needs its libraries)

    tsa = Tsa(source, SystemClock())
    try:
        await tsa.stamp(os.urandom(32))
    finally:
        await tsa.close()


def failing_parts(plan: Office, service: str) -> str:
    """The parts that the service itself names as failing; empty when all is well, or when it was not told to say."""
    listen = plan.monitoring(service)
    if listen is None:
        return ""
    try:
        client = HttpClient(within_s=READY_TIMEOUT_S)
        told = client.ask("GET", f"http://{listen.target}/readyz", most_bytes=MOST_READY_BYTES)
        client.close()
        answer = json.loads(told.body)
        parts = {**answer["parts"], **answer.get("loops", {})}
    except HttpError as fault:
        return text("doctor.services.mute", kind=fault.failure)
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        return text("doctor.services.mute", kind=type(fault).__name__)
    return " · ".join(f"{name}: {part['code']}: {part['reason']}" for name, part in parts.items() if part.get("status") != "ok")
