"""Keeps the certificates of the operator and of the clients in the state folder in force while the office runs.

Services renew their own. A bundle that was carried to another machine is renewed there: `vermilion clients renew`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sealcore.clock import Clock, SystemClock
from sealcore.errors import VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import renewal
from sealcore.platform.identity import read
from sealcore.platform.periodic import Periodic
from vermilion.remote.workflow_client import in_folder
from vermilion.services import SERVICES
from vermilion.state.layout import Layout

OPERATOR: Final = "operator"
ROUND_S: Final = 3600.0


class ClientRenewal:
    """A background task that renews what is due. ``report`` gets folder and fault of what cannot be renewed."""

    def __init__(
        self, layout: Layout, ca_target: str, report: Callable[[Path, VermilionError], None], *, clock: Clock | None = None
    ) -> None:
        self._layout = layout
        self._ca_target = ca_target
        self._report = report
        self._clock = clock or SystemClock()
        self._task = Periodic("client-renewal", self.round, ROUND_S, clock=self._clock)

    def __enter__(self) -> ClientRenewal:
        self._task.start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._task.stop(within_s=0)

    def round(self) -> list[Path]:
        """Renews what is due now; the folders that were renewed."""
        renewed = []
        for folder in client_bundles(self._layout):
            tls = in_folder(folder)
            try:
                if renewal.due(read(tls).certificate, self._clock):
                    renewal.renew(tls, self._ca_target, self._clock)
                    renewed.append(folder)
            except Exception as raised:  # noqa: BLE001  (what is wrong with one client's files must not keep the others from renewal)
                with suppress(OSError):  # a terminal that is gone keeps the others from nothing either
                    self._report(folder, typed(raised))
        return renewed


def bundle_names(layout: Layout) -> list[str]:
    """The names of the business systems whose bundles lie with the office."""
    return [folder.name for folder in client_bundles(layout) if folder.name != OPERATOR]


def client_bundles(layout: Layout) -> list[Path]:
    """The clients' folders; one without a certificate waits for people's approval."""
    folders = (file.parent for file in sorted(layout.tls("").glob("*/key.pem")))
    return [one for one in folders if one.name not in {service.name for service in SERVICES} and (one / "cert.pem").exists()]
