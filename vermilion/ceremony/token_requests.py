"""``python -m vermilion.ceremony.token_requests --settings TOKEN.toml``: certificate requests for keys of one token.

Reads from standard input a JSON list of {"label", "common_name", "organization", "out"}; writes each PKCS#10 (DER) to "out".
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sealcore.errors import VermilionError
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Token
from sealcore.platform.config import TokenSettings, load


def main() -> int:
    """Exit status 0, or 1 with the typed error on standard error."""
    parser = argparse.ArgumentParser(prog="python -m vermilion.ceremony.token_requests")
    parser.add_argument("--settings", type=Path, required=True)
    chosen = parser.parse_args()
    try:
        with Token.open(load(chosen.settings, TokenSettings)) as token:
            for order in json.load(sys.stdin):
                request = certificate_request(token.key(order["label"]), order["common_name"], organization=order["organization"])
                Path(order["out"]).write_bytes(request)
    except VermilionError as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
