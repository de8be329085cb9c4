"""Open forms lapse by themselves once their term has ended: nobody can decide on them any more, and their history says so."""

from __future__ import annotations

from typing import Final

from sealcore.platform.db import read, write
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import Periodic
from workflow.delivery import events
from workflow.forms import store as form_store
from workflow.forms.model import FormState
from workflow.office import Office

ROUND_S: Final = 30.0  # a form past its term takes no decision before that either (``Form.check_open``)
AT_ONCE: Final = 200  # forms a round; those that are left come with the next one


class Lapse:
    """A background task of the workflow. Replicas may run it beside each other: a form's row is locked, and lapses once."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._task = Periodic("form-lapse", self.round, ROUND_S, clock=office.clock)

    def start(self) -> None:
        """Begins."""
        self._task.start()

    def stop(self) -> None:
        """Ends; a round that runs is finished."""
        self._task.stop()

    def round(self) -> list[str]:
        """The numbers of the forms that have lapsed now."""
        now, lapsed = self._office.now(), []
        with read(self._office.engine) as connection:
            due = form_store.past_term(connection, now, AT_ONCE)
        for number in due:
            with write(self._office.engine) as connection:
                form = form_store.form(connection, number, lock=True)
                if form.state is not FormState.APPLIED:  # settled since
                    continue
                form_store.end(connection, form.lapsed(now))
                events.record_form(
                    connection, "form.lapsed", form, now, approvals=sum(one.decision.verdict == "approve" for one in form.decisions)
                )
            get_log("forms").info("form lapsed", form=number)
            lapsed.append(number)
        return lapsed
