"""The timestamps (RFC 3161), over signatures and over the document, and whether we trust who made them.

Trusted are units of ours and configured outside TSAs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from asn1crypto import cms, tsp
from cryptography import x509
from pyhanko.pdf_utils import misc
from pyhanko.sign.general import find_cms_attribute_iter
from pyhanko.sign.validation.generic_cms import message_imprint_checker, validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import TimestampSignatureStatus

from sealcore.clock import why_not_current
from sealcore.protocol.ledger_entry import timestamp_hash
from verify.codes import FindingCode
from verify.facts import fact, plain
from verify.report import Answer, SealKind, Timestamp, finding, written
from verify.steps.case import Case, Signature, name_of, owner_of
from verify.steps.paths import PathFault, Standing, completed, context, fault_of, revocation
from verify.trust import Outside, TrustMaterial

Imprint = Callable[[str], bytes]
"""The digest, by a named algorithm, of what a token should be over."""

MOST_TOKENS = 4  # each costs a path
_HARMLESS_REASONS = {"affiliationChanged", "superseded", "cessationOfOperation"}  # RFC 3161 §4: earlier tokens stay valid


def check_timestamp(case: Case) -> None:
    """For each seal: a timestamp over its signature value, by a unit under our root or by an outside TSA that is configured.

    For each document timestamp: the same of itself, over the bytes that it covers.
    """
    for signature in case.signatures:
        try:
            if signature.kind is SealKind.DOCUMENT_TIMESTAMP and signature.embedded is not None and signature.is_sound:
                _examine_document_timestamp(case, signature, signature.embedded)
            elif signature.signer_info is not None and signature.is_ours:
                _examine(case, signature)
        except misc.PdfStrictReadError:
            raise
        except Exception as fault:  # noqa: BLE001  (whatever a broken token provokes speaks against that token)
            signature.findings.append(finding(FindingCode.TIMESTAMP_INVALID, fact("technical", name=type(fault).__name__)))


def _examine_document_timestamp(case: Case, signature: Signature, embedded: EmbeddedPdfSignature) -> None:
    code, _moment, signature.timestamp = _judge(case, embedded.signed_data, embedded.compute_digest)
    if code is not None:
        signature.findings.append(finding(code))


def _examine(case: Case, signature: Signature) -> None:
    assert signature.signer_info is not None
    attributes = find_cms_attribute_iter(signature.signer_info["unsigned_attrs"], "signature_time_stamp_token")
    tokens: list[cms.ContentInfo] = [token for _at, token in zip(range(MOST_TOKENS), attributes, strict=False)]
    if not tokens:
        signature.findings.append(finding(FindingCode.NO_TIMESTAMP))
        return
    outcomes = [_judge(case, token["content"], message_imprint_checker(signature.signer_info), token) for token in tokens]
    # One that is trusted is enough: whoever adds a bad token beside it must not spoil the seal.
    best = next((each for each in outcomes if each[0] is None), outcomes[0])
    code, moment, signature.timestamp = best
    if code is None:
        signature.trusted_time = moment
    else:
        signature.findings.append(finding(code))


def _judge(
    case: Case, signed_data: Any, imprint: Imprint, token: cms.ContentInfo | None = None
) -> tuple[FindingCode | None, datetime, Timestamp]:
    info: tsp.TSTInfo = signed_data["encap_content_info"]["content"].parsed
    moment: datetime = info["gen_time"].native
    status, code = _against(case.trust, case.now, signed_data, imprint, moment)
    # By one set of roots after the other, never by both at once: a path must not begin at ours
    # and end at somebody else's.
    if code is FindingCode.TIMESTAMP_UNTRUSTED and case.trust.timestamp_anchors:
        status, code = _against(case.trust.outside_tsas, case.now, signed_data, imprint, moment)
    certificate = x509.load_der_x509_certificate(status.signing_cert.dump())
    described = Timestamp(
        time=written(moment),
        authority=plain(name_of(certificate) or owner_of(certificate)),
        trusted=Answer.YES if code is None else Answer.NO if code is FindingCode.TIMESTAMP_INVALID else Answer.UNKNOWN,
        serial=f"{info['serial_number'].native:x}",
        token_hash=timestamp_hash(token.dump()).hex() if token is not None else "",
    )
    return code, moment, described


def _against(
    trust: TrustMaterial | Outside, now: datetime, signed_data: Any, imprint: Imprint, moment: datetime
) -> tuple[TimestampSignatureStatus, FindingCode | None]:
    """The token judged by these roots alone."""
    status = completed(_validate(signed_data, imprint, context(trust, now)))
    return status, _code_of(status, trust, moment, now)


async def _validate(signed_data: cms.SignedData, imprint: Imprint, trust_context: Any) -> TimestampSignatureStatus:
    facts = await validate_tst_signed_data(signed_data, trust_context, imprint)
    return TimestampSignatureStatus(**facts)


def _code_of(status: TimestampSignatureStatus, trust: TrustMaterial | Outside, moment: datetime, now: datetime) -> FindingCode | None:
    """What speaks against the token; None when it is trusted.

    The unit's certificate is judged now, not at the time that the token itself claims.
    """
    if not (status.intact and status.valid):
        return FindingCode.TIMESTAMP_INVALID
    path = status.validation_path
    fault = fault_of(status.trust_problem_indic, path, trust)
    if fault is not None or path is None:
        return FindingCode.TIMESTAMP_EXPIRED if fault is PathFault.NOT_IN_FORCE else FindingCode.TIMESTAMP_UNTRUSTED
    # A time ahead of our clock cannot have been stamped yet.
    if why_not_current(now, made=moment) is not None:
        return FindingCode.TIMESTAMP_UNTRUSTED
    # As of now: a token of a stolen unit key may bear any time before the theft.
    found = revocation(path, trust, then=now, now=now)
    if found.standing is Standing.REVOKED and found.at is not None and found.at > moment and found.reason in _HARMLESS_REASONS:
        return None
    if found.standing is Standing.UNKNOWN:
        return FindingCode.REVOCATION_UNKNOWN
    return FindingCode.TIMESTAMP_UNTRUSTED if found.standing is Standing.REVOKED else None
