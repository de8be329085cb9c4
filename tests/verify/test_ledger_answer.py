"""What the ledger's answer does to the verdict."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from sealcore.errors import Code, VermilionError
from sealcore.protocol.ledger_entry import Entry
from tests.verify.conftest import Check, codes
from tests.verify.office import NOW, SALT, Office, Sealed, TileLog, page_document
from verify.report import Answer, AuthorisedState, Verdict

OTHER = Entry(kind="audit", time_us=0)


class Signer:
    """A signer that tells a form and a committed size."""

    def __init__(self, form: str = "DEMO-2026-000001", size: int = 0, salt: bytes = SALT) -> None:
        self._form, self._size, self._salt = form, size, salt

    def form(self, _signature_hash: bytes, _index: int) -> tuple[str, bytes] | None:
        return self._form, self._salt

    def committed_size(self) -> int:
        return self._size


class SignerAway(Signer):
    """A signer that does not answer."""

    def form(self, _signature_hash: bytes, _index: int) -> tuple[str, bytes] | None:
        raise VermilionError(Code.SERVICE_UNAVAILABLE, "away")

    def committed_size(self) -> int:
        raise VermilionError(Code.SERVICE_UNAVAILABLE, "away")


def test_a_disclosed_form_that_opens_the_commitment_is_named(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(sealed.entry())
    report = check(sealed.data, log.view(Signer()))
    assert report.sentence.endswith("Unchanged since. Authorised by form DEMO-2026-000001.")
    assert report.seals[0].authorised.form == "DEMO-2026-000001"


@pytest.mark.parametrize("signer", [Signer("DEMO-2026-000002"), Signer(salt=b"\x08" * 32), Signer(salt=b"short"), SignerAway()])
def test_a_form_that_does_not_open_the_commitment_is_not_believed(sealed: Sealed, log: TileLog, check: Check, signer: Signer) -> None:
    log.publish(OTHER, sealed.entry())
    report = check(sealed.data, log.view(signer))
    assert report.verdict is Verdict.VALID and report.seals[0].authorised.form is None
    assert report.sentence.endswith("Authorised, ledger entry 1.")


def test_a_genuine_seal_that_the_whole_ledger_does_not_have_is_not_authorised(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(OTHER)
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.INVALID and codes(report) == {"NOT_AUTHORISED"}
    assert report.seals[0].authorised.state is AuthorisedState.NOT_AUTHORISED
    assert report.seals[0].authorised.checkpoint is not None and report.seals[0].authorised.checkpoint.size == 1


def test_an_entry_among_a_thousand_others_is_found_with_its_proof(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(*[OTHER] * 700, sealed.entry(), *[OTHER] * 299)
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.VALID and report.seals[0].authorised.ledger_index == 700


def test_a_ledger_that_is_away_leaves_it_undetermined(sealed: Sealed, log: TileLog, check: Check) -> None:
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.UNDETERMINED and codes(report) == {"LEDGER_UNREACHABLE"}


def test_what_was_found_once_stays_found_while_the_log_is_away(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(sealed.entry())
    view = log.view()
    assert check(sealed.data, view).verdict is Verdict.VALID
    (log.folder / "checkpoint").unlink()
    assert check(sealed.data, view).verdict is Verdict.VALID


@pytest.mark.parametrize("damage", ["flipped entry", "flipped tile", "no cosignature", "another log's checkpoint", "missing tile"])
def test_a_ledger_whose_proofs_do_not_hold_is_not_believed(office: Office, sealed: Sealed, log: TileLog, check: Check, damage: str) -> None:
    log.publish(OTHER, sealed.entry(), cosign=damage != "no cosignature")
    entries, tile = log.folder / "tile/entries/000.p/2", log.folder / "tile/0/000.p/2"
    match damage:
        case "flipped entry":
            entries.write_bytes(entries.read_bytes()[:-1] + bytes([entries.read_bytes()[-1] ^ 1]))
        case "flipped tile":
            tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
        case "another log's checkpoint":
            other = TileLog(log.folder.parent / "other")
            other.publish(OTHER, sealed.entry())
            (log.folder / "checkpoint").write_bytes((other.folder / "checkpoint").read_bytes())
        case "missing tile":
            entries.unlink()
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.UNDETERMINED and codes(report) <= {"LEDGER_UNTRUSTED", "LEDGER_UNREACHABLE"}


def test_a_checkpoint_older_than_the_seal_proves_nothing_about_it(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(OTHER, cosigned_at=NOW - timedelta(hours=1), read_at=NOW - timedelta(hours=1))
    assert codes(check(sealed.data, log.view())) == {"LEDGER_BEHIND"}
    assert codes(check(sealed.data, log.view(Signer(size=2)))) == {"LEDGER_BEHIND"}
    assert codes(check(sealed.data, log.view(SignerAway()))) == {"LEDGER_BEHIND"}


@pytest.mark.parametrize("read_at", [None, NOW - timedelta(seconds=301), NOW - timedelta(seconds=1), NOW + timedelta(seconds=4)])
def test_a_cosignature_of_now_over_a_head_read_before_proves_nothing(
    sealed: Sealed, log: TileLog, check: Check, read_at: datetime | None
) -> None:
    """A log that has to catch up is cosigned long after it read the head: an honest seal may have been committed in between."""
    log.publish(OTHER, read_at=read_at)
    for signer in (None, Signer(size=2), SignerAway()):
        report = check(sealed.data, log.view(signer))
        assert report.verdict is Verdict.UNDETERMINED and codes(report) == {"LEDGER_BEHIND"}


def test_a_log_whose_clock_is_ahead_of_its_witness_proves_no_more_than_the_witness(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(OTHER, cosigned_at=NOW - timedelta(minutes=4), read_at=NOW + timedelta(days=1))
    assert codes(check(sealed.data, log.view())) == {"LEDGER_BEHIND"}


def test_another_key_does_not_say_when_the_log_read_its_head(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(OTHER)
    checkpoint = log.folder / "checkpoint"
    *lines, read = checkpoint.read_text().splitlines(keepends=True)
    forged = base64.b64decode(read.split(" ")[2])
    forged = forged[:4] + (int.from_bytes(forged[4:12], "big") + 1).to_bytes(8, "big") + forged[12:]
    checkpoint.write_text("".join([*lines, f"— {log.ORIGIN} {base64.b64encode(forged).decode()}\n"]))
    assert codes(check(sealed.data, log.view())) == {"LEDGER_UNTRUSTED"}


def test_long_after_a_seal_a_copy_of_the_log_is_enough(office: Office, log: TileLog, check: Check) -> None:
    """Nothing is committed a day after its timestamp, so what the log read later than that is all there is: without any service."""
    log.publish(OTHER, cosigned_at=NOW - timedelta(minutes=5), read_at=NOW - timedelta(minutes=5))
    for age_min, code in ((24 * 60, "LEDGER_BEHIND"), (24 * 60 + 6, "NOT_AUTHORISED")):
        old = office.sign(page_document(), at=NOW - timedelta(minutes=age_min))
        assert codes(check(old.data, log.view())) == {code}


def test_an_old_checkpoint_with_everything_that_the_signer_committed_is_enough(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(OTHER, cosigned_at=NOW - timedelta(hours=1), read_at=None)
    report = check(sealed.data, log.view(Signer(size=1)))
    assert report.verdict is Verdict.INVALID and codes(report) == {"NOT_AUTHORISED"}


def test_a_seal_of_this_moment_is_waited_for(office: Office, log: TileLog, check: Check) -> None:
    fresh = office.sign(page_document(), at=NOW - timedelta(seconds=1))
    log.publish(OTHER, cosigned_at=NOW, read_at=NOW)
    view = log.view()
    waited: list[float] = []

    def publish_meanwhile(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            log.publish(fresh.entry())

    view._sleep = publish_meanwhile
    assert check(fresh.data, view).verdict is Verdict.VALID and len(waited) == 2


def test_a_voided_use_authorises_nothing(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(sealed.entry(kind="void"))
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.INVALID and codes(report) == {"NOT_AUTHORISED"}


def test_an_entry_for_another_key_authorises_nothing(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(sealed.entry(spki=bytes(32)))
    report = check(sealed.data, log.view())
    assert report.verdict is Verdict.INVALID and codes(report) == {"LEDGER_MISMATCH"}


def test_a_ledger_entry_does_not_make_a_tampered_document_authorised(sealed: Sealed, log: TileLog, check: Check) -> None:
    log.publish(sealed.entry())
    tampered = sealed.data.replace(b"/MediaBox", b"/MediaBoy", 1)
    report = check(tampered, log.view())
    assert report.verdict is Verdict.INVALID
    assert report.seals[0].authorised.state is AuthorisedState.NOT_ASKED


def respelled(sealed: bytes) -> bytes:
    """The file with (r, n - s) in place of the signature (r, s): as good, and computed by anybody."""
    hole = re.search(rb"/Contents <([0-9a-fA-F]+)>", sealed)
    assert hole is not None
    content = cms.ContentInfo.load(bytes.fromhex(hole[1].decode()))
    signer = content["content"]["signer_infos"][0]
    r, s = decode_dss_signature(signer["signature"].native)
    signer["signature"] = encode_dss_signature(r, ec.SECP256R1().group_order - s)
    filled = content.dump(force=True).hex().encode().ljust(len(hole[1]), b"0")
    return sealed[: hole.start(1)] + filled + sealed[hole.end(1) :]


def test_the_twin_of_an_authorised_signature_is_not_called_unauthorised(office: Office, log: TileLog, check: Check) -> None:
    sealed = office.sign(page_document(), at=None)
    log.publish(OTHER, sealed.entry())
    assert check(sealed.data, log.view()).verdict is Verdict.UNDETERMINED  # without a timestamp
    report = check(respelled(sealed.data), log.view())
    assert report.verdict is Verdict.UNDETERMINED, report
    assert "SIGNATURE_RESPELLED" in codes(report) and "NOT_AUTHORISED" not in codes(report)
    assert report.seals[0].valid is not Answer.NO
    assert (report.seals[0].authorised.state, report.seals[0].authorised.ledger_index) == (AuthorisedState.AUTHORISED, 1)


def test_the_twin_of_a_signature_that_nobody_authorised_is_not_authorised(office: Office, log: TileLog, check: Check) -> None:
    sealed = office.sign(page_document(), at=None)
    log.publish(OTHER)
    for document in (sealed.data, respelled(sealed.data)):
        report = check(document, log.view())
        assert report.verdict is Verdict.INVALID and "NOT_AUTHORISED" in codes(report)
