"""``python -m vermilion.demo.stolen_key --config SIGNER.toml --label KEY --certificate PEM --field NAME``: a theft, for the demo.

What an operator could do who takes the signer's token and PIN and signs past the gate: a genuine key, a genuine certificate, a
genuine timestamp, and no approval. Reads a PDF from standard input, writes the signed one to standard output. Verification must
call the result not authorised, because the ledger has no entry for it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from sealcore.clock import SystemClock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.platform.config import load
from sealcore.protocol.leaf import Placement
from signer.pdf.cms import SignatureTemplate
from signer.pdf.fill import fill
from signer.pdf.plan import ContentPolicy, Plan
from signer.pdf.prepare import prepare
from signer.settings import SignerSettings
from timestamp.clock_watch import ClockWatch
from timestamp.unit import TimestampUnit


def sign(settings: SignerSettings, label: str, certificate_file: Path, document: bytes, field: str) -> bytes:
    """The document with a signature that nobody approved."""
    chain = x509.load_pem_x509_certificates(settings.trust.seals_chain_file.read_bytes())
    certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
    unit_file, unit_chain = settings.timestamp.certificate_file, settings.timestamp.chain_file
    with Token.open(settings.token) as token:
        key = token.key(label)
        unit = TimestampUnit(
            token.key(settings.timestamp.key_label),
            x509.load_pem_x509_certificates(unit_file.read_bytes())[0],
            x509.load_pem_x509_certificates(unit_chain.read_bytes()),
            policy_oid=settings.timestamp.policy_oid,
            watch=ClockWatch("trust-machine", accuracy_ms=settings.timestamp.accuracy_ms, clock=SystemClock()),
        )
        template = SignatureTemplate(certificate, chain, key.algorithm)
        hole = template.largest_bytes(unit.largest_token_bytes)
        now = datetime.now(UTC).replace(microsecond=0)
        prepared = prepare(
            document,
            Plan(
                field,
                now,
                Placement(
                    (),
                ),
                {},
                hole,
                ContentPolicy.REPORT,
                "stolen",
                "",
            ),
            template.hash_name,
        )
        signature = key.sign(template.signed_attributes(prepared.digest))
        stamp = unit.stamp(hashlib.sha256(signature).digest(), hash_name="sha256")
    return document + fill(prepared.suffix, prepared.hole, template.assemble(prepared.digest, signature, stamp))


def main() -> int:
    """Exit status 0, or 1 with the typed error on standard error."""
    parser = argparse.ArgumentParser(prog="python -m vermilion.demo.stolen_key")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--field", default="Seal")
    chosen = parser.parse_args()
    try:
        settings = load(chosen.config, SignerSettings)
        signed = sign(settings, chosen.label, chosen.certificate, sys.stdin.buffer.read(), chosen.field)
    except VermilionError as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    sys.stdout.buffer.write(signed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
