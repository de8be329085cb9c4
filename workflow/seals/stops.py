"""Use cases around stopping: an officer's signed order goes to the signer at once. The workflow adds nothing and can forge nothing."""

from __future__ import annotations

from sealcore.platform.db import write
from sealcore.protocol.stop import StopStatement
from workflow.delivery import events
from workflow.delivery.signer_link import Stop, Stopped
from workflow.office import Office


def stop(office: Office, by: str, statement: StopStatement, signature: bytes) -> Stopped:
    """Forwards a stop and records it. The signer's own answer comes back: DECISION_INVALID, APPROVER_UNKNOWN, SERVICE_UNAVAILABLE …"""
    order = Stop(statement.subject_kind, statement.subject, statement.officer, statement.reason, statement.time, signature)
    stopped = office.register.stop(order)

    def note() -> None:
        with write(office.engine) as connection:
            events.record(
                connection,
                events.AUDIT,
                f"{statement.subject_kind}.stopped",
                office.now(),
                person=statement.officer,
                subject=statement.subject,
                by=by,
            )

    office.storage.for_a_stop(note)
    return stopped
