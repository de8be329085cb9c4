"""An office from its plan: the program makes the identifiers, the labels of keys, the ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sealcore.hsm.algorithm import Algorithm
from sealcore.ids import uuid7
from vermilion.operation.ports import choose_ports, port_is_free
from vermilion.planning.model import Plan, Seal, organization_identifier
from vermilion.services import SERVICES, ServiceSpec
from vermilion.state.office import Office, PersonPlan, SealPlan, UnitPlan


def draw(plan: Plan, ports_from: int | None = None, services: Sequence[ServiceSpec] = SERVICES) -> Office:
    """A new office with ids of its own and ports that are free now."""
    return Office(
        name=plan.name,
        name_english=plan.name_english or plan.name,
        names=plan.names,
        country=plan.country,
        registration_number=organization_identifier(plan.country, plan.registration_number),
        slug=plan.short_name,
        unit=plan.office_unit,
        register_quorum=plan.register_quorum,
        clock=plan.clock,
        ports=choose_ports(ports_from, port_is_free, services=services),
        addresses=plan.addresses,
        units=tuple(UnitPlan(code=unit.code, name=unit.name) for unit in plan.units),
        seals=_seals(plan),
        people=tuple(
            PersonPlan(id=uuid7(), name=person.name, unit=person.unit or plan.office_unit, roles=tuple(person.roles))
            for person in plan.people
        ),
        clients={client.name: uuid7() for client in plan.clients},
        client_units={client.name: (client.unit or plan.office_unit, *client.units) for client in plan.clients},
    )


def _seals(plan: Plan) -> tuple[SealPlan, ...]:
    counted: Counter[str] = Counter()
    made = []
    for seal in plan.seals:
        counted[seal.kind] += 1
        made.append(_seal(plan, seal, f"seal.{seal.kind}.{counted[seal.kind]}"))
    return tuple(made)


def _seal(plan: Plan, seal: Seal, label: str) -> SealPlan:
    usual_resume, usual_grant = plan.register_quorum, max(seal.quorum, plan.register_quorum)
    return SealPlan(
        id=uuid7(),
        label=label,
        kind=seal.kind,
        algorithm=Algorithm(seal.algorithm),
        name=plan.names[seal.language] if seal.language else "",
        caption=seal.caption,
        number=seal.number,
        quorum=seal.quorum,
        resume_quorum=seal.resume_quorum if seal.resume_quorum is not None else usual_resume,
        grant_quorum=seal.grant_quorum if seal.grant_quorum is not None else usual_grant,
        certification=seal.certification or "",
    )
