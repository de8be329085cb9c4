"""Signs three times, one second each at most, while the HSM hangs at the second, and ends. Arguments: token.toml, label."""

import sys
import tomllib
from functools import partial
from pathlib import Path

from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.hsm.watch import Watched
from sealcore.platform.config import TokenSettings

with Token.open(TokenSettings.model_validate(tomllib.loads(Path(sys.argv[1]).read_text()))) as token:
    watched = Watched(1, 2, token.give_up)
    for outcome in watched.run([partial(token.key(sys.argv[2]).sign, b"data")] * 3):
        print(outcome.code if isinstance(outcome, VermilionError) else "signed")
    watched.close()
