"""``python -m vermilion.ceremony.picture``: draws seals. Reads a list of {"name", "caption", "number", "out"}, writes a PDF to each "out"."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sealcore.errors import VermilionError
from signer.pdf.picture import round_seal
from vermilion.operation.doctor import FONT_FILE
from vermilion.state.identities import private_file


def main() -> int:
    """Exit status 0, or 1 with the typed error on standard error."""
    try:
        for one in json.load(sys.stdin):
            private_file(Path(one["out"]), round_seal(one["name"], one["caption"], one["number"], font_file=FONT_FILE))
    except VermilionError as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
