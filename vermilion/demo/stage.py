"""What every scene of the demo has at hand: the office, its people's token, a client of it, an operator's workflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from sealcore.clock import Clock
from sealcore.protocol.decision import DecisionContext, Verdict
from vermilion import client as clients
from vermilion.client.people import decide
from vermilion.planning.examples import DEMO_CLIENT
from vermilion.remote.signer_client import SignerClient
from vermilion.remote.workflow_client import WorkflowClient, tls_of
from vermilion.state.layout import Layout
from vermilion.state.office import Office, PersonPlan, SealPlan
from vermilion.use_cases.people_token import PeopleToken

APPLICANT, FIRST, SECOND, OFFICER = "Lin Yue", "Chen Rui", "Zhao Ming", "Wang Fang"


@dataclass(frozen=True)
class Stage:
    """Open connections; closed by ``enter``."""

    layout: Layout
    office: Office
    clock: Clock
    client: clients.Office
    token: PeopleToken
    workflow: WorkflowClient
    signer: SignerClient

    @classmethod
    @contextmanager
    def enter(cls, layout: Layout, office: Office, clock: Clock) -> Iterator[Stage]:
        """Everything open for as long as the story takes."""
        with ExitStack() as stack:
            line = clients.Office(office.url("workflow", scheme="https"), office.listen("signer").target, tls_of(layout, DEMO_CLIENT))
            yield cls(
                layout,
                office,
                clock,
                stack.enter_context(line),
                stack.enter_context(PeopleToken.open(layout.token_settings("people"))),
                stack.enter_context(WorkflowClient(layout, office)),
                stack.enter_context(SignerClient(layout, office)),
            )

    def person(self, name: str) -> PersonPlan:
        """Someone of the cast."""
        found = self.office.person(name)
        assert found is not None, f"{name} is not in this office"
        return found

    def decide(self, number: str, context: DecisionContext, name: str, verdict: Verdict) -> str:
        """A person's signed decision on a form; the form's state after it."""
        person = self.person(name)
        decision = decide(context, person.id, verdict, self.token.key(person.id), now=self.clock.now())
        return self.client.decide(number, decision)

    def approved(self, form: clients.Form, people: Sequence[str] = (FIRST, SECOND)) -> clients.Form:
        """The form after its applicant's signature and these people's approvals."""
        self.decide(form.number, form.context, APPLICANT, "apply")
        for name in people:
            self.decide(form.number, form.context, name, "approve")
        return self.client.form(form.number)

    def named(self, reason: str) -> str:
        """A reason with names in place of the ids of people and seals; services never know the names."""
        names = {person.id: person.name for person in self.office.people} | {seal.id: f"({seal.kind})" for seal in self.office.seals}
        for one, name in names.items():
            reason = reason.replace(one, name)
        return reason

    def picture(self, seal: SealPlan) -> clients.Picture:
        """The seal's registered picture."""
        return self.client.picture(bytes(self.signer.seal(seal.id).picture_sha256[0]))

    def dossier(self, number: str) -> Any:
        """A form as the people who decide see it."""
        return self.workflow.form(number)
