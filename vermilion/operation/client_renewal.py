"""Keeps the certificates of the operator and of the clients in the state folder in force while the office runs.

Services renew their own. A bundle that was carried to another machine is renewed there: `vermilion clients renew`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sealcore.clock import Clock, SystemClock
from sealcore.errors import VermilionError
from sealcore.platform import renewal
from sealcore.platform.identity import read
from vermilion.remote.workflow_client import in_folder
from vermilion.services import SERVICES
from vermilion.state.layout import Layout

ROUND_S: Final = 3600.0


class ClientRenewal:
    """A thread that renews what is due. ``report`` gets folder and fault of what cannot be renewed."""

    def __init__(
        self, layout: Layout, ca_target: str, report: Callable[[Path, VermilionError], None], *, clock: Clock | None = None
    ) -> None:
        self._layout = layout
        self._ca_target = ca_target
        self._report = report
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="client-renewal", daemon=True)

    def __enter__(self) -> ClientRenewal:
        self._thread.start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._stop.set()

    def round(self) -> list[Path]:
        """Renews what is due now; the folders that were renewed."""
        renewed = []
        for folder in client_bundles(self._layout):
            tls = in_folder(folder)
            try:
                if renewal.due(read(tls).certificate, self._clock):
                    renewal.renew(tls, self._ca_target, self._clock)
                    renewed.append(folder)
            except VermilionError as fault:
                self._report(folder, fault)
        return renewed

    def _loop(self) -> None:
        while not self._stop.wait(ROUND_S):
            self.round()


def client_bundles(layout: Layout) -> list[Path]:
    """The clients' folders; one without a certificate waits for people's approval."""
    folders = (file.parent for file in sorted(layout.tls("").glob("*/key.pem")))
    return [one for one in folders if one.name not in {service.name for service in SERVICES} and (one / "cert.pem").exists()]
