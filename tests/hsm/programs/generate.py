"""Makes keys in a token from a process of its own. Arguments: token.toml, algorithm, labels. Prints one code for each label."""

import sys
import tomllib
from pathlib import Path

from sealcore.errors import VermilionError
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

with Token.open(TokenSettings.model_validate(tomllib.loads(Path(sys.argv[1]).read_text()))) as token:
    for label in sys.argv[3:]:
        try:
            token.generate(label, Algorithm(sys.argv[2]))
        except VermilionError as fault:
            print(fault.code)
        else:
            print("OK")
