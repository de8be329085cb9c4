"""What each service is started with, worked out from its entry, vermilion.toml and the ceremony's certificates; made at every start.

What an operator sets otherwise stands in a file of their own, ``config/NAME.local.toml`` (``sealcore.platform.config.load``).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.config import local_of
from vermilion.operation import service_settings
from vermilion.services import METRICS, SERVICES, Identity, ServiceSpec
from vermilion.state import keyring, toml
from vermilion.state.layout import FOLDER_MODE, Layout
from vermilion.state.office import Office

_HEAD: Final = """\
# Made by `vermilion up` at each start. Set nothing here: write what is to be otherwise into {local} beside this file, which
# nobody but you changes. Its tables are merged into these, and any other value takes the place of the one here.
"""
_DIGEST: Final = "# SHA-256 of what follows: "


def write_all(layout: Layout, office: Office, services: Sequence[ServiceSpec] = SERVICES) -> list[Path]:
    """Makes config/NAME.toml of every service, and the folders that they keep their state in. What is as it should be stays untouched.

    The files that somebody had changed by hand, which are kept beside as NAME.toml.before. CONFIGURATION_INVALID where a file of an
    operator's own is called like no service.
    """
    known = {local_of(layout.config(service.name)) for service in (*SERVICES, *services)}
    for file in sorted(layout.config("*").parent.glob("*.local.toml")):
        if file not in known:
            raise VermilionError(Code.CONFIGURATION_INVALID, f"{file}: there is no service of this name")
    keyring.write_inventory(layout, office)
    kept = []
    for service in services:
        layout.service(service.name).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        kept += _write(layout.config(service.name), toml.dump(settings(service, layout, office)))
    targets = (json.dumps(monitoring_targets(office, services), indent=1) + "\n").encode()
    if durable.read(layout.monitoring_targets) != targets:
        durable.write(layout.monitoring_targets, targets)
    return kept


def _write(file: Path, content: str) -> list[Path]:
    """The file whose content was changed by hand, where it was: then that is kept."""
    head = _HEAD.format(local=local_of(file).name)
    digest = f"{_DIGEST}{hashlib.sha256(content.encode()).hexdigest()}\n"
    old, new = durable.read(file), f"{head}{digest}\n{content}".encode()
    if old is None or old == new:
        if old is None:
            durable.write(file, new, mode=durable.PRIVATE)
        return []
    same, ours = _says(old, content), _is_ours(old)
    if not (same or ours):
        durable.write(file.with_suffix(f"{file.suffix}.before"), old, mode=durable.PRIVATE)
    try:
        durable.write(file, new, mode=durable.PRIVATE)
    except VermilionError as fault:
        if fault.code is not Code.STORAGE_FULL or not same:  # the services start with what is there: it says the same in other words
            raise
    return [] if same or ours else [file]


def _says(old: bytes, content: str) -> bool:
    try:
        return tomllib.loads(old.decode()) == tomllib.loads(content)
    except ValueError:
        return False


def _is_ours(old: bytes) -> bool:
    """Whether the file is as it was made; those of earlier releases do not tell."""
    head, _, content = old.partition(b"\n\n")
    told = head.splitlines()[-1:] == [f"{_DIGEST}{hashlib.sha256(content).hexdigest()}".encode()]
    return told and head.startswith(b"#")


def settings(service: ServiceSpec, layout: Layout, office: Office) -> Mapping[str, Any]:
    """The content of the service's settings file."""
    name = service.name
    values: dict[str, Any] = {**service.settings(layout, office)}
    values |= {listener.block: office.listen(listener.name).model_dump(mode="json") for listener in service.listeners}
    if (monitoring := office.monitoring(name)) is not None:
        values[METRICS] = monitoring.model_dump(mode="json")
    if service.has_token:
        values["token"] = service_settings.token_of(layout, name)
    if service.identity is not Identity.NONE:
        values["tls"] = service_settings.tls(layout, office, name)
    if service.database is not None:
        values["database"] = service_settings.database(layout, service.database)
    return values


def monitoring_targets(office: Office, services: Sequence[ServiceSpec] = SERVICES) -> list[dict[str, Any]]:
    """The services' monitoring addresses as Prometheus reads them from a file (file_sd); deploy/monitoring uses it."""
    listens = {service.name: office.monitoring(service.name) for service in services}
    return [{"targets": [listen.target], "labels": {"job": name}} for name, listen in listens.items() if listen is not None]
