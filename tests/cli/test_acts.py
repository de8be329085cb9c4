"""Acts from the command line on a running office: what is refused before it is filed, what approvers see, and files that come along."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.main import get_command

import vermilion.cli.program
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.protocol.act_effects import CERTIFICATES, IDENTITIES, REGISTER
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from tests.cli.running import APPROVERS, OFFICIAL_SEAL, RunningOffice
from tests.cli.words import client, flat
from tests.conftest import EXAMPLES
from tests.signer.office import document, picture
from tests.support.waiting import until
from vermilion import exits
from vermilion.remote.workflow_client import WorkflowClient
from vermilion.use_cases import acts, ended

PEOPLE = ("--as", "Chen Rui", "--as", "Zhao Ming")


def test_an_act_that_nobody_could_carry_out_or_that_bricks_a_seal_is_not_even_filed(office: RunningOffice) -> None:
    for action, least, code in (
        ("grant", "1", "ACTION_UNKNOWN"),
        ("destroy", "1", "ACTION_UNKNOWN"),  # the protocol has it, no office does it
        ("seal", "9", "QUORUM_UNMEETABLE"),
        ("resume", "64", "QUORUM_UNMEETABLE"),
    ):
        refused = office.run("seals", "quorum", "official", "--action", action, "--least", least, *PEOPLE)
        assert refused.returncode != exits.DONE
        assert code in refused.stderr
        title = f"The quorum of the official seal for {action}: {least}"
        assert title not in [form["title"] for form in office.json("forms", "list")]
    policy = office.run("seals", "policy", "official", "--action", "destroy", "--least", "3", *PEOPLE)
    assert policy.returncode == exits.USAGE and "ACTION_UNKNOWN" in policy.stderr and "resume, revoke, seal" in flat(policy.stderr)
    assert office.json("forms", "refused") == []


@OFFICIAL_SEAL
def test_approvers_see_the_effect_and_not_the_title(office: RunningOffice) -> None:
    """A form titled "Register Hanna Weber" that in truth lowers a quorum."""
    seal = next(one for one in office.json("seals", "list") if one["kind"] == "official")
    parameters = {"change": "seal_quorum", "id": seal["id"], "quorum": ["seal:0", "resume:2"]}
    with WorkflowClient(office.layout, office.office) as workflow:
        body = {"seal": "", "action": "register", "title": "Register Hanna Weber", "act": parameters}
        form = workflow.post("/v1/forms", body)
        told = workflow.form(form["number"])["effect"]
    assert told["kind"] == "register.seal_quorum"
    shown = office.json("forms", "show", form["number"])["effect"]
    assert shown["facts"][0] == told["facts"][0]
    lowered = f"seal, persons: {seal['quorum']['seal']} → 0 (fewer than now); 0 is the workflow alone"
    words = flat(office.run("forms", "show", form["number"]).stdout)
    unasked = office.run("forms", "approve", form["number"], "--as", "Chen Rui")  # no terminal to ask on
    assert unasked.returncode != exits.DONE and "nothing was approved" in flat(unasked.stderr)
    assert office.json("forms", "show", form["number"])["decisions"] == []
    approved = flat(office.run("forms", "approve", form["number"], "--as", "Chen Rui", "--yes").stdout)
    assert f"Chen Rui approved {form['number']}; it has 1 of the 2 approvals that are asked for now." in approved
    for said in (words, approved):
        assert "Changes how many persons must decide" in said
        assert lowered in said
        assert "nobody may any more" in said
    assert "“Register Hanna Weber” (the applicant's words)" in words
    assert office.run("forms", "reject", form["number"], "--as", "Zhao Ming", "--reason", "not what it says").returncode == exits.DONE


def test_a_new_picture_comes_by_an_act_and_then_seals(office: RunningOffice, tmp_path: Path) -> None:
    drawn = tmp_path / "new.pdf"
    drawn.write_bytes(picture(inset=23))
    digest = hashlib.sha256(drawn.read_bytes()).hexdigest()
    applied = office.run("seals", "picture", "invoice", drawn)
    number = next(word for word in applied.stdout.split() if word.startswith(("DEMO-", "OFFICE-")))
    assert office.run("forms", "attachments", number, "--out", tmp_path / "new").returncode == exits.DONE
    assert (tmp_path / "new" / f"{digest}.pdf").read_bytes() == drawn.read_bytes()
    for person in ("Chen Rui", "Zhao Ming"):
        approved = office.run("forms", "approve", number, "--as", person, "--yes")
        assert digest in flat(approved.stdout).replace(" ", ""), approved.stderr
    seal = next(one for one in office.json("seals", "list") if one["kind"] == "invoice")

    def is_carried_out() -> bool:
        assert office.json("forms", "show", number)["performance"]["state"] in ("pending", "done")
        return digest in next(one for one in office.json("seals", "list") if one["kind"] == "invoice")["pictures"]

    until(is_carried_out)
    mark = Mark((0,), Rectangle(300_000, 100_000, 419_000, 219_000), bytes.fromhex(digest))
    with client(office) as backend:
        form = backend.apply(seal["id"], [EXAMPLES / "invoice.pdf"], title="With the new picture", placement=Placement((mark,)))
        for person in ("Chen Rui", "Zhao Ming")[: form.context.policy.quorum]:
            assert f"picture {digest[:16]}" in flat(office.run("forms", "approve", form.number, "--as", person, "--yes").stdout)
        (outcome,) = backend.seal(backend.wait_approved(form.number, timeout_s=30), [EXAMPLES / "invoice.pdf"], tmp_path / "out")
    assert outcome.outcome == "sealed", outcome


def test_an_act_that_was_refused_before_says_so_when_it_is_asked_for_again(office: RunningOffice, tmp_path: Path) -> None:
    commands = (
        ("seals", "picture", "invoice", tmp_path / "refused.pdf"),
        ("clients", "add", "refused-client", "--out", tmp_path / "bundle"),
    )
    (tmp_path / "refused.pdf").write_bytes(picture(inset=31))
    for command in commands:
        first = office.run(*command)
        number = next(word for word in first.stdout.split() if word.startswith(("DEMO-", "OFFICE-")))
        assert number not in first.stderr, "nothing came before it"
        assert office.run("forms", "reject", number, "--as", "Zhao Ming", "--reason", "not this year").returncode == exits.DONE
        again = office.run(*command)
        told = flat(again.stderr)
        assert again.returncode == exits.DONE and all(word in told for word in (number, "Zhao Ming", "not this year")), told
        anew = next(word for word in again.stdout.split() if word.startswith(("DEMO-", "OFFICE-")))
        assert anew != number and office.run("forms", "withdraw", anew).returncode == exits.DONE


def test_a_client_whose_form_came_to_nothing_is_asked_for_again_and_not_registered_twice(office: RunningOffice, tmp_path: Path) -> None:
    def add(bundle: str, *more: str) -> tuple[int, str]:
        done = office.run("clients", "add", "once-only", "--out", tmp_path / bundle, *more)
        return done.returncode, flat(done.stdout + done.stderr)

    first = office.json("clients", "add", "once-only", "--out", tmp_path / "a")["form"]
    assert office.run("forms", "reject", first, "--as", "Zhao Ming", "--reason", "not yet").returncode == exits.DONE
    second = office.json("clients", "add", "once-only", "--out", tmp_path / "b")["form"]  # its key is another one
    code, said = add("c")
    assert code == exits.REFUSED and "CONFLICT" in said and f"`vermilion forms withdraw {second} --state" in said
    assert office.run("forms", "withdraw", second).returncode == exits.DONE
    code, said = add("c", "--for-unit", "ELSEWHERE")
    assert code == exits.REFUSED and "CONFLICT" in said and "keeps its units" in said
    assert add("b", *PEOPLE)[0] == exits.DONE
    code, said = add("c")
    assert code == exits.REFUSED and "CONFLICT" in said and "`vermilion ca revoke " in said
    assert office.run("ca", "revoke", tmp_path / "b" / "cert.pem", "--reason", "superseded", *PEOPLE).returncode == exits.DONE
    anew = office.json("clients", "add", "once-only", "--out", tmp_path / "c")["form"]  # as that says
    assert office.run("forms", "withdraw", anew).returncode == exits.DONE
    with WorkflowClient(office.layout, office.office) as workflow:
        assert [one["name"] for one in workflow.get("/v1/clients", limit=200)["clients"]].count("once-only") == 1
        with pytest.raises(VermilionError) as refused:
            workflow.post("/v1/clients", {"name": "Once-Only"})
    assert refused.value.code is Code.CONFLICT


def test_a_refusal_under_a_code_of_a_later_release_is_told(office: RunningOffice) -> None:
    """The workflow was upgraded first: its answers have codes that this program does not know."""
    with WorkflowClient(office.layout, office.office) as workflow:
        workflow.post("/v1/clients", {"id": uuid7(), "name": "of-later", "unit": office.office.unit, "units": []})
    done = office.run("clients", "stop", "of-later", *PEOPLE)
    assert done.returncode == exits.DONE, done.stderr
    number = next(word for word in done.stdout.split() if word.startswith(("DEMO-", "OFFICE-"))).rstrip(",")
    assert office.run("clients", "allow", "of-later", *PEOPLE).returncode == exits.DONE
    with closing(sqlite3.connect(office.layout.state / "workflow" / "workflow.db")) as database, database:
        told = "UPDATE outbox SET state = 'closed', code = 'OF_LATER', reason = 'what it says' WHERE number = ? AND kind = 'perform'"
        assert database.execute(told, (number,)).rowcount == 1
    again = office.run("clients", "stop", "of-later")
    assert again.returncode == exits.DONE and all(word in flat(again.stderr) for word in (number, "OF_LATER", "what it says"))
    anew = next(word for word in again.stdout.split() if word.startswith(("DEMO-", "OFFICE-")))
    assert anew != number and office.run("forms", "withdraw", anew).returncode == exits.DONE
    with WorkflowClient(office.layout, office.office) as workflow:
        assert ended.why(workflow.form(number), {}) == (
            Code.FORM_STATE,
            f"form {number} was approved, but not carried out: OF_LATER: what it says",
        )
        with pytest.raises(VermilionError, match="OF_LATER: what it says") as refused:
            acts.await_performed(workflow, number)
    assert refused.value.code is Code.FORM_STATE


@OFFICIAL_SEAL
def test_a_template_comes_by_an_act_and_then_bounds_a_grant(office: RunningOffice, tmp_path: Path) -> None:
    base, other = tmp_path / "letter.pdf", tmp_path / "other.pdf"
    base.write_bytes(document("The letter"))
    other.write_bytes(document("Another letter"))
    added = office.json("templates", "add", base, *PEOPLE)
    assert added["ledger_index"] is not None
    seal = next(one for one in office.json("seals", "list") if one["kind"] == "official")
    with client(office) as backend:
        until = int(base.stat().st_mtime) + 86_400
        form = backend.apply_grant(seal["id"], uses=2, until=until, title="Letters", template=added["template"])
        for person in ("Chen Rui", "Zhao Ming")[: form.context.policy.quorum]:
            approved = office.run("forms", "approve", form.number, "--as", person, "--yes")
            assert approved.returncode == exits.DONE, approved.stderr
            assert "only on the registered template" in flat(approved.stdout)
        form = backend.wait_approved(form.number, timeout_s=30)
        outcomes = backend.seal(form, [base, other], tmp_path / "out")
    assert [(one.outcome, one.code) for one in outcomes] == [("sealed", None), ("refused", "TEMPLATE_MISMATCH")]


COMMANDS = {
    "person_add": "people add",
    "person_remove": "people remove",
    "register_quorum": "people quorum",
    "issuer_add": "issuers add",
    "issuer_remove": "issuers remove",
    "template_add": "templates add",
    "policy_add": "seals policy",
    "seal_add": "seals add",
    "seal_certificate": "ca import",
    "seal_quorum": "seals quorum",
    "seal_content": "seals content",
    "seal_certification": "seals certification",
    "seal_picture_add": "seals picture",
    "seal_retire": "seals retire",
    "client_stop": "clients stop",
    "client_allow": "clients allow",
    "certificate": "ca issue",
    "revoke": "ca revoke",
    "hold": "ca hold",
    "release": "ca release",
    "resume": "seals resume",
}


def test_every_kind_of_act_has_a_command() -> None:
    assert set(COMMANDS) == {*REGISTER, *IDENTITIES, *CERTIFICATES, "resume"}
    for command in COMMANDS.values():
        group, name = command.split()
        assert name in get_command(vermilion.cli.program.app).commands[group].commands, command  # type: ignore[attr-defined]


@OFFICIAL_SEAL
def test_a_seals_content_policy_is_set_and_shown(office: RunningOffice) -> None:
    for policy in ("strict", "report"):
        done = office.run("seals", "content", "official", policy, *PEOPLE)
        assert done.returncode == exits.DONE, done.stderr
        assert policy in flat(done.stdout)
        assert office.json("seals", "show", "official")["content_policy"] == policy


def test_a_business_system_is_shut_out_and_let_in_again(office: RunningOffice) -> None:
    with WorkflowClient(office.layout, office.office) as workflow:
        added = workflow.post("/v1/clients", {"id": uuid7(), "name": "shut-out", "unit": office.office.unit, "units": []})
    stopped = office.run("clients", "stop", "shut-out", *PEOPLE)
    assert stopped.returncode == exits.DONE and added["uri"] in flat(stopped.stdout), stopped.stderr
    again = office.run("clients", "allow", added["uri"], *PEOPLE)
    assert again.returncode == exits.DONE, again.stderr
    unknown = office.run("clients", "stop", "nobody")
    assert "NOT_FOUND" in unknown.stderr and "demo-backend" in flat(unknown.stderr)


def test_an_issuer_is_pinned_and_taken_out(office: RunningOffice, tmp_path: Path) -> None:
    spki = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(spki)
    before = office.json("issuers", "list")
    assert office.run("issuers", "add", tmp_path / "key.pem", *PEOPLE).returncode == exits.DONE
    (added,) = set(office.json("issuers", "list")) - set(before)
    assert office.run("issuers", "remove", added, *PEOPLE).returncode == exits.DONE
    assert office.json("issuers", "list") == before


@APPROVERS
@pytest.mark.parametrize("typed", ["people remove {person}", "people quorum --least 9"])
def test_what_leaves_too_few_people_is_not_even_filed(typed: str, office: RunningOffice) -> None:
    refused = office.run(*(each.format(person="Zhao Ming") for each in typed.split()))
    assert refused.returncode == exits.REFUSED and "QUORUM_UNMEETABLE" in refused.stderr


@OFFICIAL_SEAL
def test_new_and_retired_seals_are_asked_for(office: RunningOffice, tmp_path: Path) -> None:
    label, pki, chain = office.office.seals[0].label, office.layout.pki, tmp_path / "chain.pem"
    chain.write_bytes((pki / f"{label}.pem").read_bytes() + (pki / "seals-chain.pem").read_bytes())
    picture = pki / "pictures" / f"{office.office.seals[0].kind}.pdf"
    added = office.run("seals", "add", "department", "--label", label, "--certificate", chain, "--picture", picture)
    assert added.returncode == exits.REFUSED and "CONFLICT" in added.stderr  # the signer read it: a key has one seal
    asked = office.run("seals", "retire", "official")
    assert asked.returncode == exits.DONE and "vermilion forms approve" in flat(asked.stdout)
