"""The key ceremony: from an empty folder to an office, in steps that leave a marker each.

Run again, it does what is still missing and renews certificates that are about to end; stopped in the middle, it goes on there,
because every step may be repeated: what it made before is found and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm import softhsm
from vermilion.ceremony import authorities, beginnings
from vermilion.ceremony.alone import alone
from vermilion.ceremony.context import Ceremony
from vermilion.operation.ports import choose_ports, port_is_free
from vermilion.services import SERVICES, ServiceSpec
from vermilion.state import trust_files
from vermilion.state.layout import Layout
from vermilion.state.office import Office

if TYPE_CHECKING:
    from vermilion.planning.model import Plan

Step = Callable[[Ceremony], None]

STEPS: tuple[tuple[str, Step], ...] = (
    ("tokens", beginnings.tokens),
    ("keys", beginnings.keys),
    ("people", beginnings.people),
    ("root", authorities.root),
    ("certificates", authorities.certificates),
    ("pictures", beginnings.pictures),
    ("register", beginnings.register),
    ("workflow", beginnings.workflow),
)


def ensure(
    layout: Layout,
    *,
    plan: Plan | None = None,
    ports_from: int | None = None,
    report: Callable[[str], None] = lambda _key: None,
    clock: Clock | None = None,
    services: Sequence[ServiceSpec] = SERVICES,
) -> Office:
    """The office in this state folder, made after ``plan`` or completed; ``report`` is told the key of each step before it runs.

    CONFIGURATION_INVALID where there is neither office nor plan, INVALID_ARGUMENT for a path that SoftHSM's configuration cannot carry, CONFLICT while another process makes it; otherwise the typed error of the step that failed, which the next run takes up again.
    """
    softhsm.require_path(layout.state)  # before anything is made
    if plan is None and not layout.office_file.exists():
        raise VermilionError(Code.CONFIGURATION_INVALID, f"there is no office in {layout.state}; `vermilion init` makes one")
    layout.make_folders()
    with alone(layout):
        if plan is not None and not layout.office_file.exists():
            from vermilion.planning import drawing  # noqa: PLC0415  (what judges a plan: a second that other commands need not wait)

            report("plan")
            drawing.draw(plan, ports_from, services).save(layout)
        elif ports_from not in (None, Office.load(layout).ports.get("signer")):
            report("ports_kept")  # they stand in certificates: an office does not move
        ceremony = Ceremony(layout, _with_all_ports(layout, services), clock or SystemClock(), services)
        late = {beginnings.tokens, beginnings.keys} if beginnings.keyless(ceremony) else set()  # for services that came about since
        for name, step in STEPS:
            marker = layout.ceremony / name
            if not marker.exists() or step in late:
                report(name)
                step(ceremony)
                _mark(marker)
        trust_files.write_all(layout, ceremony.clock.now())  # an authority may have ended
        if not layout.ready:
            _mark(layout.ceremony / "finished")
        if authorities.identities_due(ceremony):
            report("identities")
            authorities.identities(ceremony)
        return ceremony.office


def _with_all_ports(layout: Layout, services: Sequence[ServiceSpec]) -> Office:
    """The office; one from before a listener came about gets a port for it."""
    office = Office.load(layout)
    ports = choose_ports(None, port_is_free, office.ports, services)
    if ports != office.ports:
        office = office.model_copy(update={"ports": ports})
        office.save(layout)
    return office


def _mark(marker: Path) -> None:
    marker.touch(mode=0o600)
