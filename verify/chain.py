"""Step 5: the sealer's certificate leads to our root, was in force and not revoked at the time of the timestamp."""

from __future__ import annotations

from pyhanko.pdf_utils import misc
from pyhanko.sign.validation.generic_cms import cms_basic_validation
from pyhanko.sign.validation.settings import KeyUsageConstraints

from verify.case import Case, Signature
from verify.codes import FindingCode
from verify.paths import PathFault, Standing, completed, context, fault_of, revocation
from verify.report import finding, written

_CODES = {
    PathFault.NO_PATH: FindingCode.CERTIFICATE_UNTRUSTED,
    PathFault.NOT_IN_FORCE: FindingCode.CERTIFICATE_NOT_IN_FORCE,
    PathFault.PURPOSE: FindingCode.CERTIFICATE_PURPOSE,
    PathFault.ALGORITHM: FindingCode.WEAK_ALGORITHM,
    PathFault.OTHER: FindingCode.CERTIFICATE_UNTRUSTED,
}
_SEAL_USAGE = KeyUsageConstraints(key_usage={"non_repudiation"})  # contentCommitment, PROTOCOL "Profiles"


def step_5_chain(case: Case) -> None:
    """For each seal of ours; without a trusted timestamp the certificate is judged now."""
    for signature in case.signatures:
        if not signature.is_ours or signature.embedded is None or not signature.is_sound:
            continue
        try:
            _examine(case, signature)
        except misc.PdfStrictReadError:
            raise
        except Exception as fault:  # noqa: BLE001  (whatever a broken certificate provokes speaks against it)
            signature.findings.append(finding(FindingCode.CERTIFICATE_UNTRUSTED, type(fault).__name__))


def _examine(case: Case, signature: Signature) -> None:
    assert signature.embedded is not None
    then = signature.trusted_time or case.now
    facts = completed(
        cms_basic_validation(
            signature.embedded.signed_data,
            raw_digest=signature.embedded.compute_digest(),
            validation_context=context(case.trust, then),
            key_usage_settings=_SEAL_USAGE,
        )
    )
    path = facts["validation_path"]
    fault = fault_of(facts["trust_problem_indic"], path, case.trust)
    if fault is not None:
        signature.findings.append(finding(_CODES[fault]))
        return
    found = revocation(path, case.trust, then=then, now=case.now)
    match found.standing:
        case Standing.REVOKED:
            signature.findings.append(finding(FindingCode.CERTIFICATE_REVOKED, written(found.at) if found.at else ""))
        case Standing.REVOKED_LATER:
            signature.findings.append(finding(FindingCode.REVOKED_LATER, written(found.at) if found.at else ""))
        case Standing.UNKNOWN:
            signature.findings.append(finding(FindingCode.REVOCATION_UNKNOWN))
