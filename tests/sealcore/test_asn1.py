"""asn1crypto is ready for several threads before there are any."""

from __future__ import annotations

import subprocess
import sys

_LOOK = """
from asn1crypto import core
from sealcore import asn1
assert core.Sequence not in core._SETUP_CLASSES, "nothing was prepared yet"
asn1.prepare()
missing = [kind.__name__ for kind in asn1.kinds() if kind not in core._SETUP_CLASSES]
print(len(list(asn1.kinds())), missing)
"""


def test_every_class_is_prepared() -> None:
    said = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=True).stdout
    count, _, missing = said.partition(" ")
    assert int(count) > 200
    assert missing.strip() == "['Choice']"  # of which there are no objects
