"""What each service is started with, worked out from its entry, vermilion.toml and the ceremony's certificates; written at every start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sealcore.platform import durable
from vermilion.operation import service_settings
from vermilion.services import METRICS, SERVICES, Identity, ServiceSpec
from vermilion.state import toml
from vermilion.state.layout import FOLDER_MODE, Layout
from vermilion.state.office import Office


def write_all(layout: Layout, office: Office, services: Sequence[ServiceSpec] = SERVICES) -> None:
    """Writes config/NAME.toml of every service, and makes the folders that they keep their state in."""
    for service in services:
        layout.service(service.name).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        toml.write(layout.config(service.name), settings(service, layout, office))
    durable.write(layout.monitoring_targets, (json.dumps(monitoring_targets(office, services), indent=1) + "\n").encode())


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
