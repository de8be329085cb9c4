"""Log process and witness as they run: real keys in SoftHSM, real gRPC over mTLS, and everything that may go wrong."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import pytest

from ledger.check import check
from ledger.witness_link import encode_request
from sealcore.errors import Code, VermilionError
from sealcore.platform.ledger.reader import LogReader
from sealcore.protocol import merkle
from sealcore.protocol.signed_note import SignedCheckpoint, verify_log, verify_witness
from tests.ledger.conftest import Books, House, SignerDouble, signature_of

Signer = tuple[SignerDouble, str]
pytestmark = pytest.mark.timeout(120)


def _reader(house: House) -> LogReader:
    return LogReader(house.ledger.url, str(house.log_key), str(house.witness_key))


def test_a_stranger_reads_cosigned_checkpoints_and_finds_every_entry(house: House, signer: Signer) -> None:
    books = signer[0].books
    house.ledger.forked = house.witness.forked = False  # here as they are started in service
    house.start()
    reader = _reader(house)
    house.published(0)
    assert reader.update().size == 0
    for more in (1, 254, 1, 3, 700):  # over the edges of a tile, and several tiles at once
        books.append(more)
        house.published(books.size)
        checkpoint = reader.update()
        assert checkpoint.size == books.size
        assert checkpoint.cosigned_at_s is not None
    for number in (0, 254, 255, 256, 958):
        found = reader.find(signature_of(number))
        assert found is not None and found.index == number and found.entry.index == number
        proof = reader.prove(number, checkpoint)
        merkle.verify_inclusion(merkle.leaf_hash(proof.data), number, 959, proof.proof, checkpoint.checkpoint.root)
    assert reader.find(signature_of(959)) is None
    assert check(house.ledger.url, house.log_key, house.witness_key).findings == ()
    assert check(house.public, house.log_key, house.witness_key).findings == ()
    assert httpx.get(f"{house.ledger.url}/log-key").text == f"{house.log_key}\n{house.witness_key}\n"
    assert house.ledger.stop() == 0
    assert house.witness.stop() == 0


def test_after_a_crash_it_goes_on_where_it_stood(house: House, signer: Signer) -> None:
    books = signer[0].books
    books.append(300)
    house.start()
    reader = _reader(house)
    house.published(300)
    reader.update()
    house.ledger.kill()
    house.witness.kill()
    books.append(300)
    house.start()
    house.published(600)
    assert reader.update().size == 600  # the same reader: what it followed goes on
    assert check(house.public, house.log_key, house.witness_key).findings == ()


@pytest.mark.parametrize("story", ["rolled back", "rewritten, as long", "rewritten, longer", "root of something else"])
def test_a_head_that_does_not_continue_is_never_signed(story: str, house: House, signer: Signer, tmp_path: Path) -> None:
    double = signer[0]
    double.books.append(300)
    house.start()
    house.published(300)
    signed = (house.public / "checkpoint-signed").read_bytes()
    other = Books(tmp_path / "other.db")
    match story:
        case "rolled back":
            other.append(299)
        case "rewritten, as long":
            other.append(300, mark="!")
        case "rewritten, longer":
            other.append(299)
            other.append(10, mark="!")
        case _:
            other.append(310, mark="!")
    double.books = other
    house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)
    asked = double.asked
    other.append(50, mark="!")
    double.books = Books(tmp_path / "signer.db")  # even the honest books do not start it again: a person must look first
    threading.Event().wait(0.5)  # ten passes
    house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)
    assert double.asked == asked
    assert httpx.get(f"{house.ledger.url}/healthz").status_code == 503
    assert (house.public / "checkpoint-signed").read_bytes() == signed
    assert _reader(house).update().size == 300  # what was published stays readable
    house.ledger.kill()
    double.books = other
    house.ledger.start()  # a restart forgets nothing
    assert house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)["signed_size"] == 300


def test_a_signer_that_is_away_is_waited_for(house: House, signer: Signer) -> None:
    house.start()
    house.published(0)
    double = signer[0]
    honest = double.books
    double.books = None  # type: ignore[assignment]  # every call now ends in a fault at the signer
    house.ledger.wait_for_code(Code.INTERNAL)
    double.books = honest
    honest.append(2)
    house.published(2)


def test_without_the_witness_nothing_new_counts_for_strangers(house: House, signer: Signer) -> None:
    books = signer[0].books
    books.append(5)
    house.start()
    house.published(5)
    house.witness.kill()
    books.append(5)
    house.ledger.wait(lambda now: now["signed_size"] == 10)
    assert house.ledger.wait_for_code(Code.SERVICE_UNAVAILABLE)["published_size"] == 5
    assert _reader(house).update().size == 5
    newest = SignedCheckpoint.parse(httpx.get(f"{house.ledger.url}/checkpoint-signed").content)
    verify_log(newest, house.log_key)
    assert newest.checkpoint.size == 10
    house.witness.start()
    house.published(10)


def test_the_witness_refuses_what_does_not_continue(house: House, signer: Signer) -> None:
    books = signer[0].books
    books.append(3)
    house.start()
    house.published(3)
    three = SignedCheckpoint.parse((house.public / "checkpoint-signed").read_bytes())
    books.append(4)
    house.published(7)
    seven = SignedCheckpoint.parse((house.public / "checkpoint-signed").read_bytes())

    def ask(body: bytes) -> httpx.Response:
        return httpx.post(f"{house.witness.url}/add-checkpoint", content=body)

    known = ask(encode_request(0, [], seven))
    assert (known.status_code, known.text, known.headers["content-type"]) == (409, "7\n", "text/x.tlog.size")
    assert ask(encode_request(3, [], three)).status_code == 409  # an old view
    assert ask(encode_request(7, [], three)).status_code == 400  # an old size beyond the checkpoint
    assert ask(encode_request(7, [bytes(32)], seven)).status_code == 422  # a proof where none belongs
    altered = seven.encode().replace(b"\n7\n", b"\n8\n")
    assert ask(b"old 7\n\n" + altered).status_code == 403
    assert ask(b"old 7\n\n" + seven.encode().replace(b"vermilion.test", b"elsewhere.test")).status_code == 404
    for garbage in (b"", b"old 7", b"old 07\n\n" + seven.encode(), b"old 7\n!\n\n" + seven.encode(), b"\xff" * 100, b"x" * 100_000):
        assert ask(garbage).status_code == 400
    again = ask(encode_request(7, [], seven))
    assert again.status_code == 200
    assert verify_witness(SignedCheckpoint.parse(seven.encode() + again.content), house.witness_key) > 0
    assert httpx.get(f"{house.witness.url}/witness-key").text == f"{house.witness_key}\n"


def test_a_log_whose_witness_saw_another_history_stops(house: House, signer: Signer, tmp_path: Path) -> None:
    double = signer[0]
    double.books.append(10)
    house.start()
    house.published(10)
    house.ledger.kill()
    for folder in (house.state, house.public):  # whoever rewrites the log takes its memory away too, but not the witness's
        folder.rename(folder.with_suffix(".before"))
    double.books = Books(tmp_path / "rewritten.db")
    double.books.append(12, mark="!")
    house.ledger.start()
    assert house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)["signed_size"] == 12
    assert not (house.public / "checkpoint").exists()
    assert double.books.size == 12


def test_a_log_without_its_memory_does_not_sign(house: House, signer: Signer) -> None:
    signer[0].books.append(10)
    house.start()
    house.published(10)
    house.ledger.kill()
    record = house.state / "last-signed.json"
    kept = record.read_text()
    record.unlink()
    house.ledger.start()
    assert house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)["signed_size"] == 0
    house.ledger.kill()
    record.write_text(json.dumps({**json.loads(kept), "frontier": bytes(8).hex()}))
    house.ledger.start()
    house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)
    house.ledger.kill()
    record.write_text(kept)
    house.ledger.start()
    house.published(10)


def test_damaged_tiles_are_not_built_upon(house: House, signer: Signer) -> None:
    signer[0].books.append(10)
    house.start()
    house.published(10)
    house.ledger.kill()
    for path in ("tile/0/000.p/10", "tile/entries/000.p/10"):
        file = house.public / path
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        signer[0].books.append(1)
        house.ledger.start()
        house.ledger.wait_for_code(Code.LEDGER_INCONSISTENT)
        house.ledger.kill()
        file.write_bytes(whole)


def test_only_names_of_the_layout_are_served(house: House, signer: Signer) -> None:
    signer[0].books.append(1)
    house.start()
    house.published(1)
    assert httpx.get(f"{house.ledger.url}/tile/0/000.p/1").status_code == 200
    for path in (
        "tile/0/000",
        "tile/0/000.p/2",
        "tile/0/0",
        "tile/00/000.p/1",
        "tile/..%2f..%2fstate%2flast-signed.json",
        "state",
        "tile/64/000",
    ):
        answer = httpx.get(f"{house.ledger.url}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, Code.NOT_FOUND)


def test_a_reader_with_other_keys_believes_nothing(house: House, signer: Signer) -> None:
    signer[0].books.append(1)
    house.start()
    house.published(1)
    another = type(house.log_key)(house.log_key.name, house.log_key.type, house.witness_key.public_key)
    for keys in ((another, house.witness_key), (house.log_key, type(another)("x/w", house.witness_key.type, another.public_key))):
        with pytest.raises(VermilionError) as refusal:
            LogReader(house.ledger.url, *keys).update()
        assert refusal.value.code is Code.LEDGER_INCONSISTENT
