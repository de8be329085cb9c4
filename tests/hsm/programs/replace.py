"""Destroys a key and makes another under the same label. Arguments: token.toml, label, algorithm."""

import sys
import tomllib
from pathlib import Path

from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

with Token.open(TokenSettings.model_validate(tomllib.loads(Path(sys.argv[1]).read_text()))) as token:
    token.destroy(sys.argv[2])
    token.generate(sys.argv[2], Algorithm(sys.argv[3]))
