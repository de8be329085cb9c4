"""A wrong PIN is presented once in a process, whatever happens: real HSMs lock after a few tries."""

from __future__ import annotations

import json

from sealcore.platform.config import TokenSettings
from tests.hsm.conftest import Run


def test_a_wrong_pin_is_presented_once(settings: TokenSettings, run_program: Run) -> None:
    right = settings.pin_file.read_text().strip()
    done = run_program("count_logins.py", settings.pin_file.with_name("token.toml"), right, "wrong-pin")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["signing"] == {"codes": ["OK"] * 50, "logins": 0}
    restarted = said["signing after a restart"]
    assert restarted["logins"] == 1
    assert set(restarted["codes"][1:]) == {"HSM_PIN_REFUSED"}
    assert said["opening"] == {"codes": ["HSM_PIN_REFUSED"] * 10, "logins": 0}
    assert said["opening by another name of the file"] == {"codes": ["HSM_PIN_REFUSED"] * 3, "logins": 0}
    assert said["opening with a corrected file"] == {"codes": ["OK"] * 2, "logins": 2}
