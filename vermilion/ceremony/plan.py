"""The demonstration office: who belongs to it, which seals it has, how many must approve. Drawn once, then kept in vermilion.toml."""

from __future__ import annotations

from collections.abc import Sequence

from sealcore.ids import uuid7
from vermilion.operation.ports import choose_ports, port_is_free
from vermilion.services import SERVICES, ServiceSpec
from vermilion.state.office import Office, PersonPlan, SealPlan

CLIENT = "demo-backend"
UNIT = "DEMO"  # the client's unit: forms DEMO-2026-000001 …
OFFICE_UNIT = "OFFICE"  # of people and acts


def draw(ports_from: int | None, services: Sequence[ServiceSpec] = SERVICES) -> Office:
    """A new office with ids of its own and ports that are free now."""
    return Office(
        name="澄江文衡科技有限公司",
        name_english="Chengjiang Wenheng Technology Co., Ltd.",
        slug="wenheng",
        unit=OFFICE_UNIT,
        ports=choose_ports(ports_from, port_is_free, services=services),
        seals=(
            SealPlan(
                id=uuid7(),
                label="seal.contract.1",
                kind="contract",
                caption="合同专用章",
                number="3205810117342",
                quorum=2,
                resume_quorum=2,
                certification="form-fill",
            ),
            SealPlan(
                id=uuid7(),
                label="seal.invoice.1",
                kind="invoice",
                caption="发票专用章",
                number="3205810117343",
                quorum=1,
                resume_quorum=2,
                certification="final",
            ),
            SealPlan(
                id=uuid7(),
                label="seal.official.1",
                kind="official",
                caption="",
                number="3205810117341",
                quorum=2,
                resume_quorum=2,
                certification="final",
            ),
        ),
        people=(
            PersonPlan(id=uuid7(), name="Lin Yue", unit=UNIT, roles=("applicant",)),
            PersonPlan(id=uuid7(), name="Chen Rui", unit=OFFICE_UNIT, roles=("approver",)),
            PersonPlan(id=uuid7(), name="Zhao Ming", unit=OFFICE_UNIT, roles=("approver",)),
            PersonPlan(id=uuid7(), name="Wang Fang", unit=OFFICE_UNIT, roles=("officer",)),
        ),
        clients={CLIENT: uuid7()},
    )
