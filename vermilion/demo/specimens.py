"""Two specimens that look sealed and are not: one altered afterwards, one by a genuine key that nobody approved."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vermilion.demo.papers import AMOUNT, HIGHER, PAPER_BYTES, payment_order
from vermilion.demo.stage import APPLICANT, Stage
from vermilion.messages import text
from vermilion.operation.programs import run
from vermilion.terminal import say, show_outcome
from vermilion.use_cases.verifying import Verifier

LOG_S = 30.0  # a checkpoint is made every second; a busy machine takes longer
LOOK_AGAIN_S = 0.5


def make(stage: Stage, folder: Path) -> bool:
    """Makes both and has them judged; whether each verdict is what it must be."""
    say("demo.specimens.lead")
    tampered, unapproved = folder / "tampered.pdf", folder / "unapproved.pdf"
    tampered.write_bytes(_sealed(stage, folder).replace(AMOUNT, HIGHER))
    unapproved.write_bytes(_signed_by_a_thief(stage))
    with Verifier(stage.layout, stage.office) as verify:
        changed, stolen = verify.report(tampered), verify.report(unapproved)
        patience = time.monotonic() + LOG_S
        while stolen["verdict"] == "undetermined" and time.monotonic() < patience:  # until the public log reaches up to this moment
            time.sleep(LOOK_AGAIN_S)
            stolen = verify.report(unapproved)
    for file, answer in ((tampered, changed), (unapproved, stolen)):
        show_outcome(str(answer["verdict"]), file.name, str(answer["sentence"]))
    held = changed["verdict"] == "invalid" and stolen["verdict"] == "invalid" and _state(stolen) == "not_authorised"
    if not held:
        say("demo.specimens.wrong", "invalid")
    return held


def _sealed(stage: Stage, folder: Path) -> bytes:
    """A payment order, sealed in good order."""
    document = payment_order(7)
    form = stage.client.apply(
        stage.office.seal("contract").id, [document], title=text("demo.specimens.title"), applicant=stage.person(APPLICANT).id
    )
    (outcome,) = stage.client.seal(stage.approved(form), [document], folder)
    assert outcome.path is not None, f"the specimen was refused: {outcome.reason}"
    content = outcome.path.read_bytes()
    outcome.path.unlink()
    return content


def _signed_by_a_thief(stage: Stage) -> bytes:
    seal = stage.office.seal("contract")
    arguments = ("--config", stage.layout.config("signer"), "--label", seal.label, "--certificate", stage.layout.pki / f"{seal.label}.pem")
    return run("vermilion.demo.stolen_key", *arguments, stdin=payment_order(8).read(PAPER_BYTES))


def _state(answer: dict[str, Any]) -> str:
    return str(answer["seals"][0]["authorised"]["state"]) if answer["seals"] else ""
