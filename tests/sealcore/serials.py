"""Which certificate a server shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509

from sealcore.platform.config import TlsSettings

DEADLINE_S = 30.0


def served_serial(target: str, tls: TlsSettings) -> int:
    """The serial number of the certificate that openssl is shown on a new connection."""
    command: list[str | Path] = ["openssl", "s_client", "-connect", target, "-cert", tls.certificate_file, "-key", tls.key_file]
    shown = subprocess.run([*command, "-alpn", "h2"], input=b"", capture_output=True, check=False, timeout=DEADLINE_S).stdout
    begin = shown.index(b"-----BEGIN CERTIFICATE-----")
    return x509.load_pem_x509_certificate(shown[begin : shown.index(b"-----END CERTIFICATE-----") + 25]).serial_number
