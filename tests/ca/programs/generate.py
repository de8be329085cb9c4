"""Makes keys in a token, and a PKCS#10 request LABEL.csr for each: an order as JSON on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

order = json.load(sys.stdin)
with Token.open(TokenSettings.model_validate(order["token"])) as token:
    for label, algorithm in order["keys"].items():
        key = token.generate(label, Algorithm(algorithm))
        Path(order["folder"], label + ".csr").write_bytes(certificate_request(key, label))
