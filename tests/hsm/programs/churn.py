"""Makes and destroys keys, then opens the token and lists its keys, again and again. Arguments: token.toml, name, times.

Any fault ends the program with a traceback.
"""

import sys
import tomllib
from pathlib import Path

from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

settings = TokenSettings.model_validate(tomllib.loads(Path(sys.argv[1]).read_text()))
for _ in range(int(sys.argv[3])):
    with Token.open(settings) as token:
        token.generate(sys.argv[2], Algorithm.P256).sign(b"data")
        held = token.keys()
        assert {"steady", sys.argv[2]} <= {key.label for key in held}
        token.destroy(sys.argv[2])
