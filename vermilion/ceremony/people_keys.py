"""``python -m vermilion.ceremony.people_keys --settings TOKEN.toml ID …``: a key for each person; prints {id: SPKI in base64}."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

from sealcore.errors import VermilionError
from vermilion.use_cases.people_token import PeopleToken


def main() -> int:
    """Exit status 0, or 1 with the typed error on standard error."""
    parser = argparse.ArgumentParser(prog="python -m vermilion.ceremony.people_keys")
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("people", nargs="*")
    chosen = parser.parse_args()
    try:
        with PeopleToken.open(chosen.settings) as token:
            made = {person: base64.b64encode(token.ensure(person)).decode() for person in chosen.people}
    except VermilionError as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    sys.stdout.write(json.dumps(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
