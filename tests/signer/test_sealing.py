"""Documents through a running signer: one, many, large ones in chunks, under grants; each sealed once."""

from __future__ import annotations

import hashlib
import io
import queue
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pikepdf
import pytest
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from protos.vermilion.v1 import ledger_pb2, signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import operator_uri, service_uri
from sealcore.protocol.leaf import leaf_hash
from sealcore.protocol.ledger_entry import Entry, jti_hash
from signer.model import ItemRequest
from signer.pipeline.template import fingerprint
from tests.signer.office import Approved, Office, document, grant_request, item_message, leaf_of
from tests.signer.station import TIMEOUT_S, Results, Station, stream_messages, typed

CHUNK_BYTES = 700_000


def judged_valid(office: Office, file: bytes, signatures: int = 1) -> bool:
    """Whether pyHanko calls the last signature intact, valid, trusted and timestamped."""
    found = PdfFileReader(io.BytesIO(file)).embedded_signatures
    assert len(found) == signatures
    root = asn1_x509.Certificate.load(office.ca.root.public_bytes(Encoding.DER))
    status = validate_pdf_signature(found[-1], ValidationContext(trust_roots=[root], allow_fetching=False))
    timestamp = status.timestamp_validity
    return bool(status.intact and status.valid and status.trusted and timestamp is not None and timestamp.valid)


def sealed_file(approved: Approved, results: Results, index: int) -> bytes:
    """The client's own bytes and the suffix, checked against the signer's hash."""
    file = approved.documents[index] + results.suffixes[index]
    assert hashlib.sha256(file).digest() == results.sealed[index].sealed_sha256
    return file


def test_one_document_is_sealed_and_others_judge_it_valid(station: Station) -> None:
    approved = station.office.approve([document("One")], placement=station.office.visible())
    sealed = station.seal(approved)
    file = approved.documents[0] + sealed.suffix
    assert hashlib.sha256(file).digest() == sealed.sealed_sha256
    assert (sealed.attempts, sealed.repeated, list(sealed.warnings)) == (1, False, [])
    assert judged_valid(station.office, file)


@pytest.mark.parametrize("seal", ["contract", "invoice", "official"])
def test_a_batch_under_each_kind_of_key(station: Station, seal: str) -> None:
    approved = station.office.approve([document(f"{seal} {number}") for number in range(9)], seal=seal)
    results = station.stream(approved.token, approved.items)
    assert results.refused == {}
    assert sorted(results.sealed) == list(range(9))
    assert all(judged_valid(station.office, sealed_file(approved, results, index)) for index in (0, 8))


def test_the_ledger_knows_the_use_and_shows_no_person_or_form(station: Station) -> None:
    approved = station.office.approve([document("Ledger"), document("Ledger 2")], form="TEST-2026-004711")
    results = station.stream(approved.token, approved.items)
    answer = typed(lambda: station.ledger(operator_uri("test")).Find(ledger_pb2.FindRequest(form="TEST-2026-004711")))
    entries = {found.index: Entry.decode(found.entry) for found in answer.entries}
    for index, sealed in results.sealed.items():
        entry = entries[sealed.ledger_index]
        assert entry.kind == "seal"
        assert (entry.jti_hash, entry.index, entry.attempts) == (jti_hash(approved.claims.jti), index, 1)
        assert entry.leaf_hash == leaf_hash(leaf_of(approved.requests[index], 2))
        assert set(entry.commitments) == {"form", "people", "policy"}
    plain = b"".join(found.entry for found in answer.entries)
    assert b"TEST-2026" not in plain
    assert station.office.bo.id.encode() not in plain


def test_each_item_has_one_result_and_a_refused_one_stops_no_other(station: Station) -> None:
    good = document("Good")
    contents = [good, b"no PDF at all", document("Fine"), good[: len(good) // 3], document("Last")]
    approved = station.office.approve(contents)
    items = approved.items
    items[2].document = items[2].document[:-1] + b"?"
    items.append(signer_pb2.Item(index=9, name="no such index"))
    results = station.stream(approved.token, items)
    assert sorted(results.sealed) == [0, 4]
    codes = {index: refused.code for index, refused in results.refused.items()}
    assert codes[1] is Code.DOCUMENT_NOT_PDF
    assert codes[2] is Code.DOCUMENT_MISMATCH
    assert codes[3] in {Code.DOCUMENT_DAMAGED, Code.DOCUMENT_NO_PAGES}
    assert codes[9] is Code.INVALID_ARGUMENT
    assert results.refused[1].document == "d1.pdf"


def test_the_same_request_again_gives_the_same_bytes(station: Station) -> None:
    approved = station.office.approve([document(f"Again {number}") for number in range(4)])
    first = station.stream(approved.token, approved.items)
    second = station.stream(approved.token, approved.items)
    assert second.suffixes == first.suffixes
    assert all(sealed.repeated for sealed in second.sealed.values())
    assert station.seal(approved, 2).suffix == first.suffixes[2]


def test_suffixes_come_packed_where_the_client_takes_them_and_are_the_same(station: Station) -> None:
    approved = station.office.approve([document("first"), document("second")])
    opening = signer_pb2.SealStreamRequest(open=signer_pb2.SealStreamRequest.Open(token=approved.token, packed=True))
    messages = [opening, *list(stream_messages(approved.token, approved.items))[1:]]
    packed = station.exchange(messages)
    assert sorted(packed.sealed) == [0, 1] and all(one.HasField("packed") and not one.suffix for one in packed.sealed.values())
    whole = station.stream(approved.token, approved.items)
    again = station.exchange(messages)
    assert packed.suffixes == whole.suffixes == again.suffixes and all(map(len, whole.suffixes.values()))
    assert all(not one.HasField("packed") for one in whole.sealed.values())
    assert packed.sealed[0].ByteSize() < len(whole.suffixes[0]) / 4


def test_a_client_that_stops_in_mid_stream_resumes_and_gets_the_same_bytes(station: Station) -> None:
    approved = station.office.approve([document(f"Stop {number}") for number in range(12)])
    waiting: queue.SimpleQueue[signer_pb2.SealStreamRequest] = queue.SimpleQueue()
    messages = list(stream_messages(approved.token, approved.items, a_message=4))
    for message in messages[:2]:
        waiting.put(message)
    call = station.signer().SealStream(iter(waiting.get, None), timeout=TIMEOUT_S)
    before = Results()
    while len(before.sealed) < 4:
        before.take(next(call))
    waiting.put(messages[2])
    call.cancel()
    after = station.stream(approved.token, approved.items)
    while after.refused:  # what the broken stream was still at work on
        assert {refused.code for refused in after.refused.values()} == {Code.USE_IN_PROGRESS}
        after = station.stream(approved.token, approved.items)
    assert sorted(after.sealed) == list(range(12))
    assert {index: after.suffixes[index] for index in before.sealed} == before.suffixes
    uses = typed(lambda: station.signer().ListUses(signer_pb2.ListUsesRequest(jti=approved.claims.jti))).uses
    assert [(use.index, use.state) for use in uses] == [(index, "sealed") for index in range(12)]
    assert [use.ledger_index for use in uses] == [after.sealed[index].ledger_index for index in range(12)]


def large(size_bytes: int) -> bytes:
    """A PDF of about this size that does not compress."""
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(595, 842))
    page.Contents = pdf.make_stream(b"% large")
    page.PieceInfo = pdf.make_stream(random.Random(size_bytes).randbytes(size_bytes))
    target = io.BytesIO()
    pdf.save(target, compress_streams=False)
    return target.getvalue()


def chunked(token: str, request: ItemRequest, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[signer_pb2.SealStreamRequest]:
    """The messages of a document in chunks."""
    yield signer_pb2.SealStreamRequest(open=signer_pb2.SealStreamRequest.Open(token=token))
    yield from chunks(request, chunk_bytes)


def chunks(request: ItemRequest, chunk_bytes: int = CHUNK_BYTES) -> Iterator[signer_pb2.SealStreamRequest]:
    """The item without its bytes, then the bytes."""
    item = item_message(replace(request, document=b""))
    yield signer_pb2.SealStreamRequest(items=signer_pb2.SealStreamRequest.Items(items=[item]))
    for offset in range(0, request.size_bytes, chunk_bytes):
        data = request.document[offset : offset + chunk_bytes]
        yield signer_pb2.SealStreamRequest(chunk=signer_pb2.SealStreamRequest.Chunk(index=request.index, offset=offset, data=data))


def test_a_document_over_the_message_limit_comes_in_chunks(station: Station) -> None:
    approved = station.office.approve([large(9_000_000), document("small")])
    messages = [*chunked(approved.token, approved.requests[0]), *list(stream_messages(approved.token, approved.items[1:]))[1:]]
    results = station.exchange(messages)
    assert results.refused == {}
    assert judged_valid(station.office, sealed_file(approved, results, 0))
    assert sorted(results.sealed) == [0, 1]


def test_chunks_of_several_documents_may_alternate(station: Station) -> None:
    approved = station.office.approve([large(2_000_000), large(2_100_000)])
    opening, *first = chunked(approved.token, approved.requests[0])
    second = list(chunks(approved.requests[1]))
    mixed = [message for pair in zip(first, second, strict=False) for message in pair]
    mixed += [*first[len(second) :], *second[len(first) :]]
    assert sorted(station.exchange([opening, *mixed]).sealed) == [0, 1]


def test_chunks_that_do_not_follow_each_other_or_end_too_early_are_refused_alone(station: Station) -> None:
    approved = station.office.approve([large(1_500_000), large(1_600_000), document("whole")])
    opening, first_item, _first_chunk, *first_rest = chunked(approved.token, approved.requests[0])
    second = list(chunks(approved.requests[1]))[:-1]
    whole = list(stream_messages(approved.token, approved.items[2:]))[1:]
    results = station.exchange([opening, first_item, *first_rest, *second, *whole])
    assert {index: refused.code for index, refused in results.refused.items()} == dict.fromkeys((0, 1), Code.INVALID_ARGUMENT)
    assert sorted(results.sealed) == [2]


def test_a_large_suffix_goes_out_in_chunks_and_a_unary_call_says_so(station: Station) -> None:
    """A page with a large array of annotations is rewritten whole in the update."""
    pdf = pikepdf.open(io.BytesIO(document("Notes")))
    entries = pikepdf.Array([pikepdf.String("x" * 60_000) for _ in range(90)])
    pdf.pages[0].obj["/ExampleNotes"] = entries
    target = io.BytesIO()
    pdf.save(target)
    approved = station.office.approve([target.getvalue()], placement=station.office.visible())
    results = station.exchange(chunked(approved.token, approved.requests[0]))
    assert results.refused == {}
    assert results.sealed[0].suffix == b""
    assert len(results.suffixes[0]) > 4 * 1024 * 1024
    assert judged_valid(station.office, sealed_file(approved, results, 0))


def test_a_grant_seals_what_comes_up_to_its_number(station: Station) -> None:
    grant = station.office.grant(3)
    requests = [grant_request(index, document(f"Grant {index}")) for index in range(4)]
    results = station.stream(grant.token, [item_message(one) for one in requests])
    assert sorted(results.sealed) == [0, 1, 2]
    assert results.refused[3].code is Code.GRANT_EXCEEDED
    assert list(results.sealed[0].warnings) == ["under a grant without a template"]
    other = station.stream(grant.token, [item_message(grant_request(0, document("Another")))])
    assert other.refused[0].code is Code.USE_BOUND_TO_OTHER_BYTES
    listed = typed(lambda: station.register().ListGrants(signer_pb2.ListGrantsRequest())).grants
    (mine,) = (one for one in listed if one.jti == grant.claims.jti)
    assert (mine.most_uses, mine.uses, mine.template, mine.withdrawn) == (3, 3, "none", False)


def form(name: str, value: str, *, heading: str = "Invoice") -> bytes:
    """A PDF form with one text field and its appearance."""
    pdf = pikepdf.open(io.BytesIO(document(heading)))
    look = pdf.make_stream(
        f"BT /F1 12 Tf 2 4 Td ({value}) Tj ET".encode(), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 200, 20]
    )
    field = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T=pikepdf.String(name), V=pikepdf.String(value),
            Rect=[72, 600, 272, 620], AP=pikepdf.Dictionary(N=look), P=pdf.pages[0].obj,
        )
    )  # fmt: skip
    pdf.pages[0].Annots = pdf.make_indirect(pikepdf.Array([field]))
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=[field], DA=pikepdf.String("/F1 12 Tf 0 g"))
    target = io.BytesIO()
    pdf.save(target)
    return target.getvalue()


def test_a_grant_on_a_template_takes_the_form_filled_in_and_nothing_else(station: Station) -> None:
    office, base = station.office, form("amount", "")
    template = fingerprint(base, ["amount"])
    operator = operator_uri("test")
    parameters = {"change": "template_add", "template": template, "fields": ["amount"], "pdf": hashlib.sha256(base).hexdigest()}
    request = signer_pb2.PerformRequest(token=office.act("register", parameters, sub=operator), attachments=[base])
    typed(lambda: station.register().Perform(request))
    grant = office.grant(10, template=template)
    contents = [form("amount", "100.00"), form("amount", "9", heading="Contract"), form("sum", "1"), document("Invoice")]
    results = station.stream(grant.token, [item_message(grant_request(index, one)) for index, one in enumerate(contents)])
    assert sorted(results.sealed) == [0]
    assert list(results.sealed[0].warnings) == []
    assert {refused.code for refused in results.refused.values()} == {Code.TEMPLATE_MISMATCH}


def test_content_that_can_change_its_look_is_reported_or_under_strict_refused(station: Station) -> None:
    pdf = pikepdf.open(io.BytesIO(document("Script")))
    pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
    target = io.BytesIO()
    pdf.save(target)
    reported = station.office.approve([target.getvalue()])
    sealed = station.seal(reported)
    assert sealed.warnings
    entry = typed(lambda: station.ledger(operator_uri("test")).Find(ledger_pb2.FindRequest(form=reported.claims.form))).entries
    logged = {found.index: Entry.decode(found.entry) for found in entry}[sealed.ledger_index]
    assert logged.warnings == tuple(sealed.warnings)
    with pytest.raises(VermilionError) as refused:
        station.seal(station.office.approve([target.getvalue()], seal="official"))
    assert refused.value.code is Code.DOCUMENT_CHANGEABLE


def test_a_seal_with_quorum_zero_seals_with_a_warning(station: Station) -> None:
    assert list(station.seal(station.office.approve([document("Fast lane")], seal="invoice", by=[])).warnings) == [
        "approved by the workflow alone"
    ]


def test_an_acknowledged_use_is_still_repeated_for_a_while(station: Station) -> None:
    approved = station.office.approve([document("Thanks")])
    sealed = station.seal(approved)
    answer = typed(lambda: station.signer().Acknowledge(signer_pb2.AcknowledgeRequest(jti=approved.claims.jti, indexes=[0, 5])))
    assert answer.acknowledged == 1
    assert station.seal(approved).suffix == sealed.suffix


def test_the_log_process_reads_what_the_services_wrote(station: Station) -> None:
    log = station.ledger(service_uri("ledger"))
    before = typed(lambda: log.Head(ledger_pb2.HeadRequest())).size
    request = ledger_pb2.AppendRequest(
        idempotency_key="form-1", kind="form", subject_sha256=bytes(32), form="TEST-2026-000777", person=station.office.ada.id
    )
    workflow = station.ledger(service_uri("workflow"))
    index = typed(lambda: workflow.Append(request)).ledger_index
    assert typed(lambda: workflow.Append(request)).ledger_index == index
    head = typed(lambda: log.Head(ledger_pb2.HeadRequest()))
    assert (head.size, index) == (before + 1, before)
    entries: Sequence[bytes] = [
        one for part in typed(lambda: list(log.Entries(ledger_pb2.EntriesRequest(start=0, end=head.size)))) for one in part.entries
    ]
    assert len(entries) == head.size
    assert Entry.decode(entries[index]).kind == "form"


@pytest.mark.parametrize("kind", ["seal", "void", "act", "certificate", "anything"])
def test_a_service_writes_its_own_kinds_alone(station: Station, kind: str) -> None:
    request = ledger_pb2.AppendRequest(idempotency_key=f"x-{kind}", kind=kind, subject_sha256=bytes(32))
    with pytest.raises(VermilionError) as refused:
        typed(lambda: station.ledger(service_uri("workflow")).Append(request))
    assert refused.value.code is Code.PERMISSION_DENIED


def test_a_client_finds_its_own_entries_alone_and_a_verifier_any_by_its_signature(station: Station) -> None:
    approved = station.office.approve([document("Mine")], form="TEST-2026-000888")
    station.seal(approved)
    request = ledger_pb2.FindRequest(form="TEST-2026-000888")
    (mine,) = typed(lambda: station.ledger(station.office.client).Find(request)).entries
    assert mine.form == "TEST-2026-000888"
    assert typed(lambda: station.ledger("https://vermilion.internal/client/other").Find(request)).entries == []
    signature = Entry.decode(mine.entry).signature_hash
    assert signature is not None
    (shown,) = typed(lambda: station.ledger(service_uri("verify")).Find(ledger_pb2.FindRequest(signature_hash=signature))).entries
    assert (shown.index, shown.entry) == (mine.index, mine.entry)
