"""Each caller has a share, and callers take turns: nobody's forms are held by another's. Shown by order and by limits, never by a clock."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.platform.front.protocol import PEER_SCOPE_KEY
from sealcore.platform.turns import Turns
from tests.pki import InfrastructureCa
from tests.workflow.conftest import NOON, Desk
from tests.workflow.deciding import decide, refusal
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import ActRequest
from workflow.forms.model import Form
from workflow.office import Bounds
from workflow.settings import QuotaSettings
from workflow.web.limits import Admission
from workflow.web.quota import BIG_BYTES, Quotas

BIG = bytes(BIG_BYTES + 1)


class Gate:
    """The gate before an application that holds each request until it is let go; ``begun`` is the order in which they came through."""

    def __init__(self, ca: InfrastructureCa, **limits: int) -> None:
        self.begun: list[str] = []
        self._ca, self._let_go = ca, asyncio.Semaphore(0)
        self.clock = FixedClock(NOON)
        self._admission = Admission(self._app, Quotas(QuotaSettings(**limits), self.clock))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.append(scope["name"])
        await receive()
        await self._let_go.acquire()
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def let_go(self) -> None:
        self._let_go.release()

    def send(
        self, client: str, name: str, body: bytes = b"{}", *, path: str = "/v1/forms"
    ) -> asyncio.Task[tuple[int, Any, dict[str, str]]]:
        """A POST by a client; status, problem and headers."""
        return asyncio.get_running_loop().create_task(self._sent(client, name, body, path))

    async def _sent(self, client: str, name: str, body: bytes, path: str) -> tuple[int, Any, dict[str, str]]:
        certificate = load_pem_x509_certificate(self._ca.identity(client, client_uri(client)).certificate_file.read_bytes())
        scope = {
            "type": "http", "method": "POST", "path": path, "headers": [], "name": name, PEER_SCOPE_KEY: certificate.public_bytes(Encoding.PEM),
        }  # fmt: skip
        parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(0)
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)} if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._admission(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], json.loads(body) if body else None, headers


async def settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


def test_big_forms_of_one_client_do_not_hold_anothers(ca: InfrastructureCa) -> None:
    """Eight big forms of one client are under way; the other's big form is next, and its small one does not wait at all."""

    async def story() -> None:
        gate = Gate(ca)
        greedy = [gate.send("greedy", f"greedy {n}", BIG) for n in range(8)]
        await settled()
        assert gate.begun == ["greedy 0"]
        honest = [gate.send("honest", "honest big", BIG), gate.send("honest", "honest small")]
        await settled()
        assert gate.begun == ["greedy 0", "honest small"]
        for _ in range(10):
            gate.let_go()
        answers = await asyncio.gather(*greedy, *honest)
        assert gate.begun[2:4] in (["greedy 1", "honest big"], ["honest big", "greedy 1"])
        assert len(gate.begun) == 10
        assert {answer[0] for answer in answers} == {201}

    asyncio.run(story())


def test_calls_and_bytes_at_once_are_bounded_for_each_client(ca: InfrastructureCa) -> None:
    async def story() -> None:
        gate = Gate(ca, calls=3, bytes_at_once=3 * len(BIG), bytes_held=4 * len(BIG))
        held = [gate.send("greedy", f"g{n}", BIG) for n in range(3)]
        await settled()
        status, refused, headers = await gate.send("greedy", "one more")
        assert (status, refused["code"], headers["retry-after"]) == (429, "QUOTA_EXCEEDED", "1")
        first = gate.send("honest", "h", BIG)
        await settled()
        status, refused, headers = await gate.send("third", "t", BIG)
        assert (status, refused["code"], headers["retry-after"]) == (429, "OVERLOADED", "2"), "what is held has a bound over all"
        for _ in range(4):
            gate.let_go()
        await asyncio.gather(*held, first)
        gate.let_go()
        assert (await gate.send("greedy", "again", BIG))[0] == 201
        gate = Gate(ca, bytes_at_once=len(BIG))
        one = gate.send("greedy", "one", BIG)
        await settled()
        status, refused, _ = await gate.send("greedy", "two", b"x" * 10)
        assert (status, refused["code"]) == (429, "QUOTA_EXCEEDED")
        gate.let_go()
        await one

    asyncio.run(story())


def test_forms_and_their_bytes_a_minute_are_bounded(ca: InfrastructureCa) -> None:
    async def story() -> None:
        gate = Gate(ca, forms_a_minute=2, form_bytes_a_minute=1000)
        for _ in range(20):
            gate.let_go()
        assert [(await gate.send("greedy", "form"))[0] for _ in range(3)] == [201, 201, 429]
        status, refused, headers = await gate.send("greedy", "form")
        assert (status, refused["code"], headers["retry-after"]) == (429, "QUOTA_EXCEEDED", "31")
        assert (await gate.send("greedy", "a decision", path="/v1/forms/OFFICE-2026-000001/decisions"))[0] == 201
        assert (await gate.send("honest", "form"))[0] == 201
        gate.clock.advance(31)
        assert (await gate.send("greedy", "form"))[0] == 201
        assert (await gate.send("bulky", "form", bytes(900)))[0] == 201
        assert (await gate.send("bulky", "form", bytes(900)))[0] == 429

    asyncio.run(story())


def test_a_turn_that_is_given_up_while_waiting_is_nobodys(ca: InfrastructureCa) -> None:
    async def story() -> None:
        turns, order = Turns(1, 1), []

        async def worker(name: str, caller: str) -> None:
            async with turns.turn(caller):
                order.append(name)
                await asyncio.sleep(0)

        async with turns.turn("a"):
            waiting = [asyncio.create_task(worker(f"a{n}", "a")) for n in range(3)] + [asyncio.create_task(worker("b", "b"))]
            await settled()
            waiting[0].cancel()
            await settled()
        await asyncio.gather(*waiting[1:])
        assert sorted(order) == ["a1", "a2", "b"]
        assert order.index("b") < 2

    asyncio.run(story())


def test_forms_that_wait_for_people_are_bounded_for_each_client(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    bounds = Bounds(**{**vars(desk.office.bounds), "open_forms": 2})
    object.__setattr__(desk.office, "bounds", bounds)
    first, _ = desk.submit(seal), desk.submit(seal)
    with pytest.raises(VermilionError) as refused:
        desk.submit(seal)
    assert (refused.value.code, refused.value.retry_after_s) == (Code.QUOTA_EXCEEDED, forms.OPEN_RETRY_S)
    forms.withdraw(desk.office, desk.client, first.number)
    assert desk.submit(seal).number == "OFFICE-2026-000003", "a refused form takes no number"
    assert refusal(lambda: desk.submit(seal)) is Code.QUOTA_EXCEEDED


def test_what_has_lapsed_waits_for_nobody(desk: Desk) -> None:
    """A client whose forms nobody decides on would be locked out for good."""
    seal = desk.signer.state.add_seal(seal=1)
    object.__setattr__(desk.office, "bounds", replace(desk.office.bounds, open_forms=1))
    desk.submit(seal)
    assert refusal(lambda: desk.submit(seal)) is Code.QUOTA_EXCEEDED
    desk.clock.advance(desk.office.bounds.token_validity_s + 1)
    desk.submit(seal)


def test_files_of_acts_that_wait_are_bounded_for_each_client_and_go_with_their_form(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filed, taken back and filed again, they would fill the database."""
    monkeypatch.setattr(forms, "MOST_WAITING_BYTES", 3000)
    act = {"change": "seal_picture_add", "id": uuid7(), "picture": "ab" * 32}

    def ask(content: bytes) -> Form:
        return desk.submit("", asked=ActRequest(act, (content,)), action="register")

    first = ask(b"a" * 1500)
    second = ask(b"b" * 1500)
    assert refusal(lambda: ask(b"c")) is Code.QUOTA_EXCEEDED
    desk.submit("", asked=ActRequest({**act, "picture": "cd" * 32}), action="register")  # without a file
    forms.withdraw(desk.office, desk.client, first.number)
    assert forms.show(desk.office, desk.operator, first.number).attachments == ()
    decide(desk, second, desk.human("approver"), "reject", "not this one")
    assert forms.show(desk.office, desk.operator, second.number).attachments == ()
    for content in (b"c", b"d"):
        ask(content * 1500)
    assert refusal(lambda: ask(b"e")) is Code.QUOTA_EXCEEDED
