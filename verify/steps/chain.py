"""The sealer's certificate leads to our root, was in force and not revoked at the time of the timestamp.

The certificates of others are judged now, and only by the outside roots that we declared.
"""

from __future__ import annotations

from datetime import datetime

from pyhanko.pdf_utils import misc
from pyhanko.sign.validation.generic_cms import cms_basic_validation
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator.path import ValidationPath

from verify.codes import FindingCode
from verify.facts import fact
from verify.report import SealKind, finding, written
from verify.steps.case import Case, Signature
from verify.steps.paths import PathFault, Standing, completed, context, fault_of, revocation
from verify.trust import Outside, TrustMaterial

_CODES = {
    PathFault.NO_PATH: FindingCode.CERTIFICATE_UNTRUSTED,
    PathFault.NOT_IN_FORCE: FindingCode.CERTIFICATE_NOT_IN_FORCE,
    PathFault.PURPOSE: FindingCode.CERTIFICATE_PURPOSE,
    PathFault.ALGORITHM: FindingCode.WEAK_ALGORITHM,
    PathFault.OTHER: FindingCode.CERTIFICATE_UNTRUSTED,
}
_SEAL_USAGE = KeyUsageConstraints(key_usage={"non_repudiation"})  # contentCommitment, docs/protocol.md, "Profiles"
_SIGNER_USAGE = KeyUsageConstraints(key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False)


def check_chain(case: Case) -> None:
    """For each seal of ours; without a trusted timestamp the certificate is judged now."""
    for signature in case.signatures:
        if signature.embedded is None or not signature.is_sound:
            continue
        try:
            if signature.is_ours:
                _examine(case, signature)
            elif signature.kind is SealKind.FOREIGN and case.trust.signer_anchors:
                signature.is_vouched = _is_vouched(case, signature.embedded)
        except misc.PdfStrictReadError:
            raise
        except Exception as fault:  # noqa: BLE001  (whatever a broken certificate provokes speaks against it)
            if not signature.is_ours:
                continue  # then nobody vouches for it
            signature.findings.append(finding(FindingCode.CERTIFICATE_UNTRUSTED, fact("technical", name=type(fault).__name__)))


def _is_vouched(case: Case, embedded: EmbeddedPdfSignature) -> bool:
    """Whether somebody else's certificate leads to an outside root, is in force and not revoked."""
    trust = case.trust.outside_signers
    path, fault = _path(embedded, trust, case.now, _SIGNER_USAGE)
    return fault is None and path is not None and revocation(path, trust, then=case.now, now=case.now).standing is Standing.GOOD


def _path(
    embedded: EmbeddedPdfSignature, trust: TrustMaterial | Outside, then: datetime, usage: KeyUsageConstraints
) -> tuple[ValidationPath | None, PathFault | None]:
    facts = completed(
        cms_basic_validation(
            embedded.signed_data,
            raw_digest=embedded.compute_digest(),
            validation_context=context(trust, then),
            key_usage_settings=usage,
        )
    )
    path = facts["validation_path"]
    return path, fault_of(facts["trust_problem_indic"], path, trust)


def _examine(case: Case, signature: Signature) -> None:
    assert signature.embedded is not None
    # Without a trusted timestamp nobody knows when it was signed: a key that was stolen and
    # revoked could be used for any day before.
    then = signature.trusted_time or case.now
    path, fault = _path(signature.embedded, case.trust, then, _SEAL_USAGE)
    if fault is not None or path is None:
        signature.findings.append(finding(_CODES[fault or PathFault.NO_PATH]))
        return
    found = revocation(path, case.trust, then=then, now=case.now)
    match found.standing:
        case Standing.REVOKED:
            signature.findings.append(
                finding(FindingCode.CERTIFICATE_REVOKED, *([fact("named", name=written(found.at))] if found.at else []))
            )
        case Standing.REVOKED_LATER:
            signature.findings.append(finding(FindingCode.REVOKED_LATER, *([fact("named", name=written(found.at))] if found.at else [])))
        case Standing.UNKNOWN:
            signature.findings.append(finding(FindingCode.REVOCATION_UNKNOWN))
